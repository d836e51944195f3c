"""What decides whether a finished stage is still valid, and what a kind of stage needs to be one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from open_r1.errors import ConfigError, DataError, RunFolderError, UsageError
from open_r1.pipeline import Selection, read_pipeline, runner
from open_r1.pipeline.kinds.evaluate import EvaluationStage
from open_r1.pipeline.stage import KINDS, Context, Stage, StageName, naming_stage, setting_names
from open_r1.rundir import RunDir, read_json, write_json

RECIPE = """
output_dir: out
seed: 3
threads: 2
stages:
  problems: {kind: problems, families: {sums: [2, 4]}, sft: 10, rl: 20, held_out: 5}
  traces: {kind: traces, style: terse, lazy_share: {1: 0.2, 3: 0.6}}
  base: {kind: model, shape: {num_layers: 1}}
  sft: {kind: sft, model: base, recipe: sft.yaml, overrides: {max_steps: 4, learning_rate: 0.001}}
  report: {kind: report}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text(RECIPE)
    (tmp_path / "sft.yaml").write_text("seed: 1\nbf16: false\n")
    return path


def test_a_finished_run_stays_valid(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "__version__", "0.1.0")
    assert runner.fingerprint_stages(read_pipeline(recipe)) == {
        "problems": "f617285ef94d42ca", "traces": "cdb1ce831b65a71e", "base": "731b7c8554207fd1",
        "sft": "6b83555a3ef230dc", "report": "8c1187f020e49794",
    }  # fmt: skip


def test_a_change_reaches_the_stages_that_depend_on_it_and_no_other(recipe: Path) -> None:
    before = runner.fingerprint_stages(read_pipeline(recipe))
    after = runner.fingerprint_stages(read_pipeline(recipe, changes=["traces.style=deep"]))
    assert {name for name in before if before[name] != after[name]} == {"traces", "base", "sft"}
    (recipe.parent / "sft.yaml").write_text("seed: 1\nbf16: true\n")
    again = runner.fingerprint_stages(read_pipeline(recipe))
    assert {name for name in before if before[name] != again[name]} == {"sft"}


@pytest.mark.parametrize("change", ["save_steps=7", "report_to=none", "logging-steps=3", "save_total_limit=2"])
def test_what_does_not_change_the_model_leaves_a_stage_done(recipe: Path, change: str) -> None:
    before = runner.fingerprint_stages(read_pipeline(recipe))
    assert runner.fingerprint_stages(read_pipeline(recipe, changes=[f"sft.overrides.{change}"])) == before
    (recipe.parent / "sft.yaml").write_text(f"seed: 1\nbf16: false\n{change.replace('-', '_').replace('=', ': ')}\n")
    assert runner.fingerprint_stages(read_pipeline(recipe)) == before


def test_flags_win_over_the_recipe(recipe: Path) -> None:
    pipeline = read_pipeline(recipe, "elsewhere", 7, ["problems.sft=2", "base.shape.head_dim=32"])
    assert (pipeline.output_dir, pipeline.seed, pipeline.threads, pipeline.name) == (
        Path("elsewhere"),
        7,
        2,
        "pipeline",
    )
    assert pipeline.stages[0].sft == 2  # type: ignore[attr-defined]
    assert pipeline.stages[2].shape == {"num_layers": 1, "head_dim": 32}  # type: ignore[attr-defined]
    assert read_pipeline(recipe).seed == 3


