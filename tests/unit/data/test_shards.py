"""Mixtures written out, and data sets published: shards, cards, counts, and what a failed push leaves."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from open_r1.cli.main import main
from open_r1.data import shards
from open_r1.data.provenance import Step, steps_behind
from open_r1.data.shards import publish, write_folder
from open_r1.data.sources import load_source, load_splits
from open_r1.errors import RunError, RunFolderError
from open_r1.hub import push


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The guide's example shape: shares of three sets, a seed, a test split."""
    for name, count in (("math", 100), ("code", 60), ("science", 41)):
        jsonl(
            tmp_path / f"{name}.jsonl", [{"problem": f"{name} {i}", "solution": str(i), "n": i} for i in range(count)]
        )
    entries = [
        {"id": str(tmp_path / "math.jsonl"), "columns": ["problem", "solution"], "weight": 0.5},
        {"id": str(tmp_path / "code.jsonl"), "columns": ["problem", "solution"], "weight": 0.25},
        {"id": str(tmp_path / "science.jsonl"), "columns": ["problem", "solution"]},
    ]
    path = tmp_path / "mixture.yaml"
    path.write_text(yaml.safe_dump({"dataset_mixture": {"datasets": entries, "seed": 42, "test_split_size": 0.1}}))
    return path


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((folder / "data").iterdir())}


