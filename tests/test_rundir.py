from __future__ import annotations

import json
from pathlib import Path

import pytest

from overton.errors import RunError
from overton.jsonio import sha256, write_text
from overton.rundir import RunDir, fingerprint


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_fingerprint_does_not_depend_on_key_order() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


MADE_FROM = {"seed": 0, "inputs": {"x": "1"}}


class TestManifest:
    def finished(self, tmp_path: Path) -> RunDir:
        run = RunDir(tmp_path / "run")
        run.begin("data", MADE_FROM)
        write_text(run.stage("data") / "out.txt", "result")
        write_text(run.stage("data") / "checkpoints" / "big.bin", "not counted")
        run.finish("data", 1.26, 2.0)
        return run

    def test_a_finished_stage_is_complete_for_the_same_inputs_only(self, tmp_path: Path) -> None:
        run = self.finished(tmp_path)
        assert run.is_complete("data", MADE_FROM)
        assert not run.is_complete("data", {"seed": 1, "inputs": {"x": "1"}})
        assert not run.is_complete("estimator", MADE_FROM)

    def test_it_records_versions_times_and_hashes(self, tmp_path: Path) -> None:
        record = self.finished(tmp_path).manifest("data")
        assert record is not None
        assert record["outputs"] == {"out.txt": sha256(tmp_path / "run" / "data" / "out.txt")}
        assert record["seconds"] == 1.3
        assert record["made_from"] == MADE_FROM
        assert record["versions"]["numpy"]

    @pytest.mark.parametrize("damage", ["change", "remove"])
    def test_a_changed_or_missing_output_makes_it_incomplete(self, tmp_path: Path, damage: str) -> None:
        run = self.finished(tmp_path)
        out = run.stage("data") / "out.txt"
        if damage == "change":
            out.write_text("other")
        else:
            out.unlink()
        assert not run.is_complete("data", MADE_FROM)

    def test_a_stage_that_never_finished_is_incomplete_and_keeps_its_files(self, tmp_path: Path) -> None:
        run = RunDir(tmp_path)
        run.begin("data", MADE_FROM)
        write_text(run.stage("data") / "half.txt", "half")
        assert not run.is_complete("data", MADE_FROM)
        run.begin("data", MADE_FROM)
        assert (run.stage("data") / "half.txt").exists()

    def test_what_a_killed_write_left_is_removed(self, tmp_path: Path) -> None:
        run = RunDir(tmp_path)
        run.begin("data", MADE_FROM)
        write_text(run.stage("data") / "model" / ".weights.123.tmp", "half")
        write_text(run.stage("data") / ".model.123.tmp" / ".half.5.tmp", "half")
        run.begin("data", MADE_FROM)
        assert names(run.stage("data") / "model") == []
        assert names(run.stage("data")) == ["manifest.json", "model"]

    def test_output_made_from_something_else_is_removed(self, tmp_path: Path) -> None:
        run = self.finished(tmp_path)
        run.begin("data", {"seed": 5})
        assert names(run.stage("data")) == ["manifest.json"]

    def test_an_unreadable_manifest_counts_as_none(self, tmp_path: Path) -> None:
        run = self.finished(tmp_path)
        (run.stage("data") / "manifest.json").write_text("{")
        assert run.manifest("data") is None
        assert not run.is_complete("data", MADE_FROM)

    @pytest.mark.parametrize("content", ["[]", '"text"', '{"status": "complete"}', "[" * 100_000])
    def test_a_manifest_that_is_none_counts_as_none(self, tmp_path: Path, content: str) -> None:
        run = self.finished(tmp_path)
        record = run.manifest("data") or {}
        (run.stage("data") / "manifest.json").write_text(
            content.replace("}", f', "fingerprint": "{record["fingerprint"]}"}}')
        )
        assert run.manifest("data") is None
        assert not run.is_complete("data", MADE_FROM)

    def test_a_manifest_that_the_system_does_not_let_be_read_costs_nothing(self, tmp_path: Path) -> None:
        run = self.finished(tmp_path)
        manifest = run.stage("data") / "manifest.json"
        manifest.unlink()
        manifest.symlink_to(manifest)
        for use in (run.is_complete, run.begin):
            with pytest.raises(RunError, match=r"manifest\.json: cannot be read"):
                use("data", MADE_FROM)
        assert (run.stage("data") / "out.txt").read_text() == "result"

    def test_a_stage_folder_that_is_a_link_is_emptied_too(self, tmp_path: Path) -> None:
        run = self.finished(tmp_path)
        run.stage("data").rename(tmp_path / "other disk")
        run.stage("data").symlink_to(tmp_path / "other disk")
        assert run.is_complete("data", MADE_FROM)
        run.begin("data", {"seed": 5})
        assert run.stage("data").is_symlink()
        assert names(tmp_path / "other disk") == ["manifest.json"]

    def test_finish_without_a_manifest_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="vanished"):
            RunDir(tmp_path).finish("data", 1, 1)

    def test_a_users_file_stays_and_what_a_killed_stage_left_goes(self, tmp_path: Path) -> None:
        run = RunDir(tmp_path / "run")
        folder = run.stage("generation")
        run.begin("generation", MADE_FROM, ["a", "b"])
        write_text(folder / "a", "before the kill")
        write_text(folder / "mine", "after it")
        run.begin("generation", MADE_FROM, ["a", "b"])
        assert names(folder) == ["a", "manifest.json", "mine"]
        run.begin("generation", {"seed": 5}, ["c"])
        assert names(folder) == ["manifest.json", "mine"]
        write_text(folder / "c", "whole")
        run.finish("generation", 1, 1)
        assert set((run.manifest("generation") or {})["outputs"]) == {"c"}
        run.begin("generation", {"seed": 6}, ["a"])
        assert names(folder) == ["manifest.json", "mine"]

    def test_a_users_file_is_not_written_over(self, tmp_path: Path) -> None:
        run = RunDir(tmp_path / "run")
        run.begin("generation", MADE_FROM, ["a"])
        write_text(run.stage("generation") / "mine", "x")
        with pytest.raises(RunError, match="mine: is not this run's"):
            run.begin("generation", {"seed": 5}, ["mine"])
        assert names(run.stage("generation")) == ["manifest.json", "mine"]

    @pytest.mark.parametrize("content", [None, "{"])
    def test_files_without_a_manifest_are_neither_removed_nor_taken(self, tmp_path: Path, content: str | None) -> None:
        run = RunDir(tmp_path / "run")
        write_text(run.stage("generation") / "mine", "x")
        write_text(run.stage("generation") / ".a.5.tmp", "half")
        if content:
            write_text(run.stage("generation") / "manifest.json", content)
        with pytest.raises(RunError, match="where mine came from"):
            run.begin("generation", MADE_FROM, ["a"])
        assert (run.stage("generation") / "mine").read_text() == "x"
        (run.stage("generation") / "mine").unlink()
        run.begin("generation", MADE_FROM, ["a"])
        assert names(run.stage("generation")) == ["manifest.json"]

    def test_the_manifest_is_json_for_other_tools(self, tmp_path: Path) -> None:
        run = self.finished(tmp_path)
        assert json.loads((run.stage("data") / "manifest.json").read_text())["status"] == "complete"