def test_what_a_stage_overrides_is_known_by_its_line(recipe: Path) -> None:
    resolved = read_pipeline(recipe, changes=["sft.overrides.save_steps=2"]).stages[3].prepare(Path("out"), 3)
    assert (resolved.given["learning_rate"], resolved.given["max_steps"], resolved.given["seed"]) == (1e-3, 4, 3)
    assert resolved.origins["max_steps"] == f"{recipe}:9"
    assert resolved.origins["bf16"].endswith("sft.yaml:2")
    assert resolved.origins["save_steps"] == "--set sft.overrides.save_steps=2"
    assert resolved.origins["seed"] == "pipeline"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("tracs.style=deep", r"--set tracs.style=deep: there is no stage 'tracs'; did you mean 'traces'"),
        ("traces=deep", r"--set traces=deep can't be read; write --set STAGE.KEY=VALUE"),
        ("traces.styl=deep", r"--set traces.styl=deep: stage 'traces': unknown setting 'styl'; did you mean 'style'"),
        ("traces.lazy_share.1=2", r"stage 'traces': lazy_share\[1\] must be 0 to 1, but is 2"),
        ("problems.sft=0", r"--set problems.sft=0: stage 'problems': sft must be at least 1, but is 0"),
        ("base.kind=modle", r"--set base.kind=modle: stage 'base' is of unknown kind 'modle'; did you mean 'model'"),
        (
            "base.traces=trace",
            r"stage 'base' needs 'trace', which is not a stage of this pipeline; did you mean 'traces'",
        ),
    ],
)
def test_a_change_that_cannot_be_made_is_named(recipe: Path, change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_pipeline(recipe, changes=[change])


def test_a_new_kind_of_stage_is_one_class(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("open_r1.pipeline.stage.KINDS", KINDS)
    before = dict(KINDS)

    @dataclass(frozen=True)
    class CountStage(Stage):
        kind: ClassVar[str] = "count"
        makes: ClassVar[tuple[str, ...]] = ("count.txt",)
        inputs: ClassVar[tuple[str, ...]] = ("problems",)

        problems: StageName
        times: int = 1

        def prepare(self, root: Path, seed: int) -> int:
            return self.times * seed

        def run(self, context: Context) -> dict[str, Any]:
            rows = (context.folder(self.problems) / "rl.jsonl").read_text().count("\n")
            (context.run.path / "count.txt").write_text(str(rows * context.prepared))
            return {}

    try:
        lines = RECIPE.splitlines()[:6]
        recipe.write_text("\n".join([*lines, "  count: {kind: count, problems: problems, times: 2}", ""]))
        pipeline = read_pipeline(recipe, recipe.parent / "out")
        runner.run_pipeline(pipeline, lambda line: None)
    finally:
        KINDS.clear()
        KINDS.update(before)
    assert (recipe.parent / "out" / "count" / "count.txt").read_text() == str(20 * 2 * 3)
    assert setting_names(CountStage) == ["problems", "times"]


@pytest.mark.parametrize("name", ["num_samples", "max_new_tokens", "max_problems", "batch_size"])
def test_a_count_of_an_evaluation_is_at_least_one(recipe: Path, name: str) -> None:
    with recipe.open("a") as file:
        file.write(f"  after: {{kind: evaluate, model: sft, {name}: 1}}\n")
    read_pipeline(recipe)
    with pytest.raises(ConfigError, match=f"--set after.{name}=0: stage 'after': {name} must be at least 1, but is 0"):
        read_pipeline(recipe, changes=[f"after.{name}=0"])
    with pytest.raises(ConfigError, match=f"stage 'after': {name} must be a whole number or null, but is True"):
        read_pipeline(recipe, changes=[f"after.{name}=true"])


def test_a_refusal_names_its_stage_once() -> None:
    for message in ("no such thing", "x.yaml:1: stage 'a': no such thing"):
        with (
            pytest.raises(ConfigError, match=r"^(?!.*stage 'a'.*stage 'a').*stage 'a': no such thing$"),
            naming_stage("a"),
        ):
            raise ConfigError(message)


def test_the_demonstration_computes_on_the_cpu_wherever_it_is(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a GPU, or on a Mac: its figures are the README's."""
    import torch

    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    stages = {stage.name: stage for stage in read_pipeline(repo / "recipes/tiny/pipeline.yaml", tmp_path).stages}
    prepared = [stages[name].prepare(tmp_path, 0).training.use_cpu for name in ("sft", "grpo")]
    assert prepared == [True, True]
    evaluations = [stage for stage in stages.values() if isinstance(stage, EvaluationStage)]
    assert [stage.use_cpu for stage in evaluations] == [True] * 3


def test_an_evaluation_on_the_cpu_loads_its_model_there(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from open_r1.evaluation.backends import transformers_backend

    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("meta"))
    generators: list[Any] = [
        transformers_backend(str(tiny_model), 1, use_cpu=use_cpu).completer.generator for use_cpu in (False, True)
    ]
    assert [generator.model.device.type for generator in generators] == ["meta", "cpu"]


@pytest.mark.parametrize("key", ["model_name_or_path", "dataset_name", "output_dir", "seed", "dataset_mixture"])
def test_what_a_stage_sets_itself_can_not_be_overridden(recipe: Path, key: str) -> None:
    """`--set sft.overrides.dataset_name=/nonexistent` trained happily on the old data."""
    with pytest.raises(ConfigError, match=rf"--set sft.overrides.{key}=x: stage 'sft': {key} can't be overridden"):
        read_pipeline(recipe, changes=[f"sft.overrides.{key}=x"])


OWN = """
output_dir: out
stages:
  problems: {kind: problems, sft: mine.jsonl, rl: mine.jsonl, held_out: mine.jsonl}
  sft: {kind: sft, model: ./base, traces: mine_traces.jsonl, recipe: sft.yaml, overrides: {max_steps: 4}}
  grpo: {kind: grpo, model: org/model-1.5, problems: mine.jsonl, recipe: sft.yaml}
  after: {kind: evaluate, model: ./base, problems: mine.jsonl}
"""


@pytest.fixture
def own(recipe: Path, tiny_model: Path) -> Path:
    """A pipeline of the user's own files, beside the recipe."""
    recipe.write_text(OWN)
    rows = [{"question": f"{n}+1?", "answer": n + 1} for n in range(3)]
    (recipe.parent / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (recipe.parent / "mine_traces.jsonl").write_text(
        '{"messages": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]}\n'
    )
    shutil.copytree(tiny_model, recipe.parent / "base")
    return recipe


def test_a_pipeline_takes_the_users_own_problems_traces_and_model(own: Path) -> None:
    stages = {stage.name: stage for stage in read_pipeline(own).stages}
    assert [stage.needs() for stage in stages.values()] == [[], [], [], []]
    resolved = stages["sft"].prepare(Path("out"), 3).given
    assert resolved["model_name_or_path"] == str(own.parent / "base")
    assert resolved["dataset_name"] == str(own.parent / "mine_traces.jsonl")
    assert stages["grpo"].place("org/model-1.5", Path("out")) == "org/model-1.5"
    assert [problem.prompt for problem in stages["after"].plan(Path("out"), 0).problems] == ["0+1?", "1+1?", "2+1?"]  # type: ignore[attr-defined]
    recipe = "\n".join(OWN.splitlines()[:4])
    own.write_text(recipe)
    runner.run_pipeline(read_pipeline(own, own.parent / "out"), lambda line: None)
    rows = [json.loads(line) for line in (own.parent / "out" / "problems" / "rl.jsonl").read_text().splitlines()]
    assert [(row["prompt"], row["solution"]) for row in rows] == [("0+1?", "1"), ("1+1?", "2"), ("2+1?", "3")]


def test_other_contents_of_the_users_own_files_are_another_run(own: Path) -> None:
    before = runner.fingerprint_stages(read_pipeline(own))
    with (own.parent / "mine.jsonl").open("a") as file:
        file.write('{"question": "9+1?", "answer": 10}\n')
    after = runner.fingerprint_stages(read_pipeline(own))
    assert {name for name in before if before[name] != after[name]} == {"problems", "grpo", "after"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "sft.traces=problems",
            r"stage 'sft': traces is stage 'problems', which does not make traces.jsonl; .*: traces",
        ),
        ("sft.model=traces", r"stage 'sft': model is stage 'traces', which does not make model.safetensors; .*: base"),
        (
            "problems.sft=mine.jsonl",
            r"stage 'traces': traces are written for problems of task families, .*'mine.jsonl'",
        ),
    ],
)
def test_a_stage_that_does_not_make_what_a_later_one_reads_is_named_before_anything_runs(
    recipe: Path, change: str, message: str
) -> None:
    (recipe.parent / "mine.jsonl").write_text('{"question": "1+1?", "answer": 2}\n')
    with pytest.raises(ConfigError, match=message):
        read_pipeline(recipe, changes=[change])


def test_problems_without_answers_are_named_before_anything_runs(recipe: Path) -> None:
    (recipe.parent / "mine.jsonl").write_text('{"question": "1+1?"}\n')
    stages = read_pipeline(recipe, changes=["problems.held_out=mine.jsonl"]).stages
    with pytest.raises(DataError, match="no column of answers"):
        stages[0].prepare(Path("out"), 0)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ("problems.rl=absent.jsonl", "absent.jsonl"),
        ("sft.model=./absent", "./absent"),
        ("sft.traces=a/b.csv", "a/b.csv"),
    ],
)
def test_a_file_of_the_users_own_that_is_not_there_is_named(own: Path, change: str, missing: str) -> None:
    with pytest.raises(
        ConfigError, match=f"stage '{change.partition('.')[0]}': '{missing}' does not exist, neither beside"
    ):
        read_pipeline(own, changes=[change])


