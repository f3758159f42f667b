"""Frames that differ, left out by the file that the report writes for it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from astropy.io import fits
from real_workflow import Workflow

from calmasters.quality.judgement import NUMBERS
from calmasters.synthetic.camera import Camera
from calmasters.synthetic.session import ObservingSession, write_session

#: Frames of enough pixels for numbers that mean something.
SESSION = ObservingSession(
    camera=Camera(width=160, height=120),
    **{"bias": 6, "darks": 6, "flats": 6, "nights": 2, "lights": 0, "broken": 0},
    dark_exposures_s=(1.5,),
    filters=("B",),
)


def add_light(path: Path, adu: int) -> None:
    """Add light that is brighter on one side to a frame."""
    with fits.open(path, mode="update") as file:
        image = file[0].data
        slope = np.linspace(0, adu, image.shape[1])
        file[0].data = (image + slope).astype(np.uint16)


def status_of(workflow: Workflow, paths: Sequence[str]) -> set[str]:
    return {workflow.inventory.loc[path, "status"] for path in paths}


def test_the_file_leaves_out_exactly_the_frames_that_differ(workflow: Workflow) -> None:
    write_session(workflow.frames, SESSION)
    lit = sorted(workflow.frames.rglob("DARK/*.fits"))[2]
    add_light(lit, 400)
    # Without the original its copy would be used.
    copy = shutil.copy2(lit, lit.parent.parent / "zz_copy.fits")
    workflow.configure(exclude=["*nothing*"])
    shown = workflow.show("report")
    file = workflow.output / "leave_out.yaml"
    listed = [line for line in shown if "leave_out.yaml" in line]
    assert [line.partition(": ")[0] for line in listed] == ["To leave out 2 frames that differ"]
    assert listed[0].endswith(
        f"snakemake masters --configfile {workflow.output.name}/leave_out.yaml"
    )
    paths = [path.relative_to(workflow.frames).as_posix() for path in (lit, Path(copy))]
    stored = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert stored == {"exclude": ["*nothing*", *(f"/{path}" for path in paths)]}
    before = workflow.inventory["status"]
    check_metrics(workflow)
    check_examples(workflow)
    check_flats(workflow)

    shown = workflow.show("report", "--configfile", str(file))
    after = workflow.inventory["status"]
    assert set(after[after != before].index) | {paths[1]} == set(paths)
    assert status_of(workflow, paths) == {"ignored"}
    # The dark was made again, and is compared with what it was.
    (dark,) = (name for name in workflow.masters if "masterDark" in name)
    quality = workflow.output / "quality"
    record = json.loads((quality / f"{dark}.json").read_text(encoding="utf-8"))
    assert record["previous"] == "the version of it before"
    assert record["numbers"]["changed_percent"] < 1
    assert (quality / f"{dark}_change.webp").is_file()
    # It stays for the next run, and says nothing new.
    assert yaml.safe_load(file.read_text(encoding="utf-8")) == stored
    assert not [line for line in shown if line.startswith("To leave out")]


def check_flats(workflow: Workflow) -> None:
    """The flat of each night is compared with that of the night before."""
    first, second = (name for name in workflow.masters if "masterFlat" in name)
    quality = workflow.output / "quality"
    records = [
        json.loads((quality / f"{name}.json").read_text(encoding="utf-8"))
        for name in (first, second)
    ]
    assert [record["previous"] for record in records] == ["", first]
    assert not (quality / f"{first}_change.webp").exists()
    assert (quality / f"{second}_change.webp").is_file()


def check_metrics(workflow: Workflow) -> None:
    table = pd.read_csv(workflow.output / "quality" / "metrics.csv").set_index("name")
    assert sorted(table.index) == sorted(workflow.masters)
    (dark,) = table.index[table["type"] == "dark"]
    assert table.loc[dark, "EXPOSURE"] == 1.5
    assert table.loc[dark, "frames"] == 6
    assert table.loc[dark, "residual_adu_uncertainty"] > 0
    assert pd.isna(table.loc[dark, "gain_e_adu"])
    assert [*NUMBERS] == [name for name in table if name in NUMBERS]


def check_examples(workflow: Workflow) -> None:
    """The Python that docs/files.md shows runs as it is."""
    page = (workflow.repository / "docs" / "files.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^    >>> (.+)$", page, re.MULTILINE))
    assert {"inventory.csv", "metrics.csv"} <= {*re.findall(r"\w+\.csv", code)}
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=workflow.directory,
        env={**workflow.environment, "MPLBACKEND": "svg"},
        check=True,
    )
