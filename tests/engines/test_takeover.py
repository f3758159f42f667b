from __future__ import annotations

from pathlib import Path

import pytest

from calmasters.atomic_files import write_whole
from calmasters.engines.preflight import TakeoverGuard
from calmasters.errors import EngineError
from calmasters.frame import FrameType, Geometry
from calmasters.model.job import FrameFile, MasterJob, Recipe
from calmasters.settings import Integration

JOB = MasterJob(
    name="masterBias_GAIN-100",
    type=FrameType.BIAS,
    keywords={},
    geometry=Geometry(4, 3),
    frames=(FrameFile("a.fits", 2880, 1),),
    header={},
    recipe=Recipe("native", 1, Integration(), None, "unit", "xisf"),
)


@pytest.mark.parametrize("file", [JOB.file, ".lock"])
@pytest.mark.parametrize("before", ["", "one run"])
def test_a_job_detects_that_another_run_has_taken_over(
    tmp_path: Path, file: str, before: str
) -> None:
    if before:
        write_whole(tmp_path / file, before)
    guard = TakeoverGuard(JOB, tmp_path)
    guard.require()
    if before:
        write_whole(tmp_path / file, before)  # the same content, at another time
        guard.require()
    write_whole(tmp_path / file, "another run")
    with pytest.raises(EngineError, match=f"{JOB.master}: another run has taken over"):
        guard.require()