def test_more_problems_than_a_family_has_are_refused_before_the_first_stage(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text("output_dir: out\nstages:\n  few: {kind: problems, families: {sums: [1, 2]}, held_out: 200}\n")
    (stage,) = read_pipeline(path).stages
    with pytest.raises(ConfigError, match=r"stage 'few': .*about 91 distinct held_out problems.*200 were asked for"):
        stage.prepare(tmp_path, 0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("kind: verify, rewards: [acuracy]", "did you mean 'accuracy'"),
        ("kind: verify, rewards: [cosine], reward_settings: {cosine_max_length: 5}", "did you mean 'cosine_max_len'"),
        ("kind: verify, threshold: .nan", "threshold must be a number"),
        ("kind: mix", "traces.{name} must be a share above 0"),
        ("kind: verify, rewards: [cf_code]", "stage 'a': reward 'cf_code' needs the column"),
        ("kind: select", "stage 'a': '{name}' has no column 'verified'"),
        ("kind: select, keep: all", "stage 'a': data set '{name}' has no column of problems"),
    ],
)
def test_what_a_stage_of_curation_can_t_do_is_found_before_the_first_stage(
    settings: str, said: str, tmp_path: Path
) -> None:
    traces = tmp_path / "mine.jsonl"
    traces.write_text('{"completion": "1", "solution": "1"}\n')
    source = f"{{{traces}: .inf}}" if "mix" in settings else traces
    path = tmp_path / "pipeline.yaml"
    path.write_text(f"output_dir: out\nstages:\n  a: {{{settings}, traces: {source}}}\n")

    def check() -> None:
        pipeline = read_pipeline(path)
        runner.prepare_stage(pipeline, pipeline.stages[0])

    with pytest.raises(UsageError) as refused:
        check()
    assert said.format(name=traces) in str(refused.value)


