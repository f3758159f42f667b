"""The plan as pictures: Snakemake's graphs, and a summary of them where they grow too large.

``python -m calmasters.commands.draw_plan DIRECTORY snakemake masters`` writes ``dag`` and
``rulegraph``, each as DOT and Mermaid, and as SVG where Graphviz or graphviz-pure is installed.
Past some dozens of masters nobody can read a graph of all jobs: ``dag`` then shows masters counted
by camera and filter or exposure.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from calmasters.errors import CalmastersError

__all__ = ["Graph", "Node", "main", "reduced", "summarized", "to_dot", "to_mermaid"]

#: More jobs than this are summarized.
_READABLE: Final = 40

_NODE: Final = re.compile(
    r'^\s*(\d+)\[label = "(\w+)(?:\\nname: )?(.*?)", color = "(.*?)", style="(.*?)"\]', re.M
)
_EDGE: Final = re.compile(r"^\s*(\d+) -> (\d+)", re.M)
_HEAD: Final = (
    "digraph plan {\n  rankdir=LR; node [shape=box, style=rounded, fontname=Helvetica, "
    "fontsize=10]; edge [color=grey];"
)


@dataclass(frozen=True)
class Node:
    """A job, or several alike.

    Attributes
    ----------
    lines : tuple of str
        What is written in the box.
    color : str
        Of its frame, as hue, saturation and value.
    done : bool
        Nothing is to be made.
    name : str
        Of the master that it makes; empty for other jobs.
    """

    lines: tuple[str, ...]
    color: str
    done: bool
    name: str = ""


Key: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """Jobs by number or by what they have in common, and which of them use which."""

    nodes: Mapping[Key, Node]
    edges: tuple[tuple[Key, Key], ...]

    @classmethod
    def from_dot(cls, text: str) -> Graph:
        """Read what ``snakemake --dag dot`` or ``--rulegraph dot`` writes."""
        nodes: dict[Key, Node] = {
            (number,): Node(_lines(rule, name), color, "dashed" in style, name)
            for number, rule, name, color, style in _NODE.findall(text)
        }
        edges = tuple(((start,), (end,)) for start, end in _EDGE.findall(text))
        return cls(nodes, edges)


def _lines(rule: str, name: str) -> tuple[str, ...]:
    """Write a rule and a master's name as a few short lines."""
    values = [f"{key} {value}" for key, value in _keywords(name).items()]
    return (rule.replace("_", " "), *(", ".join(values[at : at + 3]) for at in range(0, 9, 3)))


def _keywords(name: str) -> dict[str, str]:
    """Read the keywords in a master's name."""
    parts = (part.partition("-") for part in name.split("_")[1:])
    return {key: value for key, dash, value in parts if dash}


def summarized(graph: Graph) -> Graph:
    """Put masters of one kind, camera and filter together; nights and exposures are counted."""
    places = {key: _place(node) for key, node in graph.nodes.items()}
    members: dict[Key, list[Key]] = defaultdict(list)
    for key, place in places.items():
        members[place].append(key)
    nodes = {
        place: Node(
            _counted(place, [graph.nodes[key].name for key in keys]),
            graph.nodes[keys[0]].color,
            all(graph.nodes[key].done for key in keys),
        )
        for place, keys in members.items()
    }
    edges = dict.fromkeys((places[start], places[end]) for start, end in graph.edges)
    return Graph(nodes, tuple(edge for edge in edges if edge[0] != edge[1]))


def reduced(graph: Graph) -> Graph:
    """Leave out the edges that two others imply: what a flat needs, the target needs anyway."""
    after: dict[Key, set[Key]] = defaultdict(set)
    for start, end in graph.edges:
        after[start].add(end)
    edges = [
        (start, end)
        for start, end in graph.edges
        if not any(end in after.get(between, ()) for between in after[start])
    ]
    return Graph(graph.nodes, tuple(edges))


def _place(node: Node) -> Key:
    has = _keywords(node.name)
    return (node.lines[0], *(has[key] for key in ("INSTRUME", "FILTER") if key in has))


