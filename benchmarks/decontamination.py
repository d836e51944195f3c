r"""Decontamination beside the plain n-gram scan: time, memory, recall on planted items, and the hits on real data to read.

    python benchmarks/decontamination.py --data ../shared/data [--documents N] [--rounds N] [--output benchmarks/results]

The plain scan is what Open-R1's script does, but with one set of the evaluation items' runs instead of a pass for each
evaluation set: each document in lower case, split at white space, every run of 8 words looked up, in one process. Beside
it a leaner form of the same rule. All are commands, started anew, that read the same JSON lines and write the rows that
are left; they take turns, and the ratio is that of each round. CPU seconds are given beside the seconds that passed,
because other work on the machine changes them less.

The corpus is made from GSM8K's and MATH's training problems with new random numbers (`vary`), one document in
`TRACE_EVERY` being several worked problems in a row, and one in `PLANT_EVERY` holding an evaluation item that was planted
in one of the `WAYS`. Any hit in a document without a plant is counted as false.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rewards import this_machine

from open_r1.data.decontamination import Summary, decontaminate
from open_r1.data.evaluation_index import EvalSet, Index, Rule
from open_r1.data.row_file import Destination
from open_r1.data.sources import open_rows

TRACE_EVERY = 5
PLANT_EVERY = 100
SHORT_EVERY = 5
"""One plant in so many is an item below 8 words; there are few of them."""
FILES = {"math500": "problem", "gsm8k_test": "question", "aime24": "problem"}

UNICODE = {r"\sqrt": "√", r"\pi": "π", r"\le": "≤", r"\ge": "≥", r"\times": "×", r"\theta": "θ", r"\infty": "∞"}


def read_column(path: Path, *columns: str) -> list[str]:
    with path.open(encoding="utf-8") as lines:
        rows = map(json.loads, lines)
        return ["\n".join(str(row[column]) for column in columns) for row in rows]


# Ways to plant an item -----------------------------------------------------------------------------------------------


def verbatim(item: str, rng: random.Random, other: Callable[[], str]) -> str:
    return item


def repunctuate(item: str, rng: random.Random, other: Callable[[], str]) -> str:
    """Other quotes and dashes, commas and full stops gone or added, another case."""
    text = item.translate(str.maketrans({"'": "’", '"': "”", ";": ","}))
    text = re.sub(r",(?=\s)", lambda _: rng.choice(["", ",", ";"]), text)
    text = re.sub(r"\.(?=\s|$)", lambda _: rng.choice(["", "!", " ."]), text)
    text = re.sub(r"(?<=[a-z])-(?=[a-z])", rng.choice([" ", "–"]), text)
    return rng.choice([str.upper, str.lower, str])(text) if "\\" not in text else text


def respace(item: str, rng: random.Random, other: Callable[[], str]) -> str:
    """Line breaks, tabs, doubled and hard spaces; operators with more or less room."""
    text = re.sub(r"\s+", lambda _: rng.choice([" ", "  ", "\n", "\t", "\u00a0", " \n "]), item)
    return re.sub(r"\s*([+=<>])\s*", lambda match: rng.choice(["{}", " {} ", "  {}"]).format(match[1]), text)


def relatex(item: str, rng: random.Random, other: Callable[[], str]) -> str:
    r"""`\frac` as `\dfrac`, `$…$` as `\(…\)`, sized brackets, thin spaces, thousands, symbols in unicode."""
    text = re.sub(r"\\d?frac(?![a-z])", lambda _: rng.choice([r"\frac", r"\dfrac", r"\tfrac"]), item)
    text = re.sub(r"(?<![\\$])\$([^$]+)\$", rng.choice([r"\\(\1\\)", r"$ \1 $", r"\1"]), text)
    text = re.sub(r"(?<![\\t])\((?=[^()]*\))", rng.choice(["(", r"\\left("]), text)
    text = re.sub(r"(?<=\d),(?:\\!)?(?=\d{3})", lambda _: rng.choice([",", "{,}", r"\,", ""]), text)
    text = re.sub(r"(?<=\d) (?=[a-z])", lambda _: rng.choice([" ", r"\, ", "~"]), text)
    for command, symbol in UNICODE.items():
        if rng.random() < 0.5:
            text = re.sub(re.escape(command) + r"(?![A-Za-z])", symbol + " ", text)
    return text


def embed(item: str, rng: random.Random, other: Callable[[], str]) -> str:
    """In the middle of other problems."""
    before, after = [other() for _ in range(rng.randint(1, 4))], [other() for _ in range(rng.randint(1, 4))]
    return "\n\n".join([*before, rng.choice(["", "Problem: ", "Solve this one. "]) + item, *after])


def all_at_once(item: str, rng: random.Random, other: Callable[[], str]) -> str:
    return embed(respace(repunctuate(relatex(item, rng, other), rng, other), rng, other), rng, other)


def trim(item: str, rng: random.Random, other: Callable[[], str]) -> str:
    """Without its last sentence, where it has several."""
    sentences = re.split(r"(?<=[.?!]\$)\s+|(?<=[.?!])\s+", item.strip())
    return " ".join(sentences[:-1]) if len(sentences) > 1 else item


def reword(item: str, rng: random.Random, other: Callable[[], str]) -> str:
    """One plain word in fifteen replaced."""
    return re.sub(r"(?<![\\A-Za-z])[a-z]{3,}(?![A-Za-z])", lambda m: "such" if rng.random() < 1 / 15 else m[0], item)


WAYS = (verbatim, repunctuate, respace, relatex, embed, all_at_once)
"""The planted contamination that the recall is promised on."""

EDITS = (trim, reword)
"""Beyond the promise: parts of an item left out or changed."""


# The corpus ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plant:
    """An evaluation item put into a document."""

    row: int
    way: str
    set_name: str
    item: int
    num_words: int


def vary(text: str, rng: random.Random) -> str:
    """The text with every number replaced by a random one."""
    return re.sub(r"\d+", lambda match: str(rng.randrange(2, 10 ** max(2, len(match[0])))), text)


def make_corpus(path: Path, data: Path, sets: Sequence[EvalSet], num_documents: int, seed: int = 0) -> list[Plant]:
    """Write the documents; returns what was planted in them."""
    rng = random.Random(seed)
    problems = read_column(data / "gsm8k_train.jsonl", "question", "answer")
    problems += read_column(data / "math_train.jsonl", "problem", "answer")
    items = [(one.name, place, text) for one in sets for place, text in enumerate(one.texts)]
    words = Index(sets, Rule()).lengths.tolist()
    short = [number for number, length in enumerate(words) if length < Rule().ngram]

    def another() -> str:
        return vary(rng.choice(problems), rng)

    plants = []
    with path.open("w", encoding="utf-8") as file:
        for row in range(num_documents):
            if row % PLANT_EVERY == 0:
                number = rng.choice(short) if row % (SHORT_EVERY * PLANT_EVERY) == 0 else rng.randrange(len(items))
                way = rng.choice((*WAYS, *EDITS))
                text = way(items[number][2], rng, another)
                plants.append(Plant(row, way.__name__, *items[number][:2], words[number]))
            elif row % TRACE_EVERY == 1:
                text = "\n\n".join(another() for _ in range(rng.randint(3, 12)))
            else:
                text = another()
            file.write(json.dumps({"id": row, "text": text}, ensure_ascii=False) + "\n")
    return plants


# The two sides -------------------------------------------------------------------------------------------------------


def split_plainly(text: str, n: int = 8) -> list[str]:
    """As the script has it: lower case, white space made single blanks, every run of n words joined again."""
    words = " ".join(text.lower().strip().split()).split()
    return [" ".join(words[start : start + n]) for start in range(len(words) - n + 1)]


def is_flagged(text: str, known: set[str]) -> bool:
    """As the script has it: the document's runs as a set, each looked up."""
    found = {run in known for run in set(split_plainly(text))}
    return True in found


