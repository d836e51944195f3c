"""An output belongs to one run, and to one process at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from open_r1.errors import RunError, RunFolderError
from open_r1.rundir import RunDir, describe_changes, hold_file


def test_a_file_is_held_by_one_process_and_its_neighbour_is_free(tmp_path: Path) -> None:
    with hold_file(tmp_path / "new" / "a.jsonl"):
        in_use = pytest.raises(RunFolderError, match=r"another run is writing to .*a.jsonl.*choose another file")
        with in_use, hold_file(tmp_path / "new" / "a.jsonl"):
            pass
        with hold_file(tmp_path / "new" / "b.jsonl"):
            pass
    with hold_file(tmp_path / "new" / "a.jsonl"):
        pass
    assert os.listdir(tmp_path / "new") == []


def test_a_lock_whose_file_was_just_removed_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    path, real, calls = tmp_path / "a.jsonl", fcntl.flock, []

    def flock_after_the_holder_left(descriptor: int, operation: int) -> None:
        if not calls:
            (tmp_path / ".a.jsonl.lock").unlink()
        calls.append(descriptor)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock_after_the_holder_left)
    with hold_file(path):
        assert len(calls) == 2
        assert (tmp_path / ".a.jsonl.lock").exists()
        with pytest.raises(RunFolderError), hold_file(path):
            pass


def test_a_lock_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / ".a.jsonl.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is a link"), hold_file(tmp_path / "a.jsonl"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_changes_are_named_up_to_three() -> None:
    assert describe_changes({"seed": 0}, {"seed": 0}) == ""
    assert describe_changes({"seed": 0}, {"seed": 1}) == "seed was 0 and is now 1"
    assert describe_changes({"old": 0}, {"contents of data": "x"}) == (
        "the contents of data have changed, old was 0 and is now None"
    )
    four = describe_changes(dict.fromkeys("abcd", 0), dict.fromkeys("abcd", 1))
    assert four.startswith("a was 0 and is now 1, b") and four.endswith("c was 0 and is now 1 (and 1 more)")
    assert "more" not in describe_changes(dict.fromkeys("abc", 0), dict.fromkeys("abc", 1))


def test_a_claimed_folder_is_locked_and_goes_on_with_the_same_identity_alone(tmp_path: Path) -> None:
    folder = RunDir(tmp_path / "out")
    with folder.claimed({"seed": 0}):
        (folder.path / "traces.jsonl").touch()
        with pytest.raises(RunFolderError, match="another run is writing"), folder.claimed({"seed": 0}):
            pass
    with folder.claimed({"seed": 0}):
        assert (folder.path / "traces.jsonl").exists()
    refused = pytest.raises(RunFolderError, match=r"seed was 0 and is now 1.*start over with --overwrite\.")
    with refused, folder.claimed({"seed": 1}):
        pass
    with folder.claimed({"seed": 1}, overwrite=True):
        assert not (folder.path / "traces.jsonl").exists()


def test_a_folder_of_another_kind_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "pipeline.json").touch()
    RunDir(tmp_path).refuse_foreign("pipeline.json", "pipeline's run")
    with pytest.raises(RunFolderError, match=r"contains no run of Open R1 \(found pipeline.json\)"):
        RunDir(tmp_path).refuse_foreign()
