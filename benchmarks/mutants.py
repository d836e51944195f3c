"""How many random one-place mutants of the package its unit tests notice.

    python benchmarks/mutants.py --count 200 --seed 0 [--areas data configs] [--jobs 2]

A mutant is the package with one expression or statement changed: a comparison's edge, a sign, a number, a condition, an
item of a list, a returned value, a statement left out. It is killed when a unit test of its area fails or runs out of
time. The tests that execute the mutated line run first, then, where it runs at import, the area's others; the first failure
ends the run. Mutants that can't change behaviour count as survivors, so the share is a lower bound.

Does: work on a copy of the checkout, so that the checkout stays as it is. Does not: mutate docstrings, messages, type
annotations or `__init__` files.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

REPO = Path(__file__).resolve().parents[1]
OTHER_TESTS = {
    "generation": ["tests/contract/test_generators.py"],
    "pipeline": ["tests/unit/configs", "tests/integration/test_pipeline.py"],
    "rundir": ["tests/unit/test_rundir.py"],
}
LIMIT_S = 600
TESTS_A_RUN = 20
Coverage = dict[str, dict[str, dict[int, set[str]]]]
"""Area -> module -> line -> the tests of the area that execute it; "" for what is executed while importing."""
EDGES = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
         ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}  # fmt: skip
SIGNS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Add,
}


@dataclass(frozen=True)
class Mutant:
    """One change: the file, the line, what it says in words, and the file's whole new text."""

    module: str
    line: int
    change: str
    text: str

    @property
    def area(self) -> str:
        parts = self.module.split("/")
        return parts[2] if len(parts) > 3 else Path(self.module).stem


def main() -> None:
    arguments = parse_arguments()
    rng = random.Random(arguments.seed)
    modules = list(find_modules(arguments.areas))
    mutants = [mutant for _ in range(arguments.count) if (mutant := draw_mutant(rng, modules))]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies: Queue[Path] = Queue()
        for number in range(arguments.jobs):
            copies.put(copy_checkout(Path(folder) / str(number)))
        coverage = measure_coverage(Path(folder) / "0", sorted({mutant.area for mutant in mutants}))
        with ThreadPoolExecutor(arguments.jobs) as pool:
            results = list(pool.map(lambda mutant: try_mutant(copies, coverage, mutant), mutants))
    report(mutants, results)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--count", type=int, default=200, help="how many mutants (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="which mutants (default: 0)")
    parser.add_argument("--areas", nargs="*", help="packages of open_r1 (default: all that have unit tests)")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time (default: 2)")
    return parser.parse_args()


def find_modules(areas: Sequence[str] | None) -> Iterator[Path]:
    """Files of the package whose area has unit tests."""
    for path in sorted((REPO / "src" / "open_r1").rglob("*.py")):
        name = path.relative_to(REPO / "src" / "open_r1").parts[0].removesuffix(".py")
        if path.name != "__init__.py" and (name in areas if areas else bool(tests_for(name))):
            yield path


def tests_for(area: str) -> list[str]:
    """The area's unit tests, and those elsewhere that stand for them."""
    folders = [f"tests/unit/{area}", *OTHER_TESTS.get(area, [])]
    found = [path for folder in folders for path in find_tests(REPO / folder)]
    return sorted(str(path.relative_to(REPO)) for path in found)