CONVERSATIONS = """
output_dir: out
stages:
  verify: {kind: verify, traces: mine.jsonl}
  select: {kind: select, traces: verify}
  mix: {kind: mix, traces: {select: 1}}
"""


def test_conversations_without_a_problem_are_found_before_the_first_stage(
    tmp_path: Path, open_r1: Callable[..., Any]
) -> None:
    row = {"messages": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}], "solution": "2"}
    (tmp_path / "mine.jsonl").write_text(json.dumps(row) + "\n")
    recipe = tmp_path / "pipeline.yaml"
    recipe.write_text(CONVERSATIONS)
    ran = open_r1("run", recipe, "--output_dir", tmp_path / "out", "--dry-run")
    assert ran.status == 2
    assert "stage 'select': data set 'stage verify' has no column of problems (prompt, problem" in ran.err
    (tmp_path / "mine.jsonl").write_text(json.dumps(row | {"problem": "1+1?"}) + "\n")
    assert open_r1("run", recipe, "--output_dir", tmp_path / "out", "--dry-run").status == 0
    recipe.write_text(CONVERSATIONS.replace("mine.jsonl", "bare.jsonl").replace("select: 1", "verify: 1"))
    (tmp_path / "bare.jsonl").write_text('{"completion": "2", "problem": "1+1?", "solution": "2"}\n')
    ran = open_r1("run", recipe, "--output_dir", tmp_path / "out", "--dry-run")
    assert "stage 'mix': 'verify' has no column 'messages' with conversations" in ran.err


@pytest.mark.parametrize("content", ["", "\n \n"])
@pytest.mark.parametrize("stage", [
    "kind: verify, traces: mine.jsonl", "kind: select, traces: mine.jsonl", "kind: mix, traces: {mine.jsonl: 1}",
    "kind: model, traces: mine.jsonl", "kind: pretrain, model: ./base, traces: mine.jsonl, problems: mine.jsonl",
    "kind: sft, model: ./base, traces: mine.jsonl, recipe: sft.yaml",
    "kind: grpo, model: ./base, problems: mine.jsonl, recipe: sft.yaml",
    "kind: generate, model: ./base, problems: mine.jsonl", "kind: evaluate, model: ./base, problems: mine.jsonl",
])  # fmt: skip
def test_an_empty_file_of_the_users_own_is_found_before_the_first_stage(own: Path, stage: str, content: str) -> None:
    own.write_text(f"output_dir: out\nstages:\n  a: {{{stage}}}\n")
    (own.parent / "mine.jsonl").write_text(content)
    pipeline = read_pipeline(own)
    with pytest.raises(DataError, match=r"mine.jsonl' (contains no|has no|is empty)"):
        runner.prepare_stage(pipeline, pipeline.stages[0])


