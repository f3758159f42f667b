"""What headers say goes through the whole workflow as text, and nowhere else."""

from __future__ import annotations

import json

from calmasters.headers.image_header import read_cards
from calmasters.synthetic.camera import Camera, write_frame
from calmasters.synthetic.session import ObservingSession, nina_header

CAMERA = Camera(width=48, height=32)

VALUES = (
    *("../../escaped", "$(touch escaped)", "; touch escaped #", "{wildcards.name}", "<output>"),
    *("</script><script>alert(1)</script>", "*/ #include <x> /*", "=cmd|' /C calc'!A0", "\\u0022;"),
)


def write_frames(workflow) -> None:
    shot = ObservingSession(CAMERA).shots()[0]
    for number, value in enumerate(VALUES):
        for place in range(3):
            header = nina_header(CAMERA, shot) | {"INSTRUME": value}
            pixels = CAMERA.bias_frame(3 * number + place)
            write_frame(workflow.frames / f"{number}" / f"{place}.fits", pixels, header)


def test_no_value_of_a_header_is_more_than_text(workflow):
    write_frames(workflow)
    workflow.run("masters", "scripts")
    assert workflow.run("masters").nothing_to_do
    masters = [*workflow.output.rglob("*.xisf")]
    assert all(path.parent == workflow.output / "masters" / "bias" for path in masters)
    assert sorted(read_cards(path)["INSTRUME"] for path in masters) == sorted(VALUES)
    assert {path.name for path in workflow.directory.iterdir()} <= {
        *("frames", "output", ".snakemake", ".cache")
    }
    cells = workflow.inventory["INSTRUME"]
    assert not cells.str.startswith(("=", "+", "-", "@")).any()
    scripts = [path for path in workflow.output.rglob("*.js") if path.name != "all.js"]
    for script in scripts:
        text = script.read_text(encoding="ascii")
        (line,) = [line for line in text.splitlines() if line.startswith("var JOB = ")]
        start = text.index("{", text.index(line))
        job, _ = json.JSONDecoder().raw_decode(text[start:])
        header = {name: value for name, value, _ in job["keywords"]}
        assert header["INSTRUME"][1:-1].replace("''", "'") in VALUES
    assert len(masters) == len(scripts) == len(VALUES)
