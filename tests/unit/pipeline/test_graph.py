"""Graphs of stages: any order in the file, a part of them by flags, and gates."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from open_r1.errors import ConfigError, GateNotMet, RunError
from open_r1.launch.site import Site
from open_r1.pipeline import Selection, read_pipeline, run_pipeline
from open_r1.pipeline.runner import fingerprint_stages, read_states
from open_r1.rundir import read_json, write_json

Command = Callable[..., Any]

RECIPE = """
output_dir: out
stages:
  late: {kind: traces, problems: other, after: [traces]}
  traces: {kind: traces}
  problems: {kind: problems, families: {sums: [2, 4]}, sft: 10, rl: 2, held_out: 2}
  other: {kind: problems, families: {sorting: [3, 4]}, sft: 4, rl: 2, held_out: 2}
"""
GATED = """
output_dir: out
stages:
  problems: {kind: problems, families: {sums: [2, 4]}, sft: 10, rl: 2, held_out: 2}
  before: {kind: evaluate, model: org/model-1.5, max_new_tokens: 4}
  enough: {kind: gate, evaluation: before, above: 0.5, by: low}
  traces: {kind: traces, after: [enough]}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pipeline.yaml"
    path.write_text(RECIPE)
    return path


def silent(line: str) -> None:
    pass


def made(folder: Path = Path("out")) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/done.json")}


def test_stages_may_be_written_in_any_order(recipe: Path) -> None:
    pipeline = read_pipeline(recipe)
    assert [stage.name for stage in pipeline.stages] == ["other", "problems", "traces", "late"]
    run_pipeline(pipeline, silent)
    assert set(made()) == {"other", "problems", "traces", "late"}