def _counted(place: Key, names: Sequence[str]) -> tuple[str, ...]:
    rule, *values = place
    if not names[0]:
        return (rule,)
    keywords = [_keywords(name) for name in names]
    spans = [*_span("nights", (each.get("DATE") for each in keywords))]
    spans += _span("exposures", (each.get("EXPOSURE") for each in keywords))
    return (f"{len(names)} x {rule}", ", ".join(values), *spans)


def _span(noun: str, values: Iterable[str | None]) -> Iterator[str]:
    several = sorted({value for value in values if value}, key=_in_order)
    if len(several) > 1:
        yield f"{len(several)} {noun}, {several[0]} to {several[-1]}"


def _in_order(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return 0.0, value


# --- as text --------------------------------------------------------------------------------------


def to_dot(graph: Graph) -> str:
    """Write a graph for Graphviz; what is done already has a dashed frame."""
    numbers = {key: number for number, key in enumerate(graph.nodes)}
    boxes = (
        f'  {numbers[key]} [label="{_joined(node, chr(92) + "n")}", color="{node.color}", '
        f'style="rounded{",dashed" * node.done}"];'
        for key, node in graph.nodes.items()
    )
    arrows = (f"  {numbers[start]} -> {numbers[end]};" for start, end in graph.edges)
    return "\n".join((_HEAD, *boxes, *arrows, "}", ""))


def to_mermaid(graph: Graph) -> str:
    """Write a graph as a Mermaid flowchart, which web pages of repositories draw."""
    numbers = {key: number for number, key in enumerate(graph.nodes)}
    boxes = (f'    n{numbers[key]}["{_joined(node, "<br>")}"]' for key, node in graph.nodes.items())
    arrows = (f"    n{numbers[start]} --> n{numbers[end]}" for start, end in graph.edges)
    return "\n".join(("flowchart LR", *boxes, *arrows, ""))


def _joined(node: Node, separator: str) -> str:
    return separator.join(filter(None, node.lines)).replace('"', "'")


# --- files ----------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and write the pictures."""
    parser = argparse.ArgumentParser(prog="python -m calmasters.commands.draw_plan")
    parser.add_argument("directory", type=Path, help="where the pictures go")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, help="what to draw, such as: snakemake masters"
    )
    given = parser.parse_args(arguments)
    given.directory.mkdir(parents=True, exist_ok=True)
    try:
        for kind in ("dag", "rulegraph"):
            _draw(kind, _graph(given.command, kind), given.directory)
    except CalmastersError as error:
        print(f"calmasters: {error}", file=sys.stderr)
        return 1
    return 0


def _graph(command: Sequence[str], kind: str) -> Graph:
    """Ask Snakemake for a graph, and make it readable."""
    done = subprocess.run(
        [*command, f"--{kind}", "dot"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CalmastersError(f"drawing the {kind}: {' '.join(command)} failed:\n{done.stderr}")
    graph = Graph.from_dot(done.stdout)
    return reduced(summarized(graph) if len(graph.nodes) > _READABLE else graph)


def _draw(name: str, graph: Graph, directory: Path) -> None:
    files = {f"{name}.dot": to_dot(graph), f"{name}.mmd": to_mermaid(graph)}
    for file, text in files.items():
        (directory / file).write_text(text, encoding="utf-8")
        print(directory / file)
    if program := _graphviz():
        picture = directory / f"{name}.svg"
        # -q: without Graphviz's library of fonts, each character that is not ASCII gives a warning.
        subprocess.run(
            [program, "-q", "-Tsvg", "-o", picture, directory / f"{name}.dot"], check=True
        )
        print(picture)
    else:
        print(
            "no SVG: neither Graphviz (dot) nor graphviz-pure is installed; install one of them: "
            f"{sys.executable} -m pip install graphviz-pure",
            file=sys.stderr,
        )


def _graphviz() -> str | None:
    """Find Graphviz, or the build of it that Python packages can require."""
    return shutil.which("dot") or shutil.which("graphviz-pure", path=sysconfig.get_path("scripts"))


if __name__ == "__main__":
    sys.exit(main())
