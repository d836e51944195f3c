"""How large the package is and how well it is documented, for one or more checkouts side by side.

    python benchmarks/structure.py . ../before

Does: count lines, modules, functions, long functions and files, and the share of public functions, methods and classes
with a docstring. Does not: import the package, so it measures any checkout with any Python.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass
class Size:
    """What is counted of one checkout; lengths are in lines."""

    lines: int = 0
    modules: int = 0
    functions: int = 0
    public: int = 0
    documented: int = 0
    function_lengths: dict[str, int] = field(default_factory=dict)
    file_lengths: dict[str, int] = field(default_factory=dict)
    area_lines: dict[str, int] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("checkouts", nargs="*", type=Path, default=[Path()], help="folders that contain src/open_r1")
    sizes = [measure(checkout / "src" / "open_r1") for checkout in parser.parse_args().checkouts]
    for name, values in rows(sizes):
        print(f"| {name} | " + " | ".join(values) + " |")


def measure(package: Path) -> Size:
    """The size of the package in this folder."""
    size = Size()
    for path in sorted(package.rglob("*.py")):
        text, name = path.read_text(encoding="utf-8"), str(path.relative_to(package))
        count = text.count("\n")
        area = name.split("/")[0] if "/" in name else "(top)"
        size.lines, size.modules = size.lines + count, size.modules + 1
        size.file_lengths[name] = count
        size.area_lines[area] = size.area_lines.get(area, 0) + count
        for definition, is_public in definitions(ast.parse(text)):
            count_definition(size, name, definition, is_public)
    return size


def count_definition(size: Size, module: str, definition: Definition, is_public: bool) -> None:
    if not isinstance(definition, ast.ClassDef):
        size.functions += 1
        size.function_lengths[f"{module}:{definition.name}"] = (definition.end_lineno or 0) - definition.lineno + 1
    if is_public:
        size.public += 1
        size.documented += ast.get_docstring(definition) is not None


def definitions(tree: ast.AST, is_public: bool = True) -> Iterator[tuple[Definition, bool]]:
    """Every function and class, and whether it is public: no part of its path is private or inside a function."""
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, Definition):
            yield from definitions(child, is_public)
            continue
        public = is_public and not child.name.startswith("_")
        yield child, public
        yield from definitions(child, public and isinstance(child, ast.ClassDef))


def rows(sizes: list[Size]) -> Iterator[tuple[str, list[str]]]:
    yield "lines", [f"{size.lines:,}" for size in sizes]
    yield "modules", [str(size.modules) for size in sizes]
    yield "functions", [f"{size.functions:,}" for size in sizes]
    yield "public with docstring, %", [f"{100 * size.documented / max(1, size.public):.1f}" for size in sizes]
    yield "longest function", [longest(size.function_lengths) for size in sizes]
    yield "longest file", [longest(size.file_lengths) for size in sizes]
    for area in sorted({area for size in sizes for area in size.area_lines}):
        yield f"{area}, lines", [f"{size.area_lines.get(area, 0):,}" for size in sizes]


def longest(lengths: dict[str, int]) -> str:
    name = max(lengths, key=lambda name: lengths[name], default="")
    return f"{lengths.get(name, 0)} ({name})"


if __name__ == "__main__":
    main()