def test_the_order_has_no_part_in_what_a_stage_makes(recipe: Path) -> None:
    before = fingerprint_stages(read_pipeline(recipe))
    head, *stages = RECIPE.replace(", after: [traces]", "").partition("stages:\n")[::2]
    lines = stages[0].splitlines()
    recipe.write_text("\n".join([head + "stages:", *reversed(lines), ""]))
    assert fingerprint_stages(read_pipeline(recipe)) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("other.after=[late]", "stages wait for each other: late -> other -> late"),
        ("traces.after=[traces]", "stages wait for each other: traces -> traces"),
        (
            "late.after=[trace]",
            "stage 'late' needs 'trace', which is not a stage of this pipeline; did you mean 'traces'",
        ),
    ],
)
def test_stages_that_can_have_no_order_are_named(recipe: Path, change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_pipeline(recipe, changes=[change])


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (Selection(), {"other", "problems", "traces", "late"}),
        (Selection(start="traces"), {"traces", "late"}),
        (Selection(until="traces"), {"problems", "traces"}),
        (Selection(start="problems", until="traces"), {"problems", "traces"}),
        (Selection(only="late"), {"late"}),
    ],
)
def test_a_part_of_a_pipeline_is_chosen_by_its_ends(recipe: Path, selection: Selection, chosen: set[str]) -> None:
    assert selection.choose(read_pipeline(recipe).stages) == chosen


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(only="trace"), "there is no stage 'trace'; did you mean 'traces'"),
        (Selection(start="late", until="traces"), "'traces' does not wait for 'late'"),
        (Selection(only="late", until="late"), "--only chooses one stage"),
    ],
)
def test_a_choice_of_no_stage_is_refused(recipe: Path, selection: Selection, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        selection.choose(read_pipeline(recipe).stages)


def test_a_stage_alone_needs_what_it_reads(recipe: Path, open_r1: Command) -> None:
    ran = open_r1("run", recipe, "--only", "traces")
    assert ran.status == 2 and "stage 'traces' needs 'problems', which is not done; run it first" in ran.err
    assert open_r1("run", recipe, "--until", "problems").status == 0
    assert open_r1("run", recipe, "--only", "traces").status == 0
    assert set(made()) == {"problems", "traces"}
    statuses = {stage["name"]: stage["status"] for stage in read_json(Path("out/pipeline.json"))["stages"]}
    assert statuses == {"other": "pending", "problems": "done", "traces": "done", "late": "pending"}
    changed = open_r1("run", recipe, "--only", "traces", "--set", "problems.sft=3")
    assert changed.status == 2 and "traces have changed since" in changed.err
    changed = open_r1("run", recipe, "--only", "traces", "--set", "problems.sft=3", "--overwrite")
    assert "needs 'problems', whose settings, seed or inputs have changed since" in changed.err
    assert set(made()) == {"problems", "traces"}


def test_a_forced_stage_runs_again_with_what_reads_it_and_no_other(recipe: Path, open_r1: Command) -> None:
    assert open_r1("run", recipe).status == 0
    before = made()
    refused = open_r1("run", recipe, "--force", "problems", "--only", "problems")
    assert refused.status == 2 and "--force problems also runs traces again" in refused.err and made() == before
    assert open_r1("run", recipe, "--force", "problems").status == 0
    after = made()
    assert {name for name in before if before[name] != after[name]} == {"problems", "traces"}


def test_a_dry_run_shows_the_graph_and_says_what_is_done(recipe: Path, open_r1: Command) -> None:
    assert open_r1("run", recipe, "--until", "traces").status == 0
    ran = open_r1("run", recipe, "--dry-run", "--set", "traces.style=deep")
    assert ran.status == 0, ran.err
    assert [" ".join(line.split()) for line in ran.out.splitlines()[1:5]] == [
        "other problems nothing to do",
        "problems problems nothing done",
        "└─ traces traces problems changed",
        "└─ late traces other, traces to do",
    ]
    assert "left out" in open_r1("run", recipe, "--dry-run", "--only", "traces").out


def test_a_dry_run_says_what_a_training_needs_where_that_is_known(
    recipe: Path, repo: Path, open_r1: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["run", repo / "recipes/tiny/pipeline.yaml", "--dry-run", "--output_dir", "tiny"]
    ran = open_r1(*words)
    assert ran.status == 0, ran.err
    estimates = [line for line in ran.out.splitlines() if "GiB" in line and "on 8xH100-80GB" in line]
    assert len(estimates) == 2
    monkeypatch.setattr("open_r1.launch.plan.planning.plan_training", lambda *_: 1 / 0)
    without = open_r1(*words)
    assert without.status == 0 and "GiB" not in without.out


def finish_evaluation(recipe: Path, accuracy: dict[str, Any]) -> None:
    """What an evaluation leaves, without its model."""
    folder = Path("out/before")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "identity.json", {"fingerprint": fingerprint_stages(read_pipeline(recipe))["before"]})
    write_json(folder / "summary.json", {"modes": {"greedy": {"accuracy": accuracy}}})
    write_json(folder / "done.json", {})
    (folder / "made.json").unlink(missing_ok=True)
    write_json(Path("out/pipeline.json"), {"stages": []})


def test_a_gate_stops_the_pipeline_until_its_evaluation_is_good_enough(
    recipe: Path, open_r1: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("open_r1.pipeline.kinds.evaluate.EvaluationStage.prepare", lambda *_: None)
    recipe.write_text(GATED)
    finish_evaluation(recipe, {"value": 0.6, "low": 0.4, "high": 0.8, "n": 20})
    stopped = open_r1("run", recipe)
    assert stopped.status == GateNotMet.exit_status == 3
    assert "gate 'enough' is not met: greedy accuracy of before is 60.0 [40.0, 80.0] %" in stopped.err
    assert "the low end of its interval must be above 50 %" in stopped.err and set(made()) == {"problems", "before"}
    assert read_states(read_pipeline(recipe))["enough"] == "failed"
    blocked = open_r1("run", recipe, "--only", "traces")
    assert blocked.status == 2 and "stage 'traces' needs 'enough', which is not done" in blocked.err
    met = open_r1("run", recipe, "--set", "enough.above=0.3")
    assert met.status == 0, met.err
    assert "60.0 [40.0, 80.0] %: above 30 %" in met.err and "traces" in made()
    finish_evaluation(recipe, {"value": None, "low": None, "high": None, "n": 0})
    assert open_r1("run", recipe, "--set", "enough.above=0").status == 3
    assert json.loads(Path("out/traces/done.json").read_text())["traces"] == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("enough.above=1", "above must be at least 0 and below 1, but is 1"),
        ("enough.by=high", "by must be value or low, but is 'high'"),
        ("enough.evaluation=problems", "evaluation is stage 'problems', which does not make summary.json"),
        ("enough.evaluation=a.json", "evaluation must name a stage, but is 'a.json'"),
        (
            "enough.mode=greedi",
            "stage 'enough': mode is 'greedi', which .*'before' does not have; did you mean 'greedy'",
        ),
    ],
)
def test_a_gate_that_can_not_be_evaluated_is_refused(recipe: Path, change: str, message: str) -> None:
    recipe.write_text(GATED)
    with pytest.raises(ConfigError, match=message):
        read_pipeline(recipe, changes=[change])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "traces.resources.gpus_per_node=-1",
            "stage 'traces': resources: gpus_per_node must be at least 0, but is -1",
        ),
        ("traces.resources.time_limit='1:00\nid'", r"resources: time_limit must be as sbatch takes it.*'1:00 id'"),
        ("traces.resources.gpus=1", "stage 'traces': resources: unknown setting 'gpus'"),
    ],
)
def test_resources_that_can_not_be_asked_for_are_refused(recipe: Path, change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_pipeline(recipe, changes=[change])


def test_a_job_asks_for_what_its_stage_needs(recipe: Path) -> None:
    from open_r1.pipeline.jobs import plan_jobs

    recipe.write_text(GATED)
    changes = ["traces.resources.gpus_per_node=2", "traces.resources.time_limit=1:00"]
    pipeline = read_pipeline(recipe, changes=changes)
    jobs = plan_jobs(pipeline, {"before", "enough", "traces"}, ["p.yaml"], read_states(pipeline), Site())
    assert [(job.name, job.gpus_per_node, job.after, job.time_limit) for job in jobs] == [
        ("before", 1, (), ""),
        ("enough", 0, ("before",), ""),
        ("traces", 2, ("enough",), "1:00"),
    ]
    assert jobs[1].command[-4:] == ("run", "p.yaml", "--only", "enough")


def test_a_training_on_several_gpus_has_a_process_a_gpu(recipe: Path, tiny_model: Path) -> None:
    from open_r1.pipeline.jobs import plan_jobs

    (recipe.parent / "grpo.yaml").write_text("num_generations: 4\nper_device_train_batch_size: 4\nbf16: true\n")
    line = f"  grpo: {{kind: grpo, model: {tiny_model}/, problems: problems, recipe: grpo.yaml}}\n"
    recipe.write_text(RECIPE + line)
    for changes, gpus, start in (
        (["grpo.resources.accelerator=zero3"], 8, "zero3.yaml --num_processes 8"),
        (["grpo.resources.gpus_per_node=1"], 1, ""),
    ):
        pipeline = read_pipeline(recipe, changes=changes)
        (job,) = plan_jobs(pipeline, {"grpo"}, ["p.yaml"], read_states(pipeline), Site())
        assert job.gpus_per_node == gpus and start in " ".join(job.command)
        assert ("open_r1.launch.node" in job.command) == (gpus > 1)
        assert job.command[-6:] == ("-m", "open_r1.cli.main", "run", "p.yaml", "--only", "grpo")
    pipeline = read_pipeline(recipe, changes=["grpo.overrides.num_generations=6", "grpo.resources.gpus_per_node=2"])
    with pytest.raises(ConfigError, match="stage 'grpo': .*2 processes don't fit"):
        plan_jobs(pipeline, {"grpo"}, ["p.yaml"], read_states(pipeline), Site())


def test_a_controller_that_does_not_answer_ends_no_wait(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, open_r1: Command
) -> None:
    from open_r1.pipeline import jobs

    recipe.write_text(GATED)
    pipeline = read_pipeline(recipe)
    write_json(Path("out/pipeline.json"), {"stages": [{"name": "problems", "job": "7", "log": "x"}]})
    answers = [(1, ""), (0, "7\n"), (1, ""), (0, ""), (1, "")]

    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        status, out = answers.pop(0)
        return subprocess.CompletedProcess(
            words, status, out, "slurm_load_jobs error: Unable to contact slurm controller"
        )

    monkeypatch.setattr(jobs, "run_slurm", ask)
    monkeypatch.setattr(jobs.shutil, "which", lambda name: name)
    with pytest.raises(RunError, match="stage 'problems' failed, see x"):  # and not before the job's end
        jobs.wait_for_jobs(pipeline, {"problems": "7"}, silent, every_s=0)
    assert len(answers) == 1
    shown = open_r1("run", recipe, "--dry-run")
    assert shown.status == 0 and "squeue fails" in shown.err, shown.err


def test_a_pipeline_is_read_without_the_libraries_of_servers(repo: Path) -> None:
    """`make demo` installs the extra `train` alone."""
    words = "import sys; sys.modules |= dict.fromkeys(('uvicorn', 'fastapi'))"
    command = f"{words}; from open_r1.cli.main import main; sys.exit(main(sys.argv[1:]))"
    path = repo / "recipes/tiny/pipeline.yaml"
    ran = subprocess.run([sys.executable, "-c", command, "run", path, "--dry-run"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
