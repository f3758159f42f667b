"""Scripts that a user runs: the master, its record, and what they say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from jobs_for_pixinsight import Site, make_job

from calmasters.engines.pixinsight.user_scripts import write_scripts
from calmasters.frame import FrameType
from calmasters.images.master_file import read_image, write_master
from calmasters.model.job import MasterJob, UsedMaster
from calmasters.model.master_record import MasterRecord
from calmasters.planning.staleness import FileTimes, is_current

BIAS, DARK, FLAT = FrameType.BIAS, FrameType.DARK, FrameType.FLAT


def record_of(site: Site, job: MasterJob) -> MasterRecord:
    return MasterRecord.read(site.output_dir / job.record)


def used(job: MasterJob) -> UsedMaster:
    return UsedMaster(job.master, "run", "same settings", job=job.digest)


@pytest.fixture
def session(site: Site) -> list[MasterJob]:
    """The jobs of a bias, a dark and flats that use both."""
    bias, dark = make_job(site, BIAS), make_job(site, DARK)
    return [bias, dark, make_job(site, FLAT, bias=used(bias), dark=used(dark))]


def write(site: Site, jobs: Sequence[MasterJob]) -> dict[str, str]:
    """Write the scripts of jobs; return their texts by name."""
    folder = site.output_dir / "scripts"
    titled = [(job.type.value, job) for job in jobs]
    write_scripts(titled, site.engine(), site.input_dir, site.output_dir, folder)
    return {path.stem.split("_")[0]: path.read_text() for path in folder.rglob("*.js")}


def run(site: Site, script: str) -> str:
    return "\n".join(site.program.run_script(script).console)


@pytest.mark.usefixtures("mode")
def test_the_record_is_that_of_the_engine(site: Site, session: list[MasterJob]) -> None:
    assert "3 made, 0 up to date, 0 failed" in run(site, write(site, session)["all"])
    by_script = [record_of(site, job) for job in session]
    for job, ours in zip(session, by_script, strict=True):
        site.make(job)
        theirs = record_of(site, job)
        assert ours.noise is None
        numbers = ("mean", "median", "minimum", "maximum")
        for name in numbers:
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-6), name
        assert ours.versions == theirs.versions
        assert ours.warnings[0].text.startswith("made by a script that was run by hand")
        # Only the engine measures the frames.
        frames = tuple(replace(frame, difference="") for frame in theirs.frames)
        theirs = replace(theirs, frames=frames)
        same = dict.fromkeys((*numbers, "noise", "seconds"), 0.0)
        assert replace(ours, **same, warnings=()) == replace(theirs, **same, warnings=())


@pytest.mark.usefixtures("mode")
def test_masters_are_current_by_their_records(site: Site, session: list[MasterJob]) -> None:
    scripts = write(site, session)
    for name in ("masterBias", "masterDark", "masterFlat"):
        run(site, scripts[name])
    for job in session:
        times = FileTimes(site.output_dir)
        assert is_current(job.master, job.made_of, times)
        assert times.of_master(job.master) >= times.of(session[0].master)


def test_a_truncated_master_is_not_current(site: Site, session: list[MasterJob]) -> None:
    run(site, write(site, session)["masterBias"])
    master = site.output_dir / session[0].master
    master.write_bytes(master.read_bytes()[:-100])
    assert not is_current(session[0].master, session[0].made_of, FileTimes(site.output_dir))


def test_jobs_of_another_engine_use_the_masters_of_pixinsight(
    site: Site, session: list[MasterJob]
) -> None:
    def native(job: MasterJob) -> MasterJob:
        return replace(job, recipe=replace(job.recipe, engine="native"))

    bias, dark, flat = map(native, session)
    planned = [bias, dark, replace(flat, bias=used(bias), dark=used(dark))]
    run(site, write(site, planned)["all"])
    assert [record_of(site, job).made_of for job in session] == [job.made_of for job in session]


# What is refused -------------------------------------------------------------------------


@pytest.mark.usefixtures("mode")
def test_flats_are_not_made_before_their_bias(site: Site, session: list[MasterJob]) -> None:
    bias, _, flat = session
    scripts = write(site, session)
    console = run(site, scripts["masterFlat"])
    assert f"its bias {site.output_dir / bias.master} is missing: run its script first" in console
    assert f"bias/{bias.name}.js" in console
    assert not (site.output_dir / flat.master).parent.exists()


def test_a_script_in_a_folder_of_a_camera_is_named(site: Site, session: list[MasterJob]) -> None:
    bias, dark, flat = (
        replace(job, name=f"Camera/{job.name}", recipe=replace(job.recipe, layout="ap-library"))
        for job in session
    )
    jobs = [bias, dark, replace(flat, bias=used(bias), dark=used(dark))]
    write(site, jobs)
    script = site.output_dir / "scripts" / "flat" / f"{flat.name}.js"
    assert f"bias/{bias.name}.js" in run(site, script.read_text())
    run(site, (site.output_dir / "scripts" / "all.js").read_text())
    assert [record_of(site, job).made_of for job in jobs] == [job.made_of for job in jobs]


def test_flats_are_not_made_with_a_bias_of_other_frames(
    site: Site, session: list[MasterJob]
) -> None:
    bias, _, flat = session
    scripts = write(site, [replace(bias, frames=bias.frames[:4])])
    run(site, scripts["masterBias"])
    scripts = write(site, session)
    run(site, scripts["masterDark"])
    assert "was made by another program, or of other frames" in run(site, scripts["masterFlat"])
    assert not (site.output_dir / flat.master).exists()


def test_a_master_that_pixinsight_would_make_wrong_is_refused(
    site: Site, session: list[MasterJob]
) -> None:
    bias = session[0]
    frames = tuple(frame._replace(read_as="32-bit integers as ADU") for frame in bias.frames)
    scripts = write(site, [replace(bias, frames=frames)])
    assert "contains 16-bit ADU in integers of 32 bits" in run(site, scripts["masterBias"])
    scripts = write(site, [replace(bias, frames=bias.frames[:2])])
    assert "there are 2 frames; PixInsight needs at least 3" in run(site, scripts["masterBias"])
    assert not (site.output_dir / bias.master).exists()


@pytest.mark.parametrize(("exposure_s", "is_made"), [(300.0, False), (1.8, True)])
def test_a_dark_of_another_exposure_that_cannot_be_scaled_makes_no_flat(
    site: Site,
    flat_with_masters: Callable[..., MasterJob],
    exposure_s: float,
    is_made: bool,
) -> None:
    job = flat_with_masters(BIAS, DARK)
    bias, _ = read_image(site.output_dir / job.bias.path)
    noise = np.random.default_rng(5).normal(0.01, 1e-4, bias.shape).astype(np.float32)
    write_master(site.output_dir / job.dark.path, bias + noise, [])
    job = replace(job, dark=replace(job.dark, exposure_s=exposure_s))
    console = run(site, site.script(job))
    assert (site.output_dir / job.master).exists() is is_made
    assert ("the dark of another exposure cannot be scaled" in console) is not is_made
    assert not [*(site.output_dir / job.master).parent.glob(".*")]


def test_a_missing_frame_is_named(site: Site, session: list[MasterJob]) -> None:
    scripts = write(site, session)
    frame = site.input_dir / session[0].frames[2].path
    frame.unlink()
    assert f"{frame} is missing: run 'snakemake scripts' again" in run(site, scripts["masterBias"])


@pytest.mark.usefixtures("mode")
def test_a_failure_leaves_the_previous_master(site: Site, session: list[MasterJob]) -> None:
    scripts, folder = write(site, session), (site.output_dir / session[0].master).parent
    run(site, scripts["masterBias"])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    site.program.behave(fault="no-signal")
    assert "Zero or insignificant signal" in run(site, scripts["masterBias"])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# What is said ----------------------------------------------------------------------------


def test_warnings_of_pixinsight_and_of_levels_are_recorded(
    site: Site, session: list[MasterJob]
) -> None:
    bias = session[0]
    for frame in bias.frames:
        (site.input_dir / frame.path).unlink()
    frames = [site.write(frame.path, np.full((16, 24), 25_000.0)) for frame in bias.frames]
    job = replace(bias, frames=tuple(frames))
    run(site, site.script(job).replace("evaluateSNR: false", "evaluateSNR: true"))
    texts = [warning.text for warning in record_of(site, job).warnings]
    assert "No valid PSF signal samples were found." in texts
    assert any(
        text.startswith("its level of 25000 ADU is that of exposed frames") for text in texts
    )
    stored = json.loads((site.output_dir / job.record).read_text())
    assert stored["warning_count"] == len(texts) == 3


def test_all_js_goes_on_after_a_failure_and_sums_up(site: Site, session: list[MasterJob]) -> None:
    scripts = write(site, session)
    (site.input_dir / session[1].frames[0].path).write_bytes(b"no image")
    console = run(site, scripts["all"])
    assert "[1/3] bias: 5 frames" in console
    assert "*** [2/3] dark failed: ImageIntegration failed" in console
    assert "*** [3/3] flat failed: its dark" in console
    assert "* integrating 5 frames" in console
    assert re.search(r"Masters: 1 made, 0 up to date, 2 failed, in \d{1,3} s$", console, re.M)
    assert console.count("*** failed: ") == 2
    assert "[1/3] bias: up to date" in run(site, scripts["all"])


def test_all_js_makes_flats_again_whose_bias_it_made_again(
    site: Site, session: list[MasterJob]
) -> None:
    scripts = write(site, session)
    run(site, scripts["all"])
    (site.output_dir / session[0].master).unlink()
    assert "Masters: 2 made, 1 up to date, 0 failed" in run(site, scripts["all"])
