"""The command `open-r1`: finds the verb, runs it, turns errors into one sentence and an exit status.

Exit status: 0 done; 2 the request can't be carried out; 1 a failure while running; 130 interrupted; 75 ended by
SIGTERM, and the same command goes on (`errors.REQUEUE_STATUS`).
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[
        0
    ]  # `python -m` puts the working folder there, whose yaml.py or logging.py would run in a library's place

import errno
import io
import logging
import os
import warnings
from collections.abc import Sequence
from pkgutil import iter_modules
from typing import Any

from open_r1 import __version__, cli
from open_r1.cli.console import PrintableFormatter, fail, show_traceback
from open_r1.cli.options import Parser, add_modules
from open_r1.errors import OpenR1Error, nearest

DEBUG = "OPEN_R1_DEBUG"
"""Environment variable that makes errors show their traceback."""

REMEDIES = {
    "free some space there, or choose another place": (errno.ENOSPC, errno.EDQUOT),
    "choose a place that you may write to": (errno.EACCES, errno.EPERM, errno.EROFS),
    "choose another place": (errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG),
}
"""What to do about a place that the user named; any other fault of the system's is ours."""

EXTRA_OF = dict.fromkeys(("torch", "transformers", "trl", "accelerate", "peft", "tokenizers"), "train") | {
    "vllm": "vllm",
    "deepspeed": "deepspeed",
    "jieba": "zh",
    "fastapi": "code",
    "uvicorn": "code",
    "prometheus_client": "code",
    "openai": "serve",
    "starlette": "serve",
}
"""Library -> the extra that installs it; the core does without all of them."""

SHARED = ("main", "console", "options")
"""Modules that all verbs use."""


def verb_modules() -> dict[str, str]:
    """Verb -> the module that carries it out: every module of `cli` but the shared ones and those that start with _."""
    names = [info.name for info in iter_modules(cli.__path__)]
    return {name.replace("_", "-"): name for name in names if name not in SHARED and not name.startswith("_")}


def build_parser(verb: str | None = None) -> Parser:
    """The parser of all verbs, or of one, whose module alone is loaded."""
    parser = Parser(
        prog="open-r1",
        description="From a pile of problems to a reasoning model: SFT, GRPO, pipelines, evaluation, reports.",
        epilog="Example: open-r1 run recipes/tiny/pipeline.yaml",
    )
    parser.add_argument("--version", action="version", version=f"open-r1 {__version__}")
    modules = verb_modules()
    add_modules(parser, {verb: modules[verb]} if verb else modules, "verb")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    verb, known = None if words[0].startswith("-") else words[0], verb_modules()
    if verb and verb not in known:
        return fail(f"unknown verb '{verb}'{nearest(verb, known)} Verbs: {', '.join(known)}.", 2)
    parser = build_parser(verb)
    parsed, parsed.extra = parser.parse_known_args(words)
    return run_parsed(parsed)


def run_parsed(parsed: Any) -> int:
    """Carry out a parsed command line by its `run`; an error becomes one line and an exit status."""
    quieten_libraries()
    try:
        return parsed.run(parsed)
    except OpenR1Error as error:
        if os.environ.get(DEBUG):
            raise
        return fail(str(error), error.exit_status)
    except ModuleNotFoundError as error:
        if error.name not in EXTRA_OF or os.environ.get(DEBUG):
            raise
        extra_name = EXTRA_OF[error.name]
        return fail(f"'{error.name}' is not installed; run in the checkout: pip install -e '.[{extra_name}]'.", 2)
    except KeyboardInterrupt as error:
        status = getattr(error, "exit_status", 130)  # of errors.Terminated
        return fail(str(error) or "interrupted; run the same command again to go on.", status)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        remedy = next((remedy for remedy, numbers in REMEDIES.items() if error.errno in numbers), None)
        if remedy is None or os.environ.get(DEBUG):
            raise
        place = error.filename or getattr(parsed, "output_dir", None) or getattr(parsed, "output", None)
        return fail(f"{error.strerror}{f': {str(place)!r}' if place else ''}; {remedy}.", 1)


def quieten_libraries() -> None:
    """Logs and tracebacks to stderr, printable; the libraries below speak only when something is wrong."""
    sys.excepthook = show_traceback
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter("%(levelname)s: %(message)s"))
    ours = logging.getLogger("open_r1")
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(logging.INFO)
    logging.getLogger("datasets.packaged_modules").setLevel(logging.CRITICAL)  # what it says, our error says better
    warnings.filterwarnings("ignore", category=FutureWarning, module="(transformers|trl|torch|accelerate)")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without Unicode shows ? rather than nothing
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("TQDM_DISABLE", "1")


if __name__ == "__main__":
    sys.exit(main())