def is_flagged_leanly(text: str, known: set[str], n: int = 8) -> bool:
    """The same with no more work than the rule needs: split once, stop at the first run that is known."""
    words = text.lower().split()
    return any(" ".join(words[start : start + n]) in known for start in range(len(words) - n + 1))


SCANS = {"script": is_flagged, "lean": is_flagged_leanly}


def scan_plainly(path: Path, sets: Sequence[EvalSet], output: Path, how: str) -> list[int]:
    """The rows that the original's rule flags, in one process and with one set for all items; the others are written."""
    known = {run for one in sets for text in one.texts for run in split_plainly(text)}
    check, flagged = SCANS[how], []
    with path.open(encoding="utf-8") as lines, output.open("w", encoding="utf-8") as kept:
        for row, line in enumerate(lines):
            if check(json.loads(line)["text"], known):
                flagged.append(row)
            else:
                kept.write(line)
    return flagged


def run_ours(
    path: Path, sets: Sequence[EvalSet], folder: Path, rule: Rule, processes: int
) -> tuple[Summary, list[Any]]:
    report = folder / "hits.jsonl"
    destination = Destination(folder / "clean.jsonl", report, overwrite=True)
    summary = decontaminate(str(path), sets, destination, rule, columns=["text"], processes=processes)
    with report.open(encoding="utf-8") as lines:
        return summary, [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Cost:
    """What a command took, with all its processes."""

    seconds: float
    cpu_s: float


def run_command(words: Sequence[str]) -> Cost:
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{words} ended with {process.returncode}"
    return Cost(round(time.perf_counter() - started, 2), round(usage.ru_utime + usage.ru_stime, 2))


def ours(path: Path, data: Path, folder: Path, *more: str) -> list[str]:
    against = [f"{data / name}.jsonl?column={column}" for name, column in FILES.items()]
    words = ["-m", "open_r1.cli.main", "data", "decontaminate", str(path), "--against", *against]
    return [*words, "--output", str(folder / "clean.jsonl"), "--overwrite", *more]


def compare_speed(path: Path, data: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Seconds of both, in turn, and the ratio of each round."""
    scan = [__file__, "--data", str(data), "--scan", str(path), str(folder / "plain.jsonl")]
    sides = {
        "plain scan": [*scan, "script"],
        "plain scan, lean": [*scan, "lean"],
        "ours, 2 processes": ours(path, data, folder, "--processes", "2"),
        "ours, 1 process": ours(path, data, folder, "--processes", "1"),
        "ours, 2 processes, rule open-r1": ours(path, data, folder, "--processes", "2", "--rule", "open-r1"),
    }
    results = []
    for _ in range(rounds):
        costs = {name: run_command(words) for name, words in sides.items()}
        plain, lean = costs["plain scan"], costs["plain scan, lean"]
        two, one = costs["ours, 2 processes"], costs["ours, 1 process"]
        ratios = {
            "2 processes against the plain scan": round(plain.seconds / two.seconds, 2),
            "1 process against the plain scan": round(plain.seconds / one.seconds, 2),
            "2 processes against the lean scan": round(lean.seconds / two.seconds, 2),
            "the same in CPU seconds a process": round(2 * plain.cpu_s / two.cpu_s, 2),
        }
        load = {"load": round(os.getloadavg()[0], 1)}
        results.append({**{name: asdict(cost) for name, cost in costs.items()}, **ratios, **load})
        print(json.dumps(results[-1]), file=sys.stderr)
    medians = {f"median, {name}": statistics.median(result[name] for result in results) for name in ratios}
    return {"rounds": results, **medians}


# Recall and precision ------------------------------------------------------------------------------------------------


def measure_recall(
    plants: Sequence[Plant], hits: Sequence[dict[str, Any]], flagged_plainly: Sequence[int], n: int = 8
):
    """Per way of planting, and for short items: how many plants were found, by us and by the plain scan."""
    found = {(hit["row"], hit["set"], hit["item"]) for hit in hits}
    rows_found, rows_plain = {hit["row"] for hit in hits}, set(flagged_plainly)
    groups: dict[str, list[Plant]] = defaultdict(list)
    for plant in plants:
        groups[plant.way].append(plant)
        if plant.way not in {way.__name__ for way in EDITS}:
            groups["all of the ways"].append(plant)
            if plant.num_words < n:
                groups["items below 8 words"].append(plant)
    return {
        name: {
            "plants": len(group),
            "recall": round(sum(plant.row in rows_found for plant in group) / len(group), 4),
            "recall_of_the_very_item": round(
                sum((plant.row, plant.set_name, plant.item) in found for plant in group) / len(group), 4
            ),
            "recall_of_plain_scan": round(sum(plant.row in rows_plain for plant in group) / len(group), 4),
        }
        for name, group in groups.items()
    }


def count_false(
    plants: Sequence[Plant], hits: Sequence[dict[str, Any]], flagged: Sequence[int], num_documents: int
) -> dict[str, Any]:
    """Documents without a plant that were flagged, and with which items."""
    planted = {plant.row for plant in plants}
    false_hits = [hit for hit in hits if hit["row"] not in planted]
    clean = num_documents - len(planted)
    plain = sum(row not in planted for row in flagged)
    return {
        "documents_without_plant": clean,
        "flagged_by_ours": len(false_hits),
        "rate_of_ours": round(len(false_hits) / clean, 6),
        "items": dict(Counter(f"{hit['set']} {hit['item']}" for hit in false_hits).most_common()),
        "flagged_by_plain": plain,
        "rate_of_plain": round(plain / clean, 4),
    }


def missed(plants: Sequence[Plant], hits: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = {hit["row"] for hit in hits}
    return [asdict(plant) for plant in plants if plant.row not in rows and plant.way not in ("trim", "reword")]


# Memory --------------------------------------------------------------------------------------------------------------

CHILD = """
import resource, sys
from open_r1.cli.main import main
assert main(sys.argv[1:]) == 0
own = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def measure_memory(path: Path, data: Path, folder: Path) -> dict[str, float]:
    """Peak resident memory in MB of the command: of its own process, and of the larger of its two workers (Linux)."""
    command = [sys.executable, "-c", CHILD, *ours(path, data, folder, "--processes", "2")[2:]]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    own, others = map(int, ran.stdout.splitlines()[-1].split())
    return {"parent_mb": round(own / 1024), "larger_worker_mb": round(others / 1024)}


# Real data -----------------------------------------------------------------------------------------------------------


def real_pairs(data: Path, sets: dict[str, EvalSet]) -> Iterator[tuple[str, Path, list[str], EvalSet]]:
    yield "GSM8K train against MATH-500", data / "gsm8k_train.jsonl", ["question", "answer"], sets["math500"]
    yield "MATH train against GSM8K test", data / "math_train.jsonl", ["problem"], sets["gsm8k_test"]
    yield "MATH train against MATH-500", data / "math_train.jsonl", ["problem"], sets["math500"]
    yield "GSM8K train against GSM8K test", data / "gsm8k_train.jsonl", ["question", "answer"], sets["gsm8k_test"]
    yield "MATH train against AIME 2024", data / "math_train.jsonl", ["problem"], sets["aime24"]
    yield "GSM8K train against AIME 2024", data / "gsm8k_train.jsonl", ["question", "answer"], sets["aime24"]


def find_real_hits(data: Path, sets: dict[str, EvalSet], folder: Path) -> dict[str, Any]:
    """Every hit of our rule on training sets against test sets, and how many the original's rule has."""
    results = {}
    for title, path, columns, one in real_pairs(data, sets):
        rows, report = open_rows(str(path)), folder / "real.jsonl"
        ours = decontaminate(rows, [one], Destination(report=report), columns=columns, processes=1)
        hits = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
        variants = decontaminate(rows, [one], rule=Rule(same_numbers=False), columns=columns, processes=1)
        original = decontaminate(rows, [one], rule=Rule("open-r1"), columns=columns, processes=1)
        results[title] = {
            "rows": ours.rows,
            "hits": hits,
            "with_other_numbers_too": variants.contaminated,
            "rule_open_r1": original.contaminated,
        }
    return results


def read_sets(data: Path) -> list[EvalSet]:
    return [EvalSet(name, read_column(data / f"{name}.jsonl", column)) for name, column in FILES.items()]


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    sets = read_sets(options.data)
    corpus, large = folder / "corpus.jsonl", folder / "large.jsonl"
    plants = make_corpus(corpus, options.data, sets, options.documents)
    speed = compare_speed(corpus, options.data, folder, options.rounds)
    flagged = scan_plainly(corpus, sets, folder / "plain.jsonl", "lean")
    _, hits = run_ours(corpus, sets, folder, Rule(), 2)
    small_memory = measure_memory(corpus, options.data, folder)
    with large.open("wb") as file:
        for _ in range(4):
            file.write(corpus.read_bytes())
    return {
        "documents": options.documents,
        "megabytes": round(corpus.stat().st_size / 1e6, 1),
        "speed": speed,
        "recall": measure_recall(plants, hits, flagged),
        "missed": missed(plants, hits),
        "false": count_false(plants, hits, flagged, options.documents),
        "memory": {"corpus": small_memory, "4 times the corpus": measure_memory(large, options.data, folder)},
        "real": find_real_hits(options.data, {one.name: one for one in sets}, folder),
    }


def as_markdown(result: dict[str, Any]) -> str:
    """The result for a reader."""
    machine, speed, false = result["machine"], result["speed"], result["false"]
    lines = [
        "# Decontamination",
        "",
        f"{machine['date']}, {machine['cores']} cores ({machine['processor']}), Python {machine['python']}; made by "
        "`python benchmarks/decontamination.py`; all of it is in [decontamination.json](decontamination.json).",
        "",
        f"{result['documents']:,} documents, {result['megabytes']} MB, against MATH-500, GSM8K's test set and AIME 2024.",
        "",
        "## Time",
        "",
        "Seconds that passed / of CPU. The load is the machine's with all that ran on it: near 2 it had nothing else to do.",
        "",
        *table(speed["rounds"], [key for key in speed["rounds"][0] if key != "the same in CPU seconds a process"]),
        "",
        *(f"- {name}: {value:.2f}" for name, value in speed.items() if name.startswith("median")),
        "",
        "## Memory",
        "",
        *(f"- {name}: {sizes['parent_mb']} MB, each worker {sizes['larger_worker_mb']} MB or less"
          for name, sizes in result["memory"].items()),
        "",
        "## Planted items",
        "",
        *table([{"way": name, **found} for name, found in result["recall"].items()]),
        "",
        f"Of {false['documents_without_plant']:,} documents without a plant we flag {false['flagged_by_ours']} "
        f"({false['rate_of_ours']:.3%}), for these items: {false['items']}; the plain scan "
        f"{false['flagged_by_plain']:,} ({false['rate_of_plain']:.1%}).",
        "",
        "## Real training sets",
        "",
        *table([
            {"what": title, "rows": one["rows"], "hits": len(one["hits"]),
             "with other numbers, too": one["with_other_numbers_too"], "rule open-r1": one["rule_open_r1"]}
            for title, one in result["real"].items()
        ]),
        "",
        *(f"- {title}: row {hit['row']}, {hit['set']} {hit['item']}, coverage {hit['coverage']}: {hit['matched']}"
          for title, one in result["real"].items() for hit in one["hits"]),
        "",
        "What reading them showed is in the [lab notes](../../docs/lab-notes.md#deduplication-and-decontamination).",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str] | None = None) -> list[str]:
    columns = list(rows[0]) if columns is None else columns
    shown = [
        [f"{v['seconds']} / {v['cpu_s']}" if isinstance(v, dict) else str(v) for v in map(row.get, columns)]
        for row in rows
    ]
    return [f"| {' | '.join(cells)} |" for cells in [list(columns), ["---"] * len(columns), *shown]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the data sets")
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="folder for decontamination.json and .md")
    parser.add_argument("--scan", nargs=3, metavar=("IN", "OUT", "HOW"), help="scan one file plainly, and no more")
    options = parser.parse_args()
    if options.scan:
        source, output, how = options.scan
        scan_plainly(Path(source), read_sets(options.data), Path(output), how)
        return
    machine = asdict(this_machine())
    with tempfile.TemporaryDirectory() as folder:
        result = {"machine": machine, **measure(options, Path(folder))}
    shown = json.dumps(result, indent=2, ensure_ascii=False)
    print(shown)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "decontamination.json").write_text(shown + "\n", encoding="utf-8")
        (options.output / "decontamination.md").write_text(as_markdown(result), encoding="utf-8")


if __name__ == "__main__":
    main()
