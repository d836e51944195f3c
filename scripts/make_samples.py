"""Writes the samples that ship with the package: word problems with worked steps, and programming tasks with tests.

    python scripts/make_samples.py [--folder src/open_r1/data/samples]

Every row comes from a template below and a seeded random generator, so the files are the same each time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

FOLDER = Path(__file__).parents[1] / "src" / "open_r1" / "data" / "samples"
ROWS = 100
NAMES = ("Amara", "Ben", "Chiara", "Dmitri", "Elif", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Kofi", "Lena")

Steps = list[tuple[str, str]]
Numbers = dict[str, int]

# A template: its question, the ranges of its numbers, and its steps. A step is a sentence around one calculation, whose
# result gets a name; a row is kept where every result is a whole number above 0.
WORD_PROBLEMS: list[tuple[str, dict[str, range], Steps]] = [
    (
        "{name} buys {a} notebooks at ${p} each and a pen for ${q}. How many dollars does {name} spend?",
        {"a": range(2, 12), "p": range(2, 9), "q": range(1, 7)},
        [("The notebooks cost {} dollars.", "x = a * p"), ("With the pen that is {} dollars.", "y = x + q")],
    ),
    (
        "A train has {a} carriages with {b} seats each. {c} seats are taken. How many seats are free?",
        {"a": range(4, 13), "b": range(20, 80, 4), "c": range(30, 200)},
        [("The train has {} seats.", "x = a * b"), ("So {} seats are free.", "y = x - c")],
    ),
    (
        "{name} reads {a} pages a day on weekdays and {b} pages a day at the weekend. How many pages does {name} read in "
        "{w} weeks?",
        {"a": range(8, 30), "b": range(15, 60), "w": range(2, 6)},
        [
            ("On weekdays {name} reads {} pages a week.", "x = 5 * a"),
            ("At the weekend it is {} pages.", "y = 2 * b"),
            ("A week has {} pages.", "z = x + y"),
            ("In {w} weeks that makes {} pages.", "t = z * w"),
        ],
    ),
    (
        "A baker makes {a} rolls and puts them into bags of {b}. He sells each bag for ${p}. How many dollars does he take "
        "if he sells all bags?",
        {"a": range(24, 200), "b": range(4, 13), "p": range(3, 9)},
        [("He fills {} bags.", "x = a / b"), ("For them he takes {} dollars.", "y = x * p")],
    ),
    (
        "{name} has {a} stickers, {other} has {k} times as many. How many stickers do they have together?",
        {"a": range(7, 60), "k": range(2, 7)},
        [("{other} has {} stickers.", "x = a * k"), ("Together they have {} stickers.", "y = a + x")],
    ),
    (
        "A tank contains {a} litres of water. {b} litres flow out every minute. After {m} minutes {c} litres are poured in. "
        "How many litres are in the tank then?",
        {"a": range(200, 600, 10), "b": range(5, 20), "m": range(3, 12), "c": range(20, 90, 5)},
        [
            ("In {m} minutes {} litres flow out.", "x = b * m"),
            ("So {} litres are left.", "y = a - x"),
            ("Then there are {} litres.", "z = y + c"),
        ],
    ),
    (
        "A jacket costs ${p}. In the sale it is {r} % cheaper. How many dollars does it cost in the sale?",
        {"p": range(40, 260, 10), "r": range(10, 60, 5)},
        [("The reduction is {} dollars.", "x = p * r / 100"), ("In the sale it costs {} dollars.", "y = p - x")],
    ),
    (
        "{name} drives {a} kilometres at {v} kilometres an hour and then walks for {h} hours. How many hours is {name} on "
        "the way?",
        {"a": range(60, 500, 10), "v": range(40, 120, 10), "h": range(1, 5)},
        [("The drive takes {} hours.", "x = a / v"), ("Altogether it is {} hours.", "y = x + h")],
    ),
    (
        "A rectangular garden is {a} metres long and {b} metres wide. A fence goes all around it and costs ${p} a metre. "
        "How many dollars does the fence cost?",
        {"a": range(8, 40), "b": range(4, 20), "p": range(3, 15)},
        [
            ("Two sides together have {} metres.", "x = a + b"),
            ("The fence has {} metres.", "y = 2 * x"),
            ("It costs {} dollars.", "z = y * p"),
        ],
    ),
    (
        "{n} friends share the bill of ${b} equally. {name} also leaves a tip of ${t}. How many dollars does {name} pay?",
        {"n": range(3, 9), "b": range(30, 240), "t": range(2, 12)},
        [("Each share is {} dollars.", "x = b / n"), ("With the tip {name} pays {} dollars.", "y = x + t")],
    ),
    (
        "{name} is {a} years old. {other} is {d} years older. How old will {other} be in {y} years?",
        {"a": range(6, 40), "d": range(2, 25), "y": range(2, 20)},
        [("{other} is {} years old now.", "x = a + d"), ("In {y} years {other} will be {}.", "z = x + y")],
    ),
    (
        "A farmer collects {a} eggs a day. His family eats {b} of them every day, and he sells the others at ${p} a dozen. "
        "How many dollars does he take in {d} days?",
        {"a": range(30, 90), "b": range(2, 10), "p": range(2, 7), "d": range(3, 15)},
        [
            ("He sells {} eggs a day.", "x = a - b"),
            ("In {d} days that is {} eggs.", "y = x * d"),
            ("These are {} dozen.", "z = y / 12"),
            ("He takes {} dollars.", "t = z * p"),
        ],
    ),
    (
        "{name} saves ${a} a week and has ${b} already. After how many weeks can {name} buy a bicycle for ${c}?",
        {"a": range(5, 40), "b": range(10, 90), "c": range(150, 600, 5)},
        [("{} dollars are missing.", "x = c - b"), ("That takes {} weeks.", "y = x / a")],
    ),
    (
        "In a class of {n} pupils, {p} % come by bus and {w} walk. The others come by bicycle. How many come by bicycle?",
        {"n": range(20, 40), "p": range(10, 60, 5), "w": range(2, 12)},
        [
            ("{} pupils come by bus.", "x = n * p / 100"),
            ("By bus or on foot come {}.", "y = x + w"),
            ("By bicycle come {}.", "z = n - y"),
        ],
    ),
    (
        "A machine fills {a} bottles in {m} minutes. How many bottles does it fill in {h} hours?",
        {"a": range(12, 200, 4), "m": range(2, 16), "h": range(2, 9)},
        [
            ("In a minute it fills {} bottles.", "x = a / m"),
            ("In an hour it fills {} bottles.", "y = x * 60"),
            ("In {h} hours it fills {} bottles.", "z = y * h"),
        ],
    ),
    (
        "{name} picks {a} apples, {other} picks {d} fewer. They bake {p} pies with {k} apples each. How many apples are "
        "left?",
        {"a": range(30, 90), "d": range(3, 20), "p": range(2, 7), "k": range(5, 12)},
        [
            ("{other} picks {} apples.", "x = a - d"),
            ("Together they have {} apples.", "y = a + x"),
            ("The pies take {} apples.", "z = p * k"),
            ("So {} apples are left.", "t = y - z"),
        ],
    ),
    (
        "A theatre sells {a} tickets for adults at ${p} and {b} tickets for children at half the price. How many dollars "
        "does it take?",
        {"a": range(40, 180), "b": range(20, 120), "p": range(8, 30, 2)},
        [
            ("Adults pay {} dollars.", "x = a * p"),
            ("A child's ticket costs {} dollars.", "h = p / 2"),
            ("Children pay {} dollars.", "y = b * h"),
            ("Altogether the theatre takes {} dollars.", "z = x + y"),
        ],
    ),
    (
        "{name} runs {k} rounds of {m} metres each morning. How many kilometres is that in {d} days?",
        {"k": range(3, 12), "m": range(200, 900, 50), "d": range(4, 21)},
        [
            ("Each morning it is {} metres.", "x = k * m"),
            ("In {d} days it is {} metres.", "y = x * d"),
            ("That is {} kilometres.", "z = y / 1000"),
        ],
    ),
    (
        "A library had {a} books. It bought {b} new ones and gave away a third of all. How many books does it have now?",
        {"a": range(300, 900), "b": range(30, 200)},
        [
            ("With the new ones it had {} books.", "x = a + b"),
            ("It gave away {} books.", "y = x / 3"),
            ("Now it has {} books.", "z = x - y"),
        ],
    ),
    (
        "{name} earns ${a} an hour and works {h} hours a day on {d} days a week. {t} dollars of it go to rent. How many "
        "dollars are left of a week's wage?",
        {"a": range(11, 30), "h": range(4, 9), "d": range(3, 7), "t": range(60, 220, 5)},
        [
            ("A day brings {} dollars.", "x = a * h"),
            ("A week brings {} dollars.", "y = x * d"),
            ("So {} dollars are left.", "z = y - t"),
        ],
    ),
]

Inputs = Callable[[random.Random], str]


def numbers_line(least: int, most: int, low: int = -50, high: int = 50) -> Inputs:
    """A line of so many integers."""
    return lambda rng: " ".join(str(rng.randint(low, high)) for _ in range(rng.randint(least, most)))


def word_line(least: int, most: int, letters: str = "abcdeilnorstu") -> Inputs:
    """A line of lower-case words."""

    def make(rng: random.Random) -> str:
        words = (
            "".join(rng.choice(letters) for _ in range(rng.randint(2, 7))) for _ in range(rng.randint(least, most))
        )
        return " ".join(words)

    return make


# A family: the task, the idea of its solution, the program, the values of its parameter K, and a maker of inputs.
LIST = "Read a line of integers."
WORDS = "Read a line of words."
CODE: list[tuple[str, str, str, tuple[Any, ...], Inputs]] = [
    (
        f"{LIST} Print the sum of those that are divisible by {{K}}.",
        "Keep the numbers whose remainder is 0 and add them.",
        "print(sum(n for n in map(int, input().split()) if n % {K} == 0))",
        (2, 3, 4, 5, 7),
        numbers_line(1, 12),
    ),
    (
        f"{LIST} Print them in descending order, separated by blanks, each value once, at most {{K}} of them.",
        "A set removes repeats; sort it and take the first ones.",
        "values = sorted(set(map(int, input().split())), reverse=True)\nprint(*values[:{K}])",
        (2, 3, 4, 5, 8),
        numbers_line(1, 12, -9, 9),
    ),
    (
        f"{LIST} Print the largest sum of {{K}} neighbours, or NONE if there are fewer numbers.",
        "Look at every window of that length.",
        "values = list(map(int, input().split()))\n"
        "sums = [sum(values[i : i + {K}]) for i in range(len(values) - {K} + 1)]\n"
        'print(max(sums) if sums else "NONE")',
        (2, 3, 4, 5, 6),
        numbers_line(1, 10),
    ),
    (
        f"{LIST} Print how many are greater than the one {{K}} places before them.",
        "Compare each number with the one so many places earlier.",
        "values = list(map(int, input().split()))\nprint(sum(b > a for a, b in zip(values, values[{K}:])))",
        (2, 3, 4, 5, 6),
        numbers_line(2, 14),
    ),
    (
        f"{LIST} Rotate them to the left by {{K}} places and print them, separated by blanks.",
        "Cut the list at the remainder of the shift and swap the parts.",
        "values = input().split()\ncut = {K} % len(values)\nprint(*values[cut:], *values[:cut])",
        (2, 3, 4, 5, 9),
        numbers_line(1, 9),
    ),
    (
        "Read an integer n. Print the sum of its digits in base {K}.",
        "Take the remainder and divide, until nothing is left.",
        "n, total = int(input()), 0\nwhile n:\n    total += n % {K}\n    n //= {K}\nprint(total)",
        (2, 3, 5, 8, 10),
        lambda rng: str(rng.randint(0, 10**6)),
    ),
    (
        "Read an integer n. Print how many numbers from 1 to n are divisible by {K} and are not squares.",
        "Count the multiples and leave out those whose integer root squared is the number.",
        "from math import isqrt\n\nn = int(input())\nprint(sum(isqrt(m) ** 2 != m for m in range({K}, n + 1, {K})))",
        (2, 3, 4, 6, 9),
        lambda rng: str(rng.randint(1, 2000)),
    ),
    (
        "Read an integer n. Starting with 1 and {K}, each number is the sum of the two before it. Print the n-th number "
        "modulo 1000007.",
        "Keep the last two numbers and step forward.",
        "a, b = 1, {K}\nfor _ in range(int(input()) - 1):\n    a, b = b, (a + b) % 1000007\nprint(a)",
        (1, 2, 3, 4, 7),
        lambda rng: str(rng.randint(1, 500)),
    ),
    (
        f"{WORDS} Print those with at least {{K}} letters, in alphabetical order, one a line; NONE if there are none.",
        "Filter by length, then sort.",
        'words = sorted(word for word in input().split() if len(word) >= {K})\nprint("\\n".join(words) or "NONE")',
        (2, 3, 4, 5, 6),
        word_line(1, 8),
    ),
    (
        f"{WORDS} Shift every letter {{K}} places forward in the alphabet, from z on to a, and print the line.",
        "Count letters from 0, add the shift modulo 26, and turn them back.",
        'shift = lambda c: chr((ord(c) - 97 + {K}) % 26 + 97) if c != " " else c\nprint("".join(map(shift, input())))',
        (2, 3, 7, 13, 25),
        word_line(1, 6),
    ),
    (
        f"{WORDS} Reverse every word of more than {{K}} letters and print the line.",
        "A slice with step -1 reverses a word.",
        "print(*(word[::-1] if len(word) > {K} else word for word in input().split()))",
        (2, 3, 4, 5, 6),
        word_line(1, 8),
    ),
    (
        "Read a line of letters. Print the longest run of one letter, as the letter and its length, the first of several; "
        "NONE if no run has {K} letters or more.",
        "Group equal neighbours and take the longest group.",
        "from itertools import groupby\n\n"
        "runs = [(letter, len(list(group))) for letter, group in groupby(input())]\n"
        "letter, length = max(runs, key=lambda run: run[1])\n"
        'print(letter, length) if length >= {K} else print("NONE")',
        (2, 3, 4, 5, 6),
        lambda rng: "".join(rng.choice("ab") * rng.randint(1, 4) for _ in range(rng.randint(1, 8))),
    ),
    (
        "Read a line of brackets ( and ). Print the greatest depth, or BAD if they don't match or the depth is over {K}.",
        "Count up and down; below 0, or not 0 at the end, they don't match.",
        "depth = most = 0\n"
        "is_bad = False\n"
        "for bracket in input():\n"
        '    depth += 1 if bracket == "(" else -1\n'
        "    is_bad |= depth < 0\n"
        "    most = max(most, depth)\n"
        'print("BAD" if is_bad or depth or most > {K} else most)',
        (1, 2, 3, 4, 6),
        lambda rng: rng.choice(["()", "(())", "(()())", "((()))()", "())(", "((", "(((())))", "()()(()(()))", ")"]),
    ),
    (
        "Read a line 'rows columns'. Print a table of that size: row r and column c, counted from 1, have r * c modulo {K}.",
        "Two nested loops, one line a row.",
        "rows, columns = map(int, input().split())\n"
        "for r in range(1, rows + 1):\n"
        "    print(*(r * c % {K} for c in range(1, columns + 1)))",
        (2, 3, 5, 7, 10),
        lambda rng: f"{rng.randint(1, 6)} {rng.randint(1, 6)}",
    ),
    (
        "Read an amount in cents. With coins of 1, {K} and 25 cents, print the smallest number of coins that pay it.",
        "Dynamic programming: the best for an amount is one more than the best without its last coin.",
        "amount = int(input())\n"
        "best = [0]\n"
        "for cents in range(1, amount + 1):\n"
        "    best.append(1 + min(best[cents - coin] for coin in (1, {K}, 25) if coin <= cents))\n"
        "print(best[amount])",
        (5, 7, 10, 12, 15),
        lambda rng: str(rng.randint(0, 300)),
    ),
    (
        f"{LIST} Print the number of pairs whose sum is {{K}}.",
        "Remember how often each number came; each new one pairs with those that complete the sum.",
        "from collections import Counter\n\n"
        "seen, pairs = Counter(), 0\n"
        "for n in map(int, input().split()):\n"
        "    pairs += seen[{K} - n]\n"
        "    seen[n] += 1\n"
        "print(pairs)",
        (0, 1, 4, 7, 10),
        numbers_line(1, 14, -6, 12),
    ),
    (
        "Read a time as HH:MM. Print the time {K} minutes later in the same form.",
        "Count minutes from midnight, modulo a day.",
        'hours, minutes = map(int, input().split(":"))\n'
        "total = (60 * hours + minutes + {K}) % 1440\n"
        'print(f"{total // 60:02}:{total % 60:02}")',
        (5, 45, 90, 600, 1439),
        lambda rng: f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}",
    ),
    (
        f"{WORDS} Print the letter that occurs most often and its count, the first in the alphabet of several; NONE if the "
        "count is under {K}.",
        "Count letters and take the smallest by falling count and then by alphabet.",
        "from collections import Counter\n\n"
        'counts = Counter(input().replace(" ", ""))\n'
        "letter = min(counts, key=lambda c: (-counts[c], c))\n"
        'print(letter, counts[letter]) if counts[letter] >= {K} else print("NONE")',
        (1, 2, 3, 4, 5),
        word_line(1, 8),
    ),
    (
        f"{LIST} Print the length of the longest rising subsequence whose neighbours differ by at most {{K}}.",
        "For each number, one more than the best that ends at an earlier number it may follow.",
        "values = list(map(int, input().split()))\n"
        "best = []\n"
        "for i, n in enumerate(values):\n"
        "    best.append(1 + max((best[j] for j in range(i) if 0 < n - values[j] <= {K}), default=0))\n"
        "print(max(best))",
        (1, 2, 3, 5, 10),
        numbers_line(1, 12, 0, 12),
    ),
    (
        "Read an integer n and then n lines 'name score'. Print the names with a score of at least {K}, the best first, "
        "equal scores by name, one a line; NONE if there are none.",
        "Sort by falling score and then by name.",
        "rows = [input().split() for _ in range(int(input()))]\n"
        "chosen = sorted((-int(score), name) for name, score in rows if int(score) >= {K})\n"
        'print("\\n".join(name for _, name in chosen) or "NONE")',
        (10, 25, 50, 60, 75),
        lambda rng: "\n".join(
            [str(n := rng.randint(1, 6)), *(f"{name.lower()} {rng.randint(0, 99)}" for name in rng.sample(NAMES, n))]
        ),
    ),
]


def word_problems() -> Iterator[dict[str, str]]:
    """As many rows of each template, in turn."""
    rng = random.Random(0)
    for number in range(ROWS):
        question, ranges, steps = WORD_PROBLEMS[number % len(WORD_PROBLEMS)]
        row = None
        while row is None:
            name, other = rng.sample(NAMES, 2)
            row = solve(question, {key: rng.choice(span) for key, span in ranges.items()}, steps, name, other)
        yield row


def solve(question: str, numbers: Numbers, steps: Steps, name: str, other: str) -> dict[str, str] | None:
    """A row in GSM8K's form, or None where a result is not a whole number above 0."""
    asked = question.format(**numbers, name=name, other=other)
    known = dict(numbers)
    lines = []
    for sentence, calculation in steps:
        result, _, formula = calculation.partition(" = ")
        value = eval(formula, {}, known)
        if value != int(value) or value <= 0:
            return None
        written = re.sub(r"[a-z]+", lambda match: str(known[match[0]]), formula).replace(" ", "")
        known[result] = int(value)
        shown = f"{written} = <<{written}={int(value)}>>{int(value)}"
        lines.append(sentence.replace("{}", shown).format(**known, name=name, other=other))
    return {"question": asked, "answer": "\n".join([*lines, f"#### {int(value)}"])}


def code_tasks() -> Iterator[dict[str, Any]]:
    """Every family with every value of its parameter; expected outputs are those of the solution."""
    rng = random.Random(0)
    for position in range(5):
        for task, idea, program, parameters, make_input in CODE:
            source = program.replace("{K}", str(parameters[position]))
            inputs = list(dict.fromkeys(make_input(rng) for _ in range(40)))[:6]
            tests = [{"input": f"{text}\n", "output": run(source, text), "type": "stdin_stdout"} for text in inputs]
            yield {
                "problem": f"{task.replace('{K}', str(parameters[position]))} Write a Python program.",
                "solution": f"{idea}\n\n```python\n{source}\n```",
                "verification_info": {"language": "python", "test_cases": tests},
            }


def run(source: str, text: str) -> str:
    """What a program of ours prints."""
    lines = iter(text.splitlines())
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), patch("builtins.input", lambda: next(lines)):
        exec(compile(source, "sample.py", "exec"), {"__name__": "__main__"})
    return printed.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder = parser.parse_args().folder
    for name, rows in (("word_problems", word_problems()), ("code", code_tasks())):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
