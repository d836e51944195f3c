"""The run folder: nothing half-written, nothing of another run, nothing lost."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from open_r1.errors import RunError, RunFolderError
from open_r1.rundir import (
    CHECKPOINT_MARKER,
    RunDir,
    append_line,
    atomic_file,
    hash_files,
    read_jsonl,
    write_json,
    write_jsonl,
    writing_failed,
)


def make_checkpoint(run: RunDir, step: int, whole: bool = True) -> Path:
    folder = run.path / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    if whole:
        write_json(folder / CHECKPOINT_MARKER, {"step": step})
    return folder


def test_a_failed_write_leaves_the_old_file_and_no_partial_one(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_json(path, {"old": True})

    def write_half_and_fail() -> None:
        with atomic_file(path) as file:
            file.write(b"half of")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        write_half_and_fail()
    assert json.loads(path.read_text()) == {"old": True}
    assert os.listdir(tmp_path) == ["summary.json"]


def test_a_full_disk_is_named_with_its_remedy() -> None:
    error = writing_failed(Path("x/model"), OSError(28, "No space left on device"))
    assert isinstance(error, RunError) and error.exit_status == 1
    assert "disk is full" in str(error) and "run the same command again" in str(error)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_appending_to_a_full_device_is_a_run_error() -> None:
    with pytest.raises(RunError, match="disk is full"):
        append_line(Path("/dev/full"), {"step": 1})


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n{"ste')
    assert read_jsonl(path) == [{"step": 1}, {"step": 2}]


def test_a_broken_line_before_the_last_is_never_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"ste\n{"step": 3}\n')
    with pytest.raises(RunError, match=r"metrics.jsonl:2 is not JSON"):
        read_jsonl(path)


def test_another_run_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.create()
    run.claim({"learning_rate": 1e-4, "seed": 0})
    run.claim({"learning_rate": 1e-4, "seed": 0})
    with pytest.raises(RunFolderError, match=r"contains a different run: seed was 0 and is now 1"):
        run.claim({"learning_rate": 1e-4, "seed": 1})


def test_a_folder_with_someone_elses_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunFolderError, match=r"contains no run of Open R1 \(found thesis.tex\)"):
        RunDir(tmp_path).claim({"seed": 0})


def test_an_empty_folder_that_a_trainer_made_does_not_count_as_someone_elses(tmp_path: Path) -> None:
    (tmp_path / "run" / "completions").mkdir(parents=True)
    RunDir(tmp_path / "run").claim({"seed": 0})
    (tmp_path / "other" / "photos").mkdir(parents=True)
    (tmp_path / "other" / "photos" / "1.jpg").touch()
    with pytest.raises(RunFolderError, match=r"found photos"):
        RunDir(tmp_path / "other").claim({"seed": 0})


def test_a_lock_leaves_no_trace_of_a_run_that_was_refused(tmp_path: Path) -> None:
    with RunDir(tmp_path / "new").locked():
        pass
    assert not (tmp_path / "new").exists()
    (tmp_path / "theirs").mkdir()
    with RunDir(tmp_path / "theirs").locked():
        pass
    assert list((tmp_path / "theirs").iterdir()) == []
    with RunDir(tmp_path / "ours").locked():
        RunDir(tmp_path / "ours").claim({"seed": 0})
    assert (tmp_path / "ours" / ".lock").exists()


def test_clearing_removes_the_old_run_but_not_the_lock(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.claim({"seed": 0})
    make_checkpoint(run, 5)
    with run.locked():
        run.clear()
        run.claim({"seed": 1})
    assert not run.all_checkpoints()
    assert (tmp_path / ".lock").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunFolderError, match="can't be written"):
        RunDir(tmp_path / "run").create()


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="can't be written"):
        RunDir(tmp_path / "file" / "run").create()


def hold_lock(path: Path, held: multiprocessing.Event, release: multiprocessing.Event) -> None:  # type: ignore[valid-type]
    with RunDir(path).locked():
        held.set()
        release.wait(30)


def test_two_processes_cannot_write_to_one_run_and_a_killed_one_frees_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=hold_lock, args=(tmp_path, held, release))
    process.start()
    assert held.wait(30)
    with pytest.raises(RunFolderError, match="another run is writing"), RunDir(tmp_path).locked():
        pass
    process.kill()
    process.join()
    with RunDir(tmp_path).locked():
        pass


def test_half_written_checkpoints_are_dropped_and_whole_ones_kept_in_order(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for step in (10, 9, 100):
        make_checkpoint(run, step)
    make_checkpoint(run, 110, whole=False)
    assert [path.name for path in run.drop_broken_checkpoints()] == ["checkpoint-110"]
    assert [path.name for path in run.checkpoints()] == ["checkpoint-9", "checkpoint-10", "checkpoint-100"]


def test_records_after_the_resume_point_are_forgotten(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for file in (run.metrics, run.alarms):
        write_jsonl(file, [{"step": step} for step in (1, 2, 3)])
    run.rollouts.mkdir()
    for step in (1, 2, 3):
        run.rollout_file(step).touch()
    run.forget_after(2)
    assert read_jsonl(run.metrics) == read_jsonl(run.alarms) == [{"step": 1}, {"step": 2}]
    assert sorted(path.name for path in run.rollouts.iterdir()) == ["step-000001.parquet", "step-000002.parquet"]


def test_hash_of_files_sees_names_and_contents(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("same")
    first = hash_files([tmp_path / "a"])
    assert first != hash_files([tmp_path / "b"])
    assert first == hash_files([tmp_path / "a"])
    (tmp_path / "a").write_text("other")
    assert first != hash_files([tmp_path / "a"])
