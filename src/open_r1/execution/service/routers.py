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

import inspect
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.service import notebook
from open_r1.execution.service.requests import Language, Refusal, check_count
from open_r1.execution.service.settings import ServiceSettings
from open_r1.text.languages import canonical_language

Seconds = Annotated[float, Field(gt=0)]

ENDED_BY = {
    Status.TIME_LIMIT: "TimeoutError: the script took longer than its time limit",
    Status.MEMORY_LIMIT: "MemoryError: the script used more than its memory limit",
    Status.OUTPUT_LIMIT: "the script wrote more than its output limit",
}


class Raised(BaseModel):
    """An exception, as E2B has it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: str
    value: str
    traceback: str


class Report(BaseModel):
    """What the notebook says of its script."""

    model_config = ConfigDict(strict=True)

    text: str | None = None
    error: Raised | None = None


class RouterRequest(BaseModel):
    """Keys that aren't known are ignored, as the routers do."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    scripts: Annotated[list[str], FailFast()]
    languages: list[Language] | None = None
    language: Language = "python"
    timeout: Seconds = 30
    request_timeout: Seconds = 30

    def to_programs(self, settings: ServiceSettings, mark: str) -> list[Program]:
        """The scripts as programs with the request's timeout; Refusal unless each script has a language."""
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


def as_program(script: str, language: str, limits: Limits, mark: str) -> Program:
    """A program of a script, which reports behind `mark`."""
    if canonical_language(language) == "python":
        script = f"{inspect.getsource(notebook)}\n\nrun_script({script!r}, {mark!r})\n"
    return Program(source=script, language=language, limits=limits)


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
    try:
        said = Report.model_validate_json(report)
    except ValidationError:  # it said nothing of itself
        said = Report(error=error_of_exit(execution, stderr))
    text, error = said.text, said.error and said.error.model_dump()
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
    """The result of a script that did not run, with the reason as its exception."""
    return {"execution": None, "text": None, "exception_str": reason}


def error_of_exit(execution: Execution, stderr: str) -> Raised | None:
    """An error for a script that said nothing of itself and did not end well."""
    if execution.status is Status.COMPILE_ERROR:
        return Raised(name="CompileError", value=stderr, traceback=stderr)
    if execution.exit_code != 0:
        return Raised(name="ExitError", value=f"exit status {execution.exit_code}", traceback=stderr)
    return None
