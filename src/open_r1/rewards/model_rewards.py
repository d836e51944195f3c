"""Rewards that are models, named in `reward_funcs` by a reference:

    model:FOLDER                                 a sequence-classification model; its logit, of any size, is the value
    model:org/name                               the same from the Hub
    judge:http://host:8000/v1?model=NAME         a judge behind a server of OpenAI's chat API; from 0 to 1

`asks=` says what a judge is asked: `helpfulness` (the default) and `harmlessness` rate the response, the former without its
thinking; `answer` compares its answer with the column `solution`. With `rows=open` either kind scores only rows without a
`solution`: in a mixture of verifiable problems and others, rules decide the former (R1, arXiv:2501.12948, section 2.3.4).

A model that fails, a server that is down and a verdict that can't be read leave samples unscored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from open_r1.configs.references import SourceReference, read_source
from open_r1.errors import ConfigError, ModelError, nearest
from open_r1.generation import EndpointsGone
from open_r1.generation.judge_model import RATED, JudgeModel, Question, rating_question, same_answer_question
from open_r1.generation.openai_server import OpenAIServer
from open_r1.generation.server_settings import ServerSettings
from open_r1.hub.folders import check_model_path, looks_local
from open_r1.net.addresses import parse_api_address
from open_r1.records import Outcome
from open_r1.rewards.answer_reward import problems_of
from open_r1.rewards.base import NOT_APPLICABLE, Columns, RewardFunction, optional_column, run_awaitable
from open_r1.rewards.spec import RewardSpec
from open_r1.rundir import read_json
from open_r1.text.thinking import visible_part

PREFIXES = ("model:", "judge:")
ASKS = (*RATED, "answer")
JUDGE_CONCURRENCY, JUDGE_TIMEOUT_S, JUDGE_PATIENCE_S = 32, 300.0, 60.0


def is_model_reward(name: str) -> bool:
    """Whether a reward's name refers to a model."""
    return name.startswith(PREFIXES)


def local_folder(name: str) -> Path | None:
    """The folder of a reward model; None for one of the Hub, a judge, and any other reward."""
    folder = Path(name.partition(":")[2].partition("?")[0]).expanduser()
    return folder if name.startswith("model:") and folder.is_dir() else None


def scores_open_rows(name: str) -> bool:
    """Whether a reward is a model for the rows without a solution alone."""
    return is_model_reward(name) and "rows=open" in name.partition("?")[2].split("&")


def with_solutions(reward: RewardFunction) -> RewardFunction:
    """The reward for rows that have a solution; it does not apply to the others."""

    def score(texts: list[str], columns: Columns) -> list[Outcome]:
        outcomes = zip(reward.score(**columns), columns["solution"], strict=True)
        return [outcome if gold else Outcome(None, NOT_APPLICABLE) for outcome, gold in outcomes]

    return RewardFunction(reward.__name__, score, reward.needs_columns)


def model_reward_spec(name: str) -> RewardSpec:
    """The reward that a reference names. ConfigError or ModelError for one that can't be used; nothing is loaded."""
    kind, _, rest = name.partition(":")
    reference = read_source(rest, f"reward {kind}", ("rows",) if kind == "model" else ("rows", "model", "asks"))
    if not reference.name:
        raise ConfigError(
            f"reward '{name}' names nothing; write model:FOLDER, model:org/name or judge:http://host/v1."
        )
    if (rows := reference.options.get("rows", "all")) not in ("all", "open"):
        raise ConfigError(f"reward '{name}' has rows={rows}; write rows=open, or leave it out for all rows.")
    return _model_spec(name, reference) if kind == "model" else _judge_spec(name, reference)


def _model_spec(name: str, reference: SourceReference) -> RewardSpec:
    folder = reference.name
    check_model_path(folder)
    if looks_local(folder):
        kinds = read_json(Path(folder).expanduser() / "config.json").get("architectures") or []
        if not any("SequenceClassification" in kind for kind in kinds):
            raise ModelError(
                f"reward '{name}': '{folder}' is a {', '.join(kinds) or 'model of no stated kind'}, not a model for "
                "sequence classification; give one that was trained with a head of one label, as by trl's RewardTrainer."
            )
    function_name = f"model_{_word(folder.rstrip('/').rpartition('/')[2])}_reward"
    score = partial(_score_rows, partial(_score_by_model, folder), reference.options.get("rows") == "open")
    return RewardSpec(
        name=name,
        build=lambda settings: RewardFunction(function_name, score),
        kind="own",
        function_name=function_name,
        summary="the logit of a sequence-classification model for prompt and completion",
        formula="r = logit",
        source="as TRL's GRPOTrainer takes a reward model",
    )


