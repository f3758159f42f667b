from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from calmasters.commands.draw_plan import Graph, main, reduced, summarized, to_dot, to_mermaid

SETTINGS = "INSTRUME-ATR585M_{}SETTEMP--10.00_GAIN-100"


def dag(nights: int) -> str:
    """What Snakemake writes for some nights of flats of two filters, one dark and one bias."""
    flats = [
        f"masterFlat_FILTER-{name}_" + SETTINGS.format(f"DATE-2026-01-{night:02d}_")
        for name in ("B", "Ha")
        for night in range(1, nights + 1)
    ]
    nodes = ['\t0[label = "masters", color = "0.30 0.6 0.85", style="rounded"];']
    for number, name in enumerate(["masterBias_" + SETTINGS.format(""), *flats], 1):
        rule = "master_flat" if "Flat" in name else "master_bias"
        nodes.append(
            f'\t{number}[label = "{rule}\\nname: {name}", color = "0.22 0.6 0.85", '
            f'style="rounded{",dashed" * (number == 1)}"];'
        )
    edges = [f"\t{number} -> 0" for number in range(1, len(nodes))]
    edges += [f"\t1 -> {number}" for number in range(2, len(nodes))]
    return "\n".join(["digraph snakemake_dag {", *nodes, *edges, "}"])


def test_a_small_graph_keeps_every_job() -> None:
    graph = Graph.from_dot(dag(1))
    assert [node.lines[:2] for node in graph.nodes.values()] == [
        ("masters", ""),
        ("master bias", "INSTRUME ATR585M, SETTEMP -10.00, GAIN 100"),
        ("master flat", "FILTER B, INSTRUME ATR585M, DATE 2026-01-01"),
        ("master flat", "FILTER Ha, INSTRUME ATR585M, DATE 2026-01-01"),
    ]
    assert [node.done for node in graph.nodes.values()] == [False, True, False, False]
    assert len(graph.edges) == 5


def test_a_large_graph_is_counted_by_camera_and_filter() -> None:
    graph = summarized(Graph.from_dot(dag(9)))
    assert [node.lines for node in graph.nodes.values()] == [
        ("masters",),
        ("1 x master bias", "ATR585M"),
        ("9 x master flat", "ATR585M, B", "9 nights, 2026-01-01 to 2026-01-09"),
        ("9 x master flat", "ATR585M, Ha", "9 nights, 2026-01-01 to 2026-01-09"),
    ]
    assert len(graph.edges) == 5


def test_what_others_imply_is_not_drawn() -> None:
    edges = {(start[0], end[0]) for start, end in reduced(Graph.from_dot(dag(1))).edges}
    assert edges == {("1", "2"), ("1", "3"), ("2", "0"), ("3", "0")}


@pytest.mark.parametrize(("nights", "boxes"), [(2, 6), (30, 4)])
def test_the_command_writes_what_can_be_read(tmp_path: Path, nights: int, boxes: int) -> None:
    graph = tmp_path / "graph.dot"
    graph.write_text(dag(nights))
    program = f"print(open({str(graph)!r}).read())"
    assert main([str(tmp_path / "pictures"), sys.executable, "-c", program]) == 0
    for kind in ("dag", "rulegraph"):
        dot = (tmp_path / "pictures" / f"{kind}.dot").read_text(encoding="utf-8")
        mermaid = (tmp_path / "pictures" / f"{kind}.mmd").read_text(encoding="utf-8")
        assert len(re.findall(r"^  \d+ \[label=", dot, re.M)) == boxes
        assert len(re.findall(r"^    n\d+\[", mermaid, re.M)) == boxes
        assert mermaid.startswith("flowchart LR\n")


def test_svg_needs_no_installed_graphviz(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # without dot
    graph = tmp_path / "graph.dot"
    graph.write_text(dag(1).replace("ATR585M", "Kameraü"), encoding="utf-8")
    program = f"import sys; sys.stdout.buffer.write(open({str(graph)!r}, 'rb').read())"
    assert main([str(tmp_path), sys.executable, "-X", "utf8", "-c", program]) == 0
    for kind in ("dag", "rulegraph"):
        svg = ElementTree.parse(tmp_path / f"{kind}.svg")
        texts = [element.text or "" for element in svg.iter("{http://www.w3.org/2000/svg}text")]
        assert texts.count("master flat") == 2
        assert any("INSTRUME Kameraü" in text for text in texts)
    assert capfd.readouterr().err == ""


def test_quotes_in_names_do_no_harm() -> None:
    graph = Graph.from_dot('\t0[label = "say", color = "0 0 0", style="rounded"];')
    (node,) = graph.nodes.values()
    quoted = Graph({("0",): type(node)(('a "b"',), "0 0 0", False)}, ())
    assert "a 'b'" in to_dot(quoted)
    assert "a 'b'" in to_mermaid(quoted)


def test_a_command_that_fails_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), sys.executable, "-c", "raise SystemExit('no such key')"]) == 1
    assert "no such key" in capsys.readouterr().err
