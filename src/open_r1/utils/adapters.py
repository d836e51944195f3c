"""Open-R1's helpers under the names and arguments that its users call them by, each a few lines over what is here."""

from __future__ import annotations

import asyncio
import math
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from open_r1.errors import ConfigError

EVALUATE = Path(__file__).parents[3] / "slurm" / "evaluate.slurm"
SIZE = re.compile(r"(\d+(?:\.\d+)?)(?:x(\d+(?:\.\d+)?))?([bm])(?![a-z])")
"""A model's size in its name: 1.5b, 8x7b, 42m."""


def is_e2b_available() -> bool:
    """Whether E2B's client is installed."""
    return find_spec("e2b_code_interpreter") is not None


def is_morph_available() -> bool:
    """Whether Morph's client is installed."""
    return find_spec("morphcloud") is not None


def get_callbacks(train_config: Any, model_config: Any = None) -> list[Any]:
    """The callbacks of `train_config.callbacks`. ConfigError for an unknown one."""
    from open_r1.configs.checks import check_callbacks
    from open_r1.training.named_callbacks import make_callbacks

    check_callbacks(train_config)
    return make_callbacks(train_config.callbacks)


def PushToHubRevisionCallback(model_config: Any = None) -> Any:
    """The callback that pushes each checkpoint to a branch of its own."""
    from open_r1.training.named_callbacks import PushRevisionCallback

    return PushRevisionCallback()


def push_to_hub_revision(training_args: Any, extra_ignore_patterns: Sequence[str] = ()) -> None:
    """Push `output_dir` to `hub_model_revision` of `hub_model_id`, and wait for it. RunError where that fails."""
    from open_r1.hub.push import MODEL_LEFT_OUT, push_folder

    folder = Path(training_args.output_dir)
    push_folder(
        folder,
        training_args.hub_model_id,
        f"Add {folder.name}",
        revision=training_args.hub_model_revision,
        left_out=(*MODEL_LEFT_OUT, *extra_ignore_patterns),
    )


def get_param_count_from_repo_id(repo_id: str) -> int:
    """A model's parameters by its safetensors on the Hub, else by the size in its name; -1 where neither says it."""
    from huggingface_hub import get_safetensors_metadata

    try:
        return sum(get_safetensors_metadata(repo_id).parameter_count.values())
    except Exception:  # noqa: BLE001 - network, access, a repository of another kind: all leave the name
        sizes = [
            float(number) * float(times or 1) * {"b": 1e9, "m": 1e6}[unit]
            for number, times, unit in SIZE.findall(repo_id.lower())
        ]
        return round(max(sizes, default=-1))


def get_gpu_count_for_vllm(model_name: str, revision: str = "main", num_gpus: int = 8) -> int:
    """The most of `num_gpus` GPUs among which vLLM can share a model: it divides the attention heads and 64."""
    from transformers import AutoConfig

    heads = AutoConfig.from_pretrained(model_name, revision=revision).get_text_config().num_attention_heads
    return max(count for count in range(1, num_gpus + 1) if math.gcd(heads, 64) % count == 0)


def run_benchmark_jobs(training_args: Any, model_args: Any = None) -> None:
    """Submit slurm/evaluate.slurm for each of `training_args.benchmarks`, on the pushed model at its revision.

    ConfigError for an unknown benchmark, and where there is no Slurm.
    """
    from open_r1.evaluation.benchmarks import get_benchmark, split_names

    names = split_names(training_args.benchmarks)
    for name in names:
        get_benchmark(name)
    if not shutil.which("sbatch") or not EVALUATE.is_file():
        raise ConfigError(
            "benchmark jobs need Slurm's sbatch and a checkout with slurm/evaluate.slurm; here, run open-r1 eval "
            f"{training_args.hub_model_id} --benchmarks {','.join(names)}."
        )
    options = ["--model_revision", training_args.hub_model_revision]
    if training_args.system_prompt:
        options += ["--system_prompt", training_args.system_prompt]
    for name in names:
        subprocess.run(["sbatch", str(EVALUATE), training_args.hub_model_id, name, "dp", *options], check=True)


