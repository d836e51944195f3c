"""The protocol of Open-R1's routers, `POST /execute_batch`: for clients that expect an E2B or a Morph router.

Request: {scripts, languages or language, timeout, request_timeout}; seconds. Answer: a list, one entry a script, in
order, with what a client of either router reads:

    {"execution": {"results", "logs": {"stdout", "stderr"}, "error", "execution_count"} or null,   as E2B's
     "text": ...,                                                                                  as Morph's
     "exception_str": null, or why there is no result}

As with E2B, a script that raises has an execution with an error; one that runs out of time or can't be run has none.
`request_timeout` is there for the time that a sandbox takes to be created, of which there is none here.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field

from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.service import notebook
from open_r1.execution.service.refusals import Refusal
from open_r1.execution.service.schema import Language, check_count
from open_r1.execution.service.settings import ServiceSettings
from open_r1.text.languages import canonical_language

Seconds = Annotated[float, Field(gt=0)]

ENDED_BY = {
    Status.TIME_LIMIT: "TimeoutError: the script took longer than its time limit",
    Status.MEMORY_LIMIT: "MemoryError: the script used more than its memory limit",
    Status.OUTPUT_LIMIT: "the script wrote more than its output limit",
}


class RouterRequest(BaseModel):
    """Keys that aren't known are ignored, as the routers do."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    scripts: Annotated[list[str], FailFast()]
    languages: list[Language] | None = None
    language: Language = "python"
    timeout: Seconds = 30
    request_timeout: Seconds = 30

    def to_programs(self, settings: ServiceSettings, mark: str) -> list[Program]:
        check_count(len(self.scripts), settings)
        languages = self.languages or [self.language] * len(self.scripts)
        if len(languages) != len(self.scripts):
            raise Refusal(
                422, "malformed", f"languages has {len(languages)} entries and scripts {len(self.scripts)}; one each."
            )
        largest = settings.max_limits
        limits = settings.lower(replace(largest, wall_s=self.timeout, cpu_s=self.timeout))
        pairs = zip(self.scripts, languages, strict=True)
        return [as_program(script, language, limits, mark) for script, language in pairs]


def new_mark() -> str:
    """What a script can't happen to write."""
    return f"\x1enotebook {secrets.token_hex(16)} "


def as_program(script: str, language: str, limits: Limits, mark: str) -> Program:
    if canonical_language(language) == "python":
        script = f"{_notebook_text()}\n\nrun_script({script!r}, {mark!r})\n"
    return Program(source=script, language=language, limits=limits)


@cache
def _notebook_text() -> str:
    return Path(notebook.__file__).read_text(encoding="utf-8")


def answer(execution: Execution, mark: str) -> dict[str, Any]:
    """One entry of the answer."""
    if execution.status is Status.UNAVAILABLE:
        return failed(f"{execution.reason}: {execution.detail}" if execution.detail else execution.reason)
    if execution.status in ENDED_BY:
        return failed(ENDED_BY[execution.status])
    written, ended, report = execution.stdout.decode("utf-8", "replace").rpartition(mark)
    if not ended:
        written, report = report, ""
    stderr = execution.stderr.decode("utf-8", "replace")
    text, error = read_report(report) or (None, error_of_exit(execution, stderr))
    return {
        "execution": {
            "results": [] if text is None else [{"text": text, "is_main_result": True}],
            "logs": {"stdout": [written] if written else [], "stderr": [stderr] if stderr else []},
            "error": error,
            "execution_count": 1,
        },
        "text": written if text is None else text,
        "exception_str": None,
    }


def failed(reason: str) -> dict[str, Any]:
    return {"execution": None, "text": None, "exception_str": reason}


def read_report(report: str) -> tuple[str | None, dict[str, str] | None] | None:
    """What the notebook said of its script; None if it said nothing that can be read."""
    try:
        record = json.loads(report)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    text, error = record.get("text"), record.get("error")
    is_text = text is None or isinstance(text, str)
    is_error = error is None or (
        isinstance(error, dict)
        and error.keys() == {"name", "value", "traceback"}
        and all(isinstance(value, str) for value in error.values())
    )
    return (text, error) if is_text and is_error else None


def error_of_exit(execution: Execution, stderr: str) -> dict[str, str] | None:
    """An error for a script that said nothing of itself and did not end well."""
    if execution.status is Status.COMPILE_ERROR:
        return {"name": "CompileError", "value": stderr, "traceback": stderr}
    if execution.exit_code != 0:
        return {"name": "ExitError", "value": f"exit status {execution.exit_code}", "traceback": stderr}
    return None
