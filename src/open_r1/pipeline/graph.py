"""The graph of a pipeline's stages: the order in which they run, what each waits for, and which of them are chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from open_r1.errors import ConfigError, nearest
from open_r1.pipeline.stage import Stage

Edges = Mapping[str, Sequence[str]]
"""A stage's name -> the names of the stages that must be done before it, in their order."""


def order_stages(stages: Sequence[Stage], where: str) -> tuple[Stage, ...]:
    """The stages, each after all that it waits for, and otherwise in the order of the file.

    ConfigError for a stage that waits for one that does not exist, or for itself by way of others.
    """
    by_name = {stage.name: stage for stage in stages}
    ordered: dict[str, Stage] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            cycle = " -> ".join((*path[path.index(name) :], name))
            raise ConfigError(f"{where}: stages wait for each other: {cycle}; remove one of these dependencies.")
        if name in ordered:
            return
        for awaited in (*by_name[name].needs(), *by_name[name].after):
            if awaited not in by_name:
                raise ConfigError(
                    f"{where}: stage '{name}' needs '{awaited}', which is not a stage of this pipeline"
                    f"{nearest(awaited, by_name)} Stages: {', '.join(by_name)}."
                )
            visit(awaited, (*path, name))
        ordered[name] = by_name[name]

    for stage in stages:
        visit(stage.name, ())
    return tuple(ordered.values())


def edges_of(stages: Sequence[Stage]) -> dict[str, tuple[str, ...]]:
    """What each of the ordered stages waits for: what it reads, what it names in `after`; a report, all before it."""
    before: list[str] = []
    edges = {}
    for stage in stages:
        awaited = before if stage.reads_all else (*stage.needs(), *stage.after)
        edges[stage.name] = tuple(name for name in before if name in awaited)
        before.append(stage.name)
    return edges


def with_ancestors(names: Iterable[str], edges: Edges) -> set[str]:
    """The stages and all that they wait for."""
    found = set(names)
    for name in reversed(list(edges)):
        if name in found:
            found.update(edges[name])
    return found


def with_descendants(names: Iterable[str], edges: Edges) -> set[str]:
    """The stages and all that wait for them."""
    found = set(names)
    for name, awaited in edges.items():
        if found.intersection(awaited):
            found.add(name)
    return found


@dataclass(frozen=True)
class Selection:
    """The stages of a pipeline that are run; by default all of them.

    Args:
        start: This stage and what waits for it.
        until: This stage and what it waits for.
        only: This stage alone.
        force: Stages that run again though they are done, with all that read what they make.
    """

    start: str | None = None
    until: str | None = None
    only: str | None = None
    force: tuple[str, ...] = ()

    def choose(self, stages: Sequence[Stage]) -> set[str]:
        """The names of the chosen stages. ConfigError for an unknown name, and for choices that exclude each other."""
        edges = edges_of(stages)
        for name in filter(None, (self.start, self.until, self.only, *self.force)):
            if name not in edges:
                raise ConfigError(f"there is no stage '{name}'{nearest(name, edges)} Stages: {', '.join(edges)}.")
        if self.only and (self.start or self.until):
            raise ConfigError("--only chooses one stage; leave out --from and --until, or --only.")
        if self.only:
            return {self.only}
        chosen = with_descendants([self.start], edges) if self.start else set(edges)
        if self.until:
            chosen &= with_ancestors([self.until], edges)
        if not chosen:
            raise ConfigError(
                f"'{self.until}' does not wait for '{self.start}': no stage is from one until the other."
            )
        return chosen

    def forced(self, stages: Sequence[Stage]) -> set[str]:
        """The stages that run again: those named by `force`, and all that read what they make."""
        return with_descendants(self.force, {stage.name: stage.needs() for stage in stages})


def show_tree(edges: Edges) -> dict[str, str]:
    """Each stage's name -> its name as a tree of text shows it, in the tree's order.

    A stage that waits for several is below the last of them.
    """
    parents = {name: awaited[-1] if awaited else None for name, awaited in edges.items()}
    shown: dict[str, str] = {}

    def show(parent: str, indent: str) -> None:
        below = [name for name in edges if parents[name] == parent]
        for name in below:
            branch, further = ("└─ ", "   ") if name == below[-1] else ("├─ ", "│  ")
            shown[name] = f"{indent}{branch}{name}"
            show(name, indent + further)

    for name in (name for name in edges if parents[name] is None):
        shown[name] = name
        show(name, "")
    return shown