class ScriptProvider:
    """Runs scripts that print a score, as Open-R1's providers do, on a provider of ours (`provider`)."""

    def __init__(self, provider: Any) -> None:
        self.provider = provider

    def execute_scripts(self, scripts: Sequence[str], languages: Sequence[str]) -> list[float | None]:
        """The number in the last line that each script prints: 0 where there is none, None where it could not be run."""
        from open_r1.execution.programs import Program, Status

        programs = [Program(script, language) for script, language in zip(scripts, languages, strict=True)]
        return [
            None if execution.status is Status.UNAVAILABLE else last_number(execution.stdout)
            for execution in self.provider.run(programs)
        ]


def last_number(output: bytes) -> float:
    """The last line of an output as a number; 0 where it is none."""
    lines = output.decode("utf-8", "replace").strip().splitlines()
    try:
        return float(lines[-1])
    except (IndexError, ValueError):
        return 0.0


def get_provider(provider_type: str = "local", **options: Any) -> ScriptProvider:
    """A provider by name, ready to be used. ConfigError for an unknown one, and for one that can't be used here.

    Args:
        provider_type: local, e2b, morph, piston, sandbox_fusion or executor.
        options: `num_parallel`, `e2b_router_url`, `morph_router_url`.
    """
    from open_r1.rewards.program_reward import OF_PROVIDER, checked_provider

    if unknown := set(options) - set(OF_PROVIDER):
        raise ConfigError(
            f"get_provider has no option '{min(unknown)}'; it takes provider_type, {', '.join(OF_PROVIDER)}."
        )
    settings = SimpleNamespace(**{OF_PROVIDER[name]: value for name, value in options.items()})
    return ScriptProvider(checked_provider(provider_type, settings))


def get_piston_client_from_env(session: Any = None) -> Any:
    """The provider of PISTON_ENDPOINTS. ConfigError where that isn't set."""
    return get_provider("piston").provider


def get_morph_client_from_env(session: Any = None) -> Any:
    """The provider of MORPH_API_KEY. ConfigError where that isn't set."""
    return get_provider("morph").provider


def add_includes(code: str, problem_id: str) -> str:
    """An IOI submission with the headers that it lacks, its problem's among them; "" stays ""."""
    from open_r1.execution.contests.ioi import prepare_code

    return prepare_code(code, problem_id, {f"{problem_id}.h": b""}) if code else ""


async def score_subtask(
    client: Any,
    subtask: Mapping[str, Any],
    submission: str,
    test_case_run_cache: Any = None,
    test_batch_size: int = 1,
) -> Any:
    """The `SubtaskResult` of a program on a subtask, a row of open-r1/ioi; tests of several subtasks run once anyway."""
    from open_r1.execution.contests.case_files import IoiTests
    from open_r1.execution.contests.ioi import Subtask, score_subtasks
    from open_r1.execution.judge.judge import shared_judge

    tests = IoiTests.from_environment()
    task = Subtask.from_row(subtask, lambda year, problem, names: tests.load(year, problem, names))
    scored = asyncio.to_thread(score_subtasks, shared_judge(client), [(task, submission)], test_batch_size)
    return (await scored)[0]


async def score_submission(
    client: Any,
    problem_data: Mapping[str, Any],
    submission: str,
    test_batch_size: int = 1,
    scoring_mode: str = "weighted_sum",
    no_compile_reward: float = -0.1,
    no_submission_reward: float = -1.0,
    submission_language: str = "cpp",
) -> float | None:
    """A program's value on a row of open-r1/codeforces by the scoring mode; None where it can't be judged."""
    from open_r1.execution.contests.case_files import GeneratedTests
    from open_r1.execution.contests.codeforces import CodeforcesProblem, check_scoring_mode, score_programs
    from open_r1.execution.judge.judge import shared_judge

    if not submission:
        return no_submission_reward
    mode = check_scoring_mode(scoring_mode)
    problem = CodeforcesProblem.from_row(problem_data, GeneratedTests.from_environment())
    entries = [(problem, submission, submission_language)]
    (result,) = await asyncio.to_thread(score_programs, shared_judge(client), entries, mode, test_batch_size)
    return no_compile_reward if result.is_compile_error else result.value(mode)
