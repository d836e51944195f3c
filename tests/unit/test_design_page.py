"""The design page is true: every link of its chains exists, every package is in its table."""

from __future__ import annotations

import ast
import re
from pathlib import Path


def links(repo: Path) -> list[tuple[str, str]]:
    page = (repo / "docs" / "concepts" / "design.md").read_text(encoding="utf-8")
    return re.findall(r"`([\w/]+\.py):(\w+)`", page)


def definitions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }


def test_every_link_of_a_trip_exists(repo: Path) -> None:
    found = links(repo)
    package = repo / "src" / "open_r1"
    assert len(found) > 25
    missing = [f"{file}:{name}" for file, name in found if name not in definitions(package / file)]
    assert missing == []


def test_every_package_is_in_the_table(repo: Path) -> None:
    page = (repo / "docs" / "concepts" / "design.md").read_text(encoding="utf-8")
    packages = {path.parent.name for path in (repo / "src" / "open_r1").glob("*/__init__.py")}
    assert {name for name in packages if f"`{name}`" not in page} == set()