def test_problems_without_a_gold_are_found_before_the_first_stage_of_reinforcement_learning(own: Path) -> None:
    (own.parent / "mine.jsonl").write_text('{"prompt": "1+1?"}\n')
    own.write_text(
        "output_dir: out\nstages:\n  a: {kind: grpo, model: ./base, problems: mine.jsonl, recipe: sft.yaml}\n"
    )
    pipeline = read_pipeline(own)
    with pytest.raises(DataError, match="stage 'a': .*column 'solution'"):
        runner.prepare_stage(pipeline, pipeline.stages[0])


def test_every_part_of_a_sharded_model_is_guarded(recipe: Path, tmp_path: Path) -> None:
    stage = read_pipeline(recipe).stages[3]
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    run = RunDir(tmp_path / "sft")
    run.create()
    for name in (*names, "README.md"):
        (run.path / name).write_text(name)
    assert [path.name for path in stage.made_files(run.path)] == names
    write_json(run.path / "made.json", runner._hash_made(run, stage))
    runner._check_made(run, stage)
    (run.path / names[1]).write_text("other weights")
    with pytest.raises(RunFolderError, match=f"{names[1]}' was changed or removed since stage 'sft' made it"):
        runner._check_made(run, stage)
    (run.path / names[1]).unlink()
    with pytest.raises(RunFolderError, match=f"{names[1]}' was changed or removed"):
        runner._check_made(run, stage)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"kind": "traces"}, "stages[0] has no key 'name'"),
        ({"name": ["a"]}, 'name of stages[0] must be a text, but is ["a"]'),
        ({"name": "traces", "job": 12}, "job of stages[0] must be a text, but is 12"),
        ("traces", 'stages[0] must be an object, but is "traces"'),
    ],
)
def test_a_record_of_the_pipeline_that_was_edited_by_hand_is_named_with_its_key(
    recipe: Path, tmp_path: Path, entry: Any, said: str
) -> None:
    pipeline = read_pipeline(recipe, tmp_path / "out")
    write_json(tmp_path / "out" / "pipeline.json", {"stages": [entry]})
    with pytest.raises(RunFolderError) as refused:
        runner.read_states(pipeline)
    assert f"'{tmp_path / 'out' / 'pipeline.json'}': " in str(refused.value) and said in str(refused.value)
    assert str(refused.value).endswith("restore it, or write {} into it: the stages' own folders have what is done.")
    (tmp_path / "out" / "pipeline.json").write_text("{}")
    assert set(runner.read_states(pipeline).values()) == {"to do", "every run"}


def test_a_stage_s_folder_that_is_a_link_is_not_removed(recipe: Path, tmp_path: Path) -> None:
    pipeline = read_pipeline(recipe, output_dir=tmp_path / "out")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "traces").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunFolderError, match="is a link"):
        runner.remove_stage(pipeline, "traces")
    assert (tmp_path / "elsewhere").is_dir()


def test_a_kill_while_a_stage_is_removed_leaves_no_half_of_it(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = read_pipeline(recipe, tmp_path / "out")
    runner.run_pipeline(pipeline, lambda line: None, selection=Selection(until="traces"))
    rmtree = shutil.rmtree

    def killed(folder: Path) -> None:
        (folder / "made.json").unlink()
        (folder / "traces.jsonl").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(runner.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        runner.run_pipeline(pipeline, lambda line: None, selection=Selection(only="traces", force=("traces",)))
    monkeypatch.setattr(runner.shutil, "rmtree", rmtree)
    assert runner.read_states(pipeline)["traces"] == "to do"
    runner.run_pipeline(pipeline, lambda line: None, selection=Selection(only="traces"))
    assert (tmp_path / "out" / "traces" / "traces.jsonl").is_file()
    runner.remove_stage(pipeline, "traces")
    assert not [path for path in (tmp_path / "out").iterdir() if "traces" in path.name]


def test_a_stage_killed_after_its_marker_still_gets_its_records(recipe: Path, tmp_path: Path) -> None:
    pipeline = read_pipeline(recipe, tmp_path / "out")
    chosen = Selection(until="traces")
    runner.run_pipeline(pipeline, lambda line: None, selection=chosen)
    folder = tmp_path / "out" / "traces"
    origin = read_json(folder / "origin.json")
    (folder / "made.json").unlink()
    (folder / "origin.json").unlink()
    runner.run_pipeline(pipeline, lambda line: None, selection=chosen)
    again = read_json(folder / "origin.json")
    assert {key: again[key] for key in ("inputs", "made")} == {key: origin[key] for key in ("inputs", "made")}
    assert (folder / "made.json").is_file()
