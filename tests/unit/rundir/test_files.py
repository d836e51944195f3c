"""Files of a run: whole or absent, and never somewhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from open_r1.errors import RunError, RunFolderError
from open_r1.rundir.files import atomic_file, open_regular, read_json, write_json


def test_a_partial_file_has_a_name_that_nobody_can_prepare_a_link_for(tmp_path: Path) -> None:
    names = set()
    for _ in range(2):
        with atomic_file(tmp_path / "page.html"):
            names |= {name for name in os.listdir(tmp_path) if name.endswith(".partial")}
    assert len(names) == 2


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("{}")
    (tmp_path / "done.json").symlink_to(tmp_path / "theirs")
    write_json(tmp_path / "done.json", {"steps": 1})
    assert (tmp_path / "theirs").read_text() == "{}"
    assert read_json(tmp_path / "done.json") == {"steps": 1}


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_json(tmp_path / "ours", {})
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_only_regular_files_inside_the_folder_are_opened(tmp_path: Path) -> None:
    run, outside = tmp_path / "run", tmp_path / "outside"
    (run / "eval").mkdir(parents=True)
    outside.mkdir()
    for folder in (run / "eval", outside):
        (folder / "summary.json").write_text("{}")
    (run / "linked").symlink_to(outside)
    (run / "eval" / "link.json").symlink_to(outside / "summary.json")
    os.mkfifo(run / "pipe.json")
    with open_regular(run / "eval" / "summary.json", run) as file:
        assert file.read() == b"{}"
    for name in ("linked/summary.json", "eval/link.json", "pipe.json", "eval", "../outside/summary.json", "absent"):
        with pytest.raises(OSError, match="link|regular|outside|symbolic|No such|Not a directory"):
            open_regular(run / name, run)
    with pytest.raises(ValueError, match="subpath"):
        open_regular(outside / "summary.json", run)


def test_opening_files_leaks_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").touch()
    before = len(os.listdir("/proc/self/fd"))
    open_regular(tmp_path / "a" / "b" / "c", tmp_path).close()
    for name in ("a/b", "a/x/c", "a/b/x"):
        with pytest.raises(OSError, match="regular|No such"):
            open_regular(tmp_path / name, tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("content", ["", "[1]", '{"a": ', "[" * 100_000])
def test_a_damaged_record_is_named_with_its_remedy(tmp_path: Path, content: str) -> None:
    (tmp_path / "done.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"done.json.*to make the run anew"):
        read_json(tmp_path / "done.json")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="could not be written"):
        write_json(tmp_path / "file" / "done.json", {})