def _judge_spec(name: str, reference: SourceReference) -> RewardSpec:
    options = reference.options
    asks = options.get("asks", ASKS[0])
    if asks not in ASKS:
        raise ConfigError(f"reward '{name}' has asks={asks}{nearest(asks, ASKS)} Choose one of: {', '.join(ASKS)}.")
    if asks == "answer" and options.get("rows") == "open":
        raise ConfigError(f"reward '{name}': rows without a solution have no answer to compare; leave rows=open out.")
    server = ServerSettings(
        options.get("model"),
        (parse_api_address(reference.name).url,),
        concurrency=JUDGE_CONCURRENCY,
        timeout=JUDGE_TIMEOUT_S,
        patience=JUDGE_PATIENCE_S,
    )
    function_name = f"judge_{asks}_reward"
    score = partial(_score_rows, partial(_score_by_judge, server, asks), options.get("rows") == "open")
    needs_columns = ("solution",) if asks == "answer" else ()
    return RewardSpec(
        name=name,
        build=lambda settings: RewardFunction(function_name, score, needs_columns),
        kind="task" if asks == "answer" else "own",
        function_name=function_name,
        summary=f"what a judge model says of the {'answer' if asks == 'answer' else f'response: its {asks}'}",
        formula="r = 1 for the same answer, 0 for another" if asks == "answer" else "r = points / 10",
        source="DeepSeek-R1 (arXiv:2501.12948), section 2.3.4",
        needs_columns=needs_columns,
        scores_alone=True,
    )


def _word(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text)


def _score_rows(score: Any, is_for_open: bool, texts: list[str], columns: Columns) -> list[Outcome]:
    """`score` for the rows it is for: all, or those without a gold answer."""
    golds = optional_column(columns, "solution", len(texts), "") if is_for_open else [""] * len(texts)
    places = [place for place, gold in enumerate(golds) if not gold]
    outcomes = [Outcome(None, NOT_APPLICABLE)] * len(texts)
    if places:
        for place, outcome in zip(places, score(places, texts, columns), strict=True):
            outcomes[place] = outcome
    return outcomes


def _score_by_model(folder: str, places: Sequence[int], texts: list[str], columns: Columns) -> list[Outcome]:
    from open_r1.rewards.reward_model import load_reward_model

    given = next((columns[name] for name in ("prompts", "prompt", "problem") if columns.get(name) is not None), None)
    prompts = [""] * len(texts) if given is None else given
    model = load_reward_model(folder)
    return _score_conversations(model, [_conversation(prompts[at], columns["completions"][at]) for at in places])


def _score_conversations(model: Any, conversations: Sequence[Any]) -> list[Outcome]:
    """The logits; where the model fails on all together, each is scored alone, and those that it fails on are unscored."""
    try:
        scores = model.score(conversations)
    except (RuntimeError, IndexError) as error:  # memory, turns that its template refuses, more tokens than its places
        if len(conversations) > 1:
            return [outcome for one in conversations for outcome in _score_conversations(model, [one])]
        return [Outcome(None, "model_failed", {"error": str(error)[:500]})]
    return [Outcome(value, "scored") if math.isfinite(value) else Outcome(None, "not_finite") for value in scores]


def _conversation(prompt: Any, completion: Any) -> str | list[dict[str, Any]]:
    if isinstance(prompt, str) and isinstance(completion, str):
        return prompt + completion
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt or ())
    return [*turns, *([{"role": "assistant", "content": completion}] if isinstance(completion, str) else completion)]


def _score_by_judge(
    server: ServerSettings, asks: str, places: Sequence[int], texts: list[str], columns: Columns
) -> list[Outcome]:
    problems = problems_of(columns) or [""] * len(texts)
    if settled := _settle_without_judge(asks, places, texts, columns):
        asked = [place for place in places if place not in settled]
        judged = _score_by_judge(server, asks, asked, texts, columns) if asked else []
        settled |= dict(zip(asked, judged, strict=True))
        return [settled[place] for place in places]
    questions = [_question(asks, problems[place] or "", texts[place], columns, place) for place in places]
    judge = JudgeModel(OpenAIServer(server))
    try:
        outcomes = run_awaitable(judge.ask_all(questions))
    except (ConfigError, EndpointsGone) as error:
        return [Outcome(None, "judge_unavailable", {"error": str(error)[:500]})] * len(places)
    if asks != "answer":
        return outcomes
    words = {1.0: "correct", 0.0: "wrong"}
    return [Outcome(one.value, words.get(one.value, one.reason), one.details) for one in outcomes]  # type: ignore[arg-type]


def _settle_without_judge(asks: str, places: Sequence[int], texts: list[str], columns: Columns) -> dict[int, Outcome]:
    """The answers that need no judge: without a solution unscored, and 0 where nothing follows the thinking."""
    if asks != "answer":
        return {}
    settled = {at: Outcome(0.0, "no_answer") for at in places if not visible_part(texts[at]).strip()}
    return settled | {at: Outcome(None, "no_gold") for at in places if columns["solution"][at] in (None, "")}


def _question(asks: str, problem: str, text: str, columns: Columns, place: int) -> Question:
    if asks == "answer":
        return same_answer_question(problem, str(columns["solution"][place]), visible_part(text))
    return rating_question(asks, problem, text if asks == "harmlessness" else visible_part(text))
