# Everything needs only Python 3.11+, its pip, and make. Paths are relative, since make cannot handle a target with
# a space in it and this folder may lie in one.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

# The first of these that is new enough; `make install PYTHON=/path/to/python` takes another.
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; exit; }; done; \
	echo python3)
endif

# On all cores, where pip takes one; some packages hold templates that are no Python.
COMPILE = $(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true

# A stamp says what is installed; one that was made in another folder does not count, since environments cannot move.
ifneq ($(shell [ ! -e $(VENV)/.made-in ] || [ "$$(cat $(VENV)/.made-in)" = "$$(pwd -P)" ] || echo moved),)
$(shell rm -f $(VENV)/.made-in $(VENV)/.overton-run $(VENV)/.overton-dev)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install quickstart test lint format contract environment clean

help:
	@echo "make install     environment in .venv with pinned versions (constraints.txt)"
	@echo "make quickstart  install, then the whole way from data to report on this machine"
	@echo "make test        install, then lint, types and tests"
	@echo "make lint        ruff and mypy alone"
	@echo "make format      let ruff format the code"
	@echo "make contract    verl, OpenRLHF, ms-swift, DeepSpeed, Inspect and lm-eval with this package, each in an environment of its own (12 GB)"
	@echo "make clean       remove .venv, .contract and caches; runs/ stays"

install: $(VENV)/.overton-dev

quickstart: $(VENV)/.overton-run
	$(BIN)/overton run recipes/quickstart.yaml

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.overton-dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

format: $(VENV)/.overton-dev
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

# Each framework's environment is made under .contract; FRAMEWORKS="verl swift" takes some of them.
contract:
	"$(PYTHON)" scripts/contract.py $(FRAMEWORKS)

# What `overton run` needs.
$(VENV)/.overton-run: pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory environment
	$(PIP) install --no-compile -c constraints.txt -e ".[train,offline]"
	@$(COMPILE)
	@pwd -P > $(VENV)/.made-in
	@touch $@

# The same and the tools of development, in one installation.
$(VENV)/.overton-dev: pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory environment
	$(PIP) install --no-compile -c constraints.txt -e ".[train,offline,llm,search,serve,dev]"
	@$(COMPILE)
	@pwd -P > $(VENV)/.made-in
	@touch $(VENV)/.overton-run $@

# An environment that works is kept as it is; one whose interpreter is gone is made anew.
environment:
	@if ! $(BIN)/python -c '' 2>/dev/null; then \
		"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
			echo "error: Python 3.11 or newer is needed, and $(PYTHON) is $$("$(PYTHON)" --version 2>&1)." \
				"Install one, or name it: make install PYTHON=/path/to/python3.12" >&2; exit 1; }; \
		echo "$(PYTHON) -m venv $(VENV)"; \
		"$(PYTHON)" -m venv --clear $(VENV) || { \
			echo "error: $(PYTHON) cannot make a virtual environment; install its venv module" \
				"(Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }; \
	fi
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $(VENV) holds $$($(BIN)/python --version), 3.11 or newer is needed." \
			"Remove it (make clean) and try again" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade

clean:
	rm -rf $(VENV) .contract build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -path ./.git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
