"""``snakemake compare``: the user's masters by two engines, apart from the usual ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from jobs_for_pixinsight import Program
from real_workflow import TINY, Workflow

from calmasters.synthetic.session import write_session


def test_masters_of_two_engines_are_compared_apart_from_the_usual_ones(
    tmp_path: Path, program: Program
) -> None:
    text = program.binary.read_text(encoding="utf-8")
    program.binary.write_text(text.replace("-m standin", "-m planted one_pixel"), encoding="utf-8")
    workflow = Workflow(tmp_path)
    workflow.configure(
        engines=["native", "pixinsight"],
        pixinsight={"binary": str(program.binary), "js_engine": "sm", "session": "shared"},
    )
    write_session(workflow.frames, replace(TINY, flats=0))
    shown = workflow.show("compare")
    table = shown[shown.index("Masters by pixinsight, compared with those by native:") + 1 :]
    assert len(table) == 3
    assert all("0.26 % differ, at most " in line for line in table[:2])
    assert all(line.endswith("at x 5, y 3") for line in table[:2])
    assert {path.name for path in workflow.output.iterdir()} == {"compare"}
    stored = json.loads((workflow.output / "compare" / "compare.json").read_text("utf-8"))
    assert [master["pixels"] for master in stored["masters"]] == [1, 1]
    assert all(0 < master["largest_noise"] < 1e-3 for master in stored["masters"])
    assert all((workflow.output / master["picture"]).is_file() for master in stored["masters"])
    assert "output/compare/compare.json" in workflow.run("-n", "report").output
