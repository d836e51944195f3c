"""How many functions of the package each of the design page's five trips passes through.

    python benchmarks/trips.py CHECKOUT DEMO [TRIP …]

CHECKOUT has the package to measure, DEMO a finished `open-r1 run recipes/tiny/pipeline.yaml`. Each trip is carried out
twice in this process, and the second time each distinct named function of the package that is entered is counted once, in
every thread: what imports and caches do the first time does not count. Worker processes are not seen.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

CHECKOUT, DEMO = (Path(word).resolve() for word in sys.argv[1:3])
PACKAGE = str(CHECKOUT / "src" / "open_r1")
sys.path.insert(0, str(CHECKOUT / "src"))


@contextlib.contextmanager
def counting(found: set[str]) -> Iterator[None]:
    """Add every named function of the package that is entered, as file:function."""

    def enter(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and not code.co_name.startswith("<"):
            found.add(f"{code.co_filename[len(PACKAGE) + 1 :]}:{code.co_qualname}")

    threading.setprofile(enter)
    sys.setprofile(enter)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def command(*words: object) -> None:
    """One command line, in this process."""
    main = importlib.import_module("open_r1.cli.main").main
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        status = main([str(word) for word in words])
    if status:
        raise RuntimeError(f"{words} ended with {status}: {said.getvalue()[-2000:]}")


def grpo_step(folder: Path, found: set[str]) -> None:
    """An update step of GRPO, the third: generation, rewards, advantages, loss, rollouts."""
    from transformers import Trainer

    original, steps = Trainer.training_step, 0

    def training_step(self: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal steps
        steps += 1
        with counting(found) if steps == 3 else contextlib.nullcontext():
            return original(self, *arguments, **options)

    Trainer.training_step = training_step  # type: ignore[method-assign]
    try:
        command("grpo", "--config", CHECKOUT / "recipes/tiny/grpo.yaml", "--model_name_or_path", DEMO / "sft",
                "--dataset_name", DEMO / "problems/rl.jsonl", "--output_dir", folder / "grpo", "--max_steps", 3,
                "--save_strategy", "no", "--preflight_prompts", 0, "--use_cpu", "true")  # fmt: skip
    finally:
        Trainer.training_step = original  # type: ignore[method-assign]


def recipe_key(folder: Path, found: set[str]) -> None:
    """The settings of a recipe, from its file to TRL's dataclasses."""
    module = (
        "open_r1.training.parse" if (CHECKOUT / "src/open_r1/training/parse.py").exists() else "open_r1.configs.parse"
    )
    words = ["--config", str(CHECKOUT / "recipes/tiny/grpo.yaml"), "--model_name_or_path", str(DEMO / "sft")]
    words += [
        "--dataset_name",
        str(DEMO / "problems/rl.jsonl"),
        "--output_dir",
        str(folder / "parsed"),
        "--use_cpu",
        "true",
    ]
    with counting(found):
        importlib.import_module(module).parse_stage("grpo", words)


def submitted_program(folder: Path, found: set[str]) -> None:
    """A program in a completion, run in the sandbox against a test."""
    reward = importlib.import_module("open_r1.rewards").binary_code_reward
    text = f"<think>\nx\n</think>\n```python\nprint(input() + '{folder.name}')\n```"
    case = {"input": "so\n", "output": f"so{folder.name}\n", "type": "stdin_stdout"}
    info = {"language": "python", "test_cases": [case]}
    with counting(found):
        (value,) = reward([[{"role": "assistant", "content": text}]], verification_info=[info])
    assert value == 1.0, value


def data_row(folder: Path, found: set[str]) -> None:
    """A trace that is verified, selected, compared with an evaluation set, and mixed."""
    row = {"problem": "What is 2+3?", "solution": "5", "completion": "<think>\nTwo and three.\n</think>\n\\boxed{5}",
           "finish_reason": "stop", "problem_id": folder.name}  # fmt: skip
    (folder / "traces.jsonl").write_text(json.dumps(row) + "\n")
    (folder / "test.jsonl").write_text(
        json.dumps({"problem": "How many legs have seven spiders and nine ants in all?"})
    )
    mixture = {
        "dataset_mixture": {"datasets": [{"id": str(folder / "clean.jsonl"), "columns": ["problem", "solution"]}]}
    }
    (folder / "mixture.yaml").write_text(json.dumps(mixture))
    with counting(found):
        command("data", "verify", folder / "traces.jsonl", "--output", folder / "verified.jsonl")
        command("data", "select", folder / "verified.jsonl", "--output", folder / "kept.jsonl")
        command("data", "decontaminate", folder / "kept.jsonl", "--against", folder / "test.jsonl", "--output",
                folder / "clean.jsonl", "--columns", "problem")  # fmt: skip
        command("data", "mix", folder / "mixture.yaml", "--output_dir", folder / "mixed")


def benchmark_question(folder: Path, found: set[str]) -> None:
    """A problem of a benchmark: sampled twice, scored, estimated."""
    (folder / "math.jsonl").write_text(json.dumps({"problem": "What is 2+3?", "answer": "5", "unique_id": "a",
                                                   "subject": "Algebra", "level": 1}))  # fmt: skip
    with counting(found):
        command("eval", DEMO / "sft", "--benchmarks", "math_500", "--data", f"math_500={folder / 'math.jsonl'}",
                "--num_samples", 2, "--max_new_tokens", 8, "--output_dir", folder / "eval")  # fmt: skip


TRIPS: list[Callable[[Path, set[str]], None]] = [
    grpo_step, recipe_key, submitted_program, data_row, benchmark_question,
]  # fmt: skip


def main() -> None:
    for trip in TRIPS:
        if sys.argv[3:] and trip.__name__ not in sys.argv[3:]:
            continue
        found: set[str] = set()
        for times in range(1 if trip is grpo_step else 2):
            found.clear()
            folder = Path(tempfile.mkdtemp(prefix=f"trip{'x' * times}-"))
            trip(folder, found)
            shutil.rmtree(folder)
        print(f"{trip.__name__}: {len(found)} functions of {len({name.partition(':')[0] for name in found})} modules")


if __name__ == "__main__":
    main()
