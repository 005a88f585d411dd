"""One thread a test process: the suite runs in as many processes as there are cores, and more threads only fight."""

import gc
import os
import sys

import hypothesis
import pytest

import preloaded
from fake_stages import install  # loads no torch, which reads these when it is loaded

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
hypothesis.settings.register_profile("no clock", deadline=None)  # a busy machine is no fault of the code
hypothesis.settings.load_profile("no clock")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that train models come first, so that no process is left with one of them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """All modules of all tests stay in memory; each training would walk through them, and through the libraries'."""
    if "PYTEST_XDIST_WORKER" in os.environ:  # it will come to tests that load them
        preloaded.load()
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimator's benchmarks have intervals of fewer resamples, which took longer than its training here."""
    for name, count in preloaded.FEW_RESAMPLES.items():
        monkeypatch.setattr(name, count)


@pytest.fixture
def fake_stages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stages that write what theirs would, without training anything; the names of those that ran."""
    modules: dict[str, object] = {}
    ran = install(modules)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return ran
