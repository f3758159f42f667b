"""Before any master is made, its engine is asked whether it can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from calmasters.engines import ENGINES, needs_of
from calmasters.engines.early_checks import engine_problems, require_engine
from calmasters.errors import ConfigError
from calmasters.frame import FrameType, Geometry
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.settings import Calibration, Integration, Settings

MakeSettings = Callable[..., Settings]


def job_for(engine: str, kind: str = "bias", path: str = "1.fits", **changes: object) -> MasterJob:
    integration = replace(Integration(), **changes)
    is_flat = kind == "flat"
    return MasterJob(
        name=f"M{kind}",
        type=FrameType(kind),
        keywords={},
        geometry=Geometry(10, 10),
        frames=(FrameFile(path, 2000, 0),),
        header={},
        recipe=Recipe(engine, 1, integration, Calibration(), "unit", "xisf"),
        bias=UsedMaster("masters/bias/B.xisf", "run", "") if is_flat else None,
        optimize_dark=is_flat,
    )


def missing(settings: Settings) -> str:
    return "\n".join(needs_of(settings.engine).missing(settings))


def test_the_native_engine_makes_masters_without_a_program(make_settings: MakeSettings) -> None:
    assert engine_problems([job_for("native")], make_settings(), is_local=True) == {}


@pytest.mark.parametrize("engine", ["pixinsight", "siril"])
def test_a_program_that_is_missing_concerns_every_master(
    make_settings: MakeSettings, engine: str
) -> None:
    settings = make_settings(**{"engine": engine, engine: {"binary": "gone"}})
    jobs = [job_for(engine), job_for(engine, "dark")]
    problems = engine_problems(jobs, settings, is_local=True)
    assert problems == {job.master: (missing(settings),) for job in jobs}
    assert f"{engine}.binary: there is no file 'gone'; set {engine}.binary" in missing(settings)
    # On the nodes of a cluster it may be there.
    assert engine_problems(jobs, settings, is_local=False) == {}


def test_a_program_that_is_not_siril_is_named(make_settings: MakeSettings, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho nothing\n")
    other.chmod(0o755)
    settings = make_settings(engine="siril", siril={"binary": str(other)})
    assert "does not print a version of Siril" in missing(settings)


def test_a_problem_of_several_masters_is_reported_once_with_all_others(
    make_settings: MakeSettings,
) -> None:
    jobs = [
        job_for("siril"),
        job_for("siril", "dark", combination="Minimum"),
        job_for("siril", "flat", rejection="CCDClip"),
    ]
    problems = engine_problems(jobs, make_settings(engine="siril"), is_local=False)
    assert [*problems] == [job.master for job in jobs[1:]]
    require_engine(jobs[0].master, problems)
    with pytest.raises(ConfigError) as raised:
        require_engine(jobs[1].master, problems)
    first, *lines = str(raised.value).split("\n  ")
    assert first == "2 masters cannot be made; nothing was started:"
    assert [line.partition(": ")[0] for line in lines] == [
        "integration.dark.combination",
        "integration.flat.rejection",
        "calibration.flat.optimizeDarks",
    ]


def test_a_name_that_pixinsight_cannot_open_is_reported_early(make_settings: MakeSettings) -> None:
    job = job_for("pixinsight", path="bias/\udcff.fits")
    (sentences,) = engine_problems([job], make_settings(), is_local=False).values()
    assert sentences[0].startswith("the file name 'bias/\\udcff.fits' is not valid UTF-8")


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_declares_how_many_frames_a_rejection_needs(engine: str) -> None:
    fewest = needs_of(engine).fewest_frames
    assert fewest(Integration()) == 3
    assert fewest(Integration(rejection="LinearFit")) == (3 if engine == "siril" else 5)