def find_tests(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(place.rglob("test_*.py"))


# ----------------------------------------------------------------------------------------------------- making mutants


def draw_mutant(rng: random.Random, modules: Sequence[Path]) -> Mutant | None:
    """A random change in a random module, modules weighed by their size; None where a module has no place for one."""
    path = rng.choices(modules, [module.stat().st_size for module in modules])[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    places = list(find_places(tree))
    if not places:
        return None
    node, kind = rng.choice(places)
    changed = copy.deepcopy(tree)
    twin = next(twin for old, twin in zip(ast.walk(tree), ast.walk(changed), strict=True) if old is node)
    before = ast.unparse(node)
    after = apply_change(twin, kind, rng)
    change = f"{kind}: {before.splitlines()[0][:60]} -> {after.splitlines()[0][:60]}"
    return Mutant(str(path.relative_to(REPO)), getattr(node, "lineno", 1), change, ast.unparse(changed))


def find_places(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Every node that can be changed, with the kind of change."""
    for node in walk_code(tree):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in EDGES:
            yield node, "comparison"
        elif isinstance(node, ast.BinOp) and type(node.op) in SIGNS and not isinstance(node.right, ast.JoinedStr):
            yield node, "sign"
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
            yield node, "constant"
        elif isinstance(node, ast.BoolOp):
            yield node, "and/or"
        elif isinstance(node, ast.If | ast.While | ast.IfExp):
            yield node, "condition"
        elif isinstance(node, ast.List | ast.Tuple | ast.Set) and len(node.elts) > 1 and is_loaded(node):
            yield node, "item"
        elif isinstance(node, ast.Return) and node.value is not None:
            yield node, "return"
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield node, "statement"


def walk_code(node: ast.AST) -> Iterator[ast.AST]:
    """As `ast.walk`, without annotations, decorators, docstrings and the contents of messages."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not is_left_alone(child):
                yield child
                yield from walk_code(child)


def is_left_alone(node: ast.AST) -> bool:
    """Whether this is a message, a check for the type checker, a guard of the main module or a type."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test).startswith(("TYPE_CHECKING", "__name__"))
    if isinstance(node, ast.Subscript):
        return ast.unparse(node.value).endswith("Literal")
    return isinstance(node, ast.JoinedStr | ast.Raise | ast.Assert)


def is_loaded(node: ast.List | ast.Tuple | ast.Set) -> bool:
    return isinstance(getattr(node, "ctx", ast.Load()), ast.Load)


def apply_change(node: ast.AST, kind: str, rng: random.Random) -> str:
    """Changes the node in place; what it says now."""
    if isinstance(node, ast.Compare):
        node.ops[0] = EDGES[type(node.ops[0])]()
    elif isinstance(node, ast.BinOp):
        node.op = SIGNS[type(node.op)]()
    elif isinstance(node, ast.Constant):
        node.value = (not node.value) if isinstance(node.value, bool) else node.value + 1  # pyright: ignore[reportOperatorIssue]
    elif isinstance(node, ast.BoolOp):
        node.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        del node.elts[rng.randrange(len(node.elts))]
    elif isinstance(node, ast.Return | ast.Expr):
        node.value = ast.Constant(None)
    ast.fix_missing_locations(node)
    return ast.unparse(node)


# ----------------------------------------------------------------------------------------------------- trying mutants


def copy_checkout(folder: Path) -> Path:
    """The checkout's tracked files and its virtual environment's name, at `folder`; its data stays where it is."""
    folder.mkdir(parents=True)
    names = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, capture_output=True, check=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (REPO / name).is_file():
            shutil.copy2(REPO / name, target)
    return folder


def run_tests(folder: Path, *arguments: str) -> int:
    """pytest's exit status in a copy; -1 when it ran out of time."""
    environment = os.environ | {
        "PYTHONPATH": str(folder / "src"),
        "OPEN_R1_TEST_DATA": os.environ.get("OPEN_R1_TEST_DATA", str(REPO.parent / "shared" / "data")),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / ".hypothesis"),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", *arguments]
    try:
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=LIMIT_S).returncode
    except subprocess.TimeoutExpired:
        return -1


def measure_coverage(folder: Path, areas: Sequence[str]) -> Coverage:
    """Which tests execute which lines, by one run of the tests of each of these areas."""
    settings = folder / "coverage.ini"
    settings.write_text("[run]\nsource = src/open_r1\ndynamic_context = test_function\nconcurrency = thread\n")
    executed: Coverage = {}
    for area in areas:
        data, shown = folder / ".coverage", folder / "coverage.json"
        environment = os.environ | {"PYTHONPATH": str(folder / "src"), "COVERAGE_FILE": str(data)}
        command = [sys.executable, "-m", "coverage"]
        tests = ["-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *tests_for(area)]
        for arguments in (
            ["run", f"--rcfile={settings}", *tests],
            ["json", "-q", "--show-contexts", "-o", str(shown)],
        ):
            subprocess.run([*command, *arguments], cwd=folder, env=environment, capture_output=True)
        files = json.loads(shown.read_text(encoding="utf-8"))["files"] if shown.exists() else {}
        executed[area] = {
            name: {int(line): set(names) for line, names in file["contexts"].items()} for name, file in files.items()
        }
        shown.unlink(missing_ok=True)
        print(f"{area}: coverage is measured", file=sys.stderr, flush=True)
    return executed


def tests_of(mutant: Mutant, executed: Coverage) -> list[list[str]]:
    """pytest's arguments, run by run: the tests that execute the mutant's line; all of the area where it is imported."""
    files = {Path(name).stem: name for name in tests_for(mutant.area)}
    contexts = [name.split(".") for name in executed[mutant.area].get(mutant.module, {}).get(mutant.line, {""})]
    nodes = sorted("::".join([files[module], *names]) for module, *names in contexts if module in files)
    runs = [nodes[start : start + TESTS_A_RUN] for start in range(0, len(nodes), TESTS_A_RUN)]
    are_known = len(nodes) == len(contexts)  # not so while importing, nor when hypothesis calls the test
    return runs if are_known else [*runs, *([name] for name in files.values())]


def try_mutant(copies: Queue[Path], executed: Coverage, mutant: Mutant) -> bool:
    """Whether a unit test of the mutant's area notices it."""
    folder = copies.get()
    try:
        target = folder / mutant.module
        original = target.read_text(encoding="utf-8")
        target.write_text(mutant.text, encoding="utf-8")
        try:
            statuses = (run_tests(folder, *chosen) for chosen in tests_of(mutant, executed))
            status = next((status for status in statuses if status not in (0, 5)), 0)
        finally:
            target.write_text(original, encoding="utf-8")
    finally:
        copies.put(folder)
    word = {0: "SURVIVED", -1: "HANGS   "}.get(status, "killed  ")
    print(f"{word} {mutant.module}:{mutant.line} {mutant.change}", file=sys.stderr, flush=True)
    return bool(status)


def report(mutants: Sequence[Mutant], killed: Sequence[bool]) -> None:
    print(f"{sum(killed)} of {len(mutants)} killed ({100 * sum(killed) / max(1, len(mutants)):.0f} %)\n")
    print("| area | tried | killed |\n|---|---|---|")
    for area in sorted({mutant.area for mutant in mutants}):
        of_area = [was_killed for mutant, was_killed in zip(mutants, killed, strict=True) if mutant.area == area]
        print(f"| {area} | {len(of_area)} | {sum(of_area)} |")
    print("\nSurvivors:\n")
    for mutant, was_killed in zip(mutants, killed, strict=True):
        if not was_killed:
            print(f"- `{mutant.module}:{mutant.line}` {mutant.change}")


if __name__ == "__main__":
    main()
