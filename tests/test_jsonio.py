from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path

import pytest

from overton.errors import DataError, DiskFullError, RunError
from overton.jsonio import atomic_open, keep_inputs, read_json, read_jsonl, sha256, write_json, write_jsonl, write_text


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ValueError, match="half-way"), atomic_open(path) as file:
        file.write("new")
        raise ValueError("half-way")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with atomic_open(path) as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_only_a_file_takes_the_place_of_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    for name, what in ((".", "a folder"), (str(tmp_path), "a folder"), ("pipe", "no file")):
        with pytest.raises(RunError, match=f"{name}: is {what}"):
            write_text(Path(name), "x")
    assert names(tmp_path) == ["pipe"]


def test_a_file_cannot_be_written_into_a_file_which_is_said_before_anything_is_done(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    write_jsonl(file, [{"a": 1}])
    for path in (file / "table.md", file / "deep" / "table.md"):
        with pytest.raises(RunError, match=r"rows\.jsonl: cannot be written to, since it is no folder"):
            keep_inputs([path], [])
        with pytest.raises(RunError, match=r"rows\.jsonl: cannot be written to"):
            write_text(path, "x")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RunError, match="broken: cannot be written to"):
        keep_inputs([tmp_path / "broken" / "table.md"], [])
    keep_inputs([tmp_path / "new" / "folder" / "table.md"], [])
    assert read_jsonl(file) == [{"a": 1}]


def test_a_full_disk_is_one_message_and_the_old_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [{"a": 1}])

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match="the disk is full") as caught:
        write_jsonl(path, [{"a": 2}])
    assert str(path) in str(caught.value)
    assert read_jsonl(path) == [{"a": 1}]
    assert names(tmp_path) == ["rows.jsonl"]


def test_jsonl_reads_back_with_any_character(tmp_path: Path) -> None:
    rows = [{"text": 'é\u2028\n\t"😀', "n": 1.5, "none": None}, {"text": "", "list": [1, {"a": True}]}]
    assert write_jsonl(tmp_path / "r.jsonl", rows) == 2
    assert read_jsonl(tmp_path / "r.jsonl") == rows


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_never_written(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_jsonl(tmp_path / "r.jsonl", [{"a": 1}, {"a": value}])
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "r.json", {"a": value})
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b'{"a": 1}\n{"a": \n', "line 2: broken JSON"),
        (b'{"a": 1}\n\n[1]\n', "line 3: a JSON object is wanted, found list; write its objects one a line"),
        (b'[\n  {"a": 1}\n]\n', "line 1: broken JSON: Expecting value; each line is to hold one whole JSON object"),
        (b'{"a": 1}\n{"a": NaN}\n', "line 2: NaN is not a value"),
        (b'{"a": [{"b": -1e400}]}\n', "line 1: -1e400 is not a value"),
        (b'{"a": "\xe9"}\n', "line 1: not UTF-8"),
        ("﻿".encode("utf-16") + '{"a": 1}'.encode("utf-16"), "line 1: not UTF-8"),
        (b"", "holds no rows"),
        (b"\n \n", "holds no rows"),
        (b'{"a": 1}\n{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "line 2: nested too deeply"),
    ],
)
def test_bad_jsonl_names_file_and_line(tmp_path: Path, content: bytes, wanted: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_jsonl(path)
    assert str(path) in str(caught.value)
    assert wanted in str(caught.value)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}\r\n')
    assert read_jsonl(path) == [{"a": 1}, {"a": 2}]


def test_half_a_character_is_marked_and_a_whole_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(rb'{"a \uD83D": ["cut \ud83d", "\ude00 b", "whole \ud83d\ude00", "\\ud83d"]}' + b"\n")
    rows = read_jsonl(path)
    assert rows == [{"a \ufffd": ["cut \ufffd", "\ufffd b", "whole \U0001f600", "\\ud83d"]}]
    write_jsonl(path, rows)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_jsonl(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="is a folder"):
        read_jsonl(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        read_json(tmp_path / "none.json")


def test_broken_json_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{\n"a": 1,\n"b" 2}')  # Python 3.13 sees a comma too many a line earlier
    with pytest.raises(DataError, match="line 3"):
        read_json(tmp_path / "a.json")


def test_a_folders_hash_sees_names_and_contents(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    write_text(tmp_path / "one" / "a", "1")
    write_text(tmp_path / "two" / "a", "1")
    assert sha256(tmp_path / "one") == sha256(tmp_path / "two")
    write_text(tmp_path / "three" / "b", "1")
    assert sha256(tmp_path / "one") != sha256(tmp_path / "three")
    write_text(tmp_path / "two" / "a", "2")
    assert sha256(tmp_path / "one") != sha256(tmp_path / "two")


def test_rows_are_compressed_under_the_name_of_a_compressed_file(tmp_path: Path) -> None:
    rows = [{"text": "é\u2028"}, {"text": "b"}]
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        assert write_jsonl(tmp_path / name, rows) == 2
    assert read_jsonl(tmp_path / "a.jsonl.gz") == rows
    assert sha256(tmp_path / "a.jsonl.gz") == sha256(tmp_path / "b.jsonl.gz")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_jsonl(tmp_path / "a.jsonl.gz", [{"a": 1}, {"a": float("nan")}])
    assert read_jsonl(tmp_path / "a.jsonl.gz") == rows
    assert names(tmp_path) == ["a.jsonl.gz", "b.jsonl.gz"]


def test_compressed_rows_are_read_and_half_a_file_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"a": 1}\n{"a": 2}\n' * 500)
    (tmp_path / "rows.jsonl.gz").write_bytes(whole)
    assert len(read_jsonl(tmp_path / "rows.jsonl.gz")) == 1000
    (tmp_path / "half.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "plain.jsonl.gz").write_bytes(b'{"a": 1}\n')
    for name in ("half", "plain"):
        with pytest.raises(DataError, match=rf"{name}\.jsonl\.gz: not a whole gzip file"):
            read_jsonl(tmp_path / f"{name}.jsonl.gz")


@pytest.mark.parametrize(("text", "said"), [("[" * 100_000, "nested too deeply"), ("9" * 5_000, "digits")])
def test_json_that_python_cannot_read_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=said):
        read_json(tmp_path / "a.json")


def test_a_line_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    """A megabyte of gzip holds a line of a gigabyte; what is read of it is bounded."""
    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b'{"a": 1}\n')
        for _ in range(65):
            file.write(b" " * (1 << 20))
    with pytest.raises(DataError, match="line 2: more than 64 MiB"):
        read_jsonl(path)


def test_a_link_where_the_temporary_file_will_be_is_not_followed(tmp_path: Path) -> None:
    """Its name can be guessed, and whoever may write to the folder can be there first."""
    (tmp_path / "other").write_text("mine")
    (tmp_path / f".a.txt.{os.getpid()}.tmp").symlink_to(tmp_path / "other")
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new" and not (tmp_path / "a.txt").is_symlink()
    assert (tmp_path / "other").read_text() == "mine"