def test_the_guides_mixture_has_exact_counts_and_the_same_bytes_again(
    tmp_path: Path, recipe: Path, capsys: Any
) -> None:
    assert main(["data", "mix", str(recipe), "--output_dir", str(tmp_path / "a")]) == 0
    printed = capsys.readouterr().out
    assert f"50 of 100 rows of {tmp_path}/math.jsonl, weight 0.5" in printed
    assert f"15 of 60 rows of {tmp_path}/code.jsonl, weight 0.25" in printed
    assert "95 rows of train, 11 rows of test" in printed
    assert main(["data", "mix", str(recipe), "--output_dir", str(tmp_path / "b")]) == 0
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    loaded = load_source(str(tmp_path / "a"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 95, "test": 11}
    problems = [*loaded["train"]["problem"], *loaded["test"]["problem"]]
    assert len(set(problems)) == 106
    assert sum(problem.startswith("science") for problem in problems) == 41


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path, recipe: Path, capsys: Any) -> None:
    assert main(["data", "mix", str(recipe), "--output_dir", str(tmp_path / "a"), "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == {"train": 95, "test": 11}
    assert [entry["rows"] for entry in told["datasets"]] == [50, 15, 41]
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [("just text", "must be a YAML mapping"), ("a: [", "is not YAML"), ("dataset_name: x", "found dataset_name")],
)
def test_a_recipe_without_a_mixture_is_refused(tmp_path: Path, content: str, message: str, capsys: Any) -> None:
    (tmp_path / "r.yaml").write_text(content)
    assert main(["data", "mix", str(tmp_path / "r.yaml"), "--output_dir", str(tmp_path / "a")]) == 2
    assert message in capsys.readouterr().err


def test_shards_are_cut_by_size_and_read_back_in_order(tmp_path: Path, monkeypatch: Any) -> None:
    from datasets import Dataset

    monkeypatch.setattr(shards, "SHARD_BYTES", 20_000)
    monkeypatch.setattr(shards, "ROWS_AT_ONCE", 50)
    rows = Dataset.from_list([{"n": n, "text": "x" * 100} for n in range(1000)])
    assert write_folder(tmp_path / "out", {"train": rows}, [], "many") == {"train": 1000}
    names = sorted(path.name for path in (tmp_path / "out" / "data").iterdir())
    assert len(names) > 3
    assert names[0] == f"train-00000-of-{len(names):05}.parquet"
    assert load_splits(str(tmp_path / "out"), None, "train")["train"]["n"][:] == list(range(1000))


def test_a_folder_written_anew_is_read_anew(tmp_path: Path) -> None:
    """`datasets` alone would give the rows of the first: it goes by the folder's name and its card."""
    import shutil

    from datasets import Dataset

    for count in (5, 7):
        write_folder(tmp_path / "same", {"train": Dataset.from_list([{"n": n} for n in range(count)])}, [], "same")
        assert len(load_splits(str(tmp_path / "same"), None, "train")["train"]) == count
        shutil.rmtree(tmp_path / "same")


def test_a_stream_is_written_like_a_table(tmp_path: Path) -> None:
    jsonl(tmp_path / "rows.jsonl", [{"n": n, "text": "x" * n} for n in range(10)])
    streamed = load_source(str(tmp_path / "rows.jsonl"), streaming=True)
    assert write_folder(tmp_path / "out", {"train": streamed}, [], "stream") == {"train": 10}
    assert load_splits(str(tmp_path / "out"), None, "train")["train"]["n"][:] == list(range(10))


def test_an_unfinished_folder_is_written_anew_and_a_finished_or_strange_one_refused(tmp_path: Path) -> None:
    from datasets import Dataset

    rows = {"train": Dataset.from_list([{"n": 1}])}
    (tmp_path / "half" / "data").mkdir(parents=True)
    (tmp_path / "half" / "data" / ".train-00000.parquet").write_bytes(b"torn")
    write_folder(tmp_path / "half", rows, [], "half")
    assert [path.name for path in (tmp_path / "half" / "data").iterdir()] == ["train-00000-of-00001.parquet"]
    with pytest.raises(RunFolderError, match="finished data set"):
        write_folder(tmp_path / "half", rows, [], "half")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(RunFolderError, match=r"thesis\.txt"):
        write_folder(tmp_path / "other", rows, [], "other")


def test_steps_are_carried_from_a_source_to_what_is_made_of_it(tmp_path: Path, recipe: Path, monkeypatch: Any) -> None:
    hub = Hub()
    monkeypatch.setattr(push, "default_api", lambda: hub)
    assert main(["data", "mix", str(recipe), "--output_dir", str(tmp_path / "mixed")]) == 0
    assert [step.action for step in steps_behind(str(tmp_path / "mixed"))] == ["mix"]
    source = str(tmp_path / "mixed" / "data" / "train-*.parquet")
    publish = ["data", "publish", source, "--repo_id", "me/mine", "--output_dir", str(tmp_path / "out")]
    assert main(publish) == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert "1. **mix** of" in card
    assert "2. **publish** of" in card
    assert hub.calls == ["create_repo me/mine dataset", "upload_folder me/mine dataset main"]


class Hub:
    """The Hub as far as publishing asks it, with faults on demand."""

    def __init__(self, failures: int = 0) -> None:
        self.calls: list[str] = []
        self.failures = failures

    def create_repo(self, repo_id: str, *, repo_type: str, private: Any, exist_ok: bool) -> None:
        self.calls.append(f"create_repo {repo_id} {repo_type}")

    def create_branch(self, repo_id: str, *, branch: str, repo_type: str, exist_ok: bool) -> None:
        self.calls.append(f"create_branch {branch}")

    def upload_folder(self, *, repo_id: str, repo_type: str, folder_path: str, revision: str, **options: Any) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the line broke")
        assert (Path(folder_path) / "README.md").is_file()
        self.calls.append(f"upload_folder {repo_id} {repo_type} {revision}")


def test_a_failed_push_loses_nothing_and_the_same_command_goes_on(
    tmp_path: Path, recipe: Path, monkeypatch: Any, capsys: Any
) -> None:
    hub = Hub(failures=1)
    monkeypatch.setattr(push, "default_api", lambda: hub)
    assert main(["data", "mix", str(recipe), "--output_dir", str(tmp_path / "mixed")]) == 0
    before = hashes(tmp_path / "mixed")
    command = ["data", "publish", str(tmp_path / "mixed"), "--repo_id", "me/mine", "--revision", "v1"]
    assert main(command) == 1
    assert "the line broke; nothing is lost" in capsys.readouterr().err
    assert hashes(tmp_path / "mixed") == before
    assert main(command) == 0
    assert hub.calls[-1] == "upload_folder me/mine dataset v1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from datasets import Dataset

    write_folder(tmp_path / "made", {"train": Dataset.from_list([{"n": 1}])}, [], "made")
    return tmp_path / "made"


def test_the_real_hub_client_takes_our_calls(folder: Path) -> None:
    import inspect

    from huggingface_hub import HfApi

    calls: list[str] = []

    class Bound:
        def __getattr__(self, name: str) -> Any:
            signature = inspect.signature(getattr(HfApi, name))
            return lambda *given, **named: (signature.bind(None, *given, **named), calls.append(name))

    assert publish(str(folder), "me/x", revision="v1", api=Bound()) == folder
    assert calls == ["create_repo", "create_branch", "upload_folder"]


def test_pushing_fails_as_a_run_error(folder: Path) -> None:
    with pytest.raises(RunError, match="the same command tries again"):
        publish(str(folder), "me/x", api=Hub(failures=1))


@pytest.mark.parametrize("repo_id", ["mine", "a/b/c", "/x"])
def test_a_repository_needs_an_owner_and_a_name(repo_id: str, capsys: Any) -> None:
    assert main(["data", "publish", "x", "--repo_id", repo_id]) == 2
    assert "user/name" in capsys.readouterr().err


def test_a_step_reads_as_a_line_of_the_card() -> None:
    step = Step("mix", "r.yaml", {"seed": 42, "empty": None}, {"rows": {"train": 1000}}, version="1")
    assert step.as_markdown(2) == (
        "2. **mix** of `r.yaml` (open-r1 1)\n   - settings: seed 42\n   - counts: rows (train 1,000)"
    )
