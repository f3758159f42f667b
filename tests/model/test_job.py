from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from calmasters.errors import RecordError
from calmasters.frame import FrameType, Geometry
from calmasters.frame_layout import FrameLayout, FramePart, Section
from calmasters.model.job import (
    FrameFile,
    LeftOut,
    MadeOf,
    MasterJob,
    Recipe,
    Reference,
    UsedMaster,
    read_made_of,
)
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.settings import Calibration, Integration

BIAS = UsedMaster("masters/bias/b.xisf", "run", "same settings")
DARK = UsedMaster("/data/library/d.fits", "library", "longest exposure")
FRAME = FrameFile("2026-01-15/é.fits", 5760, 1_768_500_000_123_456_789)
RECIPE = Recipe("native", 1, Integration(), Calibration(), "unit", "xisf")
JOB = MasterJob(
    name="masterFlat_FILTER-B",
    type=FrameType.FLAT,
    keywords={"FILTER": "B", "GAIN": 100, "SET-TEMP": -10.0},
    geometry=Geometry(4, 3, 2, 2, "RGGB"),
    frames=(FRAME, FRAME._replace(path="b.fits")),
    header={"EXPTIME": 1.5, "DATE-OBS": "2026-01-15T21:00:00"},
    recipe=RECIPE,
    bias=BIAS,
    dark=DARK,
    optimize_dark=True,
    warnings=(MasterWarning(WarningKind.CALIBRATION, "no dark master matches"),),
)

CHANGES: dict[str, dict[str, Any]] = {
    "name": {"name": "other"},
    "type": {"type": FrameType.DARK},
    "keywords": {"keywords": {**JOB.keywords, "GAIN": 101}},
    "geometry": {"geometry": replace(JOB.geometry, bayerpat=None)},
    "frames": {"frames": JOB.frames[:1]},
    "header": {"header": {**JOB.header, "EXPTIME": 1.6}},
    "recipe": {"recipe": replace(RECIPE, engine="pixinsight")},
    "bias": {"bias": None},
    "dark": {"dark": replace(DARK, path="/data/library/e.fits")},
    "optimize_dark": {"optimize_dark": False},
}
FRAME_CHANGES: dict[str, Any] = {
    "path": "c.fits",
    "size": 8640,
    "mtime_ns": FRAME.mtime_ns - 1,
    "content": "0123456789abcdef",
    "read_as": "signed",
}
RECIPE_CHANGES: dict[str, Any] = {
    "engine": "pixinsight",
    "algorithm_version": 2,
    "integration": Integration(sigmaLow=3.5),
    "calibration": Calibration(outputPedestal=100),
    "float_range": "adu16",
    "master_format": "fits",
    "layout": "ap-library",
    "parameters": {"ImageIntegration": {"largeScaleClipHigh": True}},
    "skip_outliers": True,
}


@pytest.mark.parametrize(
    "job",
    [
        JOB,
        replace(JOB, recipe=replace(RECIPE, calibration=None), bias=None, dark=None),
        replace(JOB, reference=Reference("bias/a.fits", "frame")),
    ],
)
def test_a_job_comes_back_equal_from_json(job: MasterJob) -> None:
    assert MasterJob.from_json(job.to_json()) == job
    assert MasterJob.from_json(job.to_json()).digest == job.digest
    assert job.to_json().isascii()


def test_every_part_of_a_job_is_looked_at_below() -> None:
    assert {*CHANGES, "warnings", "left_out", "reference"} == {
        field.name for field in fields(MasterJob)
    }
    assert set(FRAME_CHANGES) == set(FrameFile._fields)
    assert set(RECIPE_CHANGES) == {field.name for field in fields(Recipe)}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_digest_changes_with_what_decides_the_master(change: dict[str, Any]) -> None:
    assert replace(JOB, **change).digest != JOB.digest


@pytest.mark.parametrize("name", FRAME_CHANGES)
def test_the_digest_changes_with_each_frame(name: str) -> None:
    frames = (JOB.frames[0], JOB.frames[1]._replace(**{name: FRAME_CHANGES[name]}))
    assert replace(JOB, frames=frames).digest != JOB.digest


def test_settings_that_earlier_versions_did_not_have_count_only_if_they_are_set() -> None:
    # The digest of this job before there was skip_outliers.
    assert "skip_outliers" not in JOB.recipe.fields
    assert JOB.digest == "87b0fd7992605043"
    assert replace(JOB, dark=replace(DARK, exposure_s=60.0)).digest == JOB.digest


def test_a_default_that_changed_counts_only_where_it_is_used() -> None:
    def job(**integration: Any) -> MasterJob:
        changed = replace(RECIPE.integration, **integration)
        return replace(JOB, recipe=replace(RECIPE, integration=changed))

    assert job().digest == JOB.digest == job(linearFitHigh=4.0).digest
    assert job(linearFitHigh=3.0).digest != JOB.digest
    fits = {job(rejection="LinearFit", linearFitHigh=high).digest for high in (3.5, 4.0)}
    assert len(fits) == 2
    assert MasterJob.from_json(job().to_json()).recipe.integration.linearFitHigh == 3.5


def test_the_time_of_a_frame_does_not_count_where_its_content_does() -> None:
    identified = FRAME._replace(content="0123456789abcdef")
    job = replace(JOB, frames=(identified,))
    assert replace(JOB, frames=(identified._replace(mtime_ns=1),)).digest == job.digest
    assert replace(JOB, frames=(identified._replace(content="f"),)).digest != job.digest


def test_a_library_master_counts_by_its_content_wherever_it_is() -> None:
    job = replace(JOB, dark=replace(DARK, content="0123456789abcdef"))
    moved = replace(JOB, dark=UsedMaster("/elsewhere.fits", "library", "", "0123456789abcdef"))
    assert moved.digest == job.digest
    assert replace(JOB, dark=replace(DARK, content="f")).digest != job.digest


@pytest.mark.parametrize(
    ("float_range", "name", "read_as", "is_same"),
    [
        ("unit", "d.fits", "", True),
        ("adu16", "d.xisf", "", True),
        # The range of frames was taken for that of masters in FITS, here rightly and wrongly.
        ("adu16", "d.fits", "adu16", True),
        ("adu16", "d.fits", "", False),
        ("unit", "d.fits", "bottom-up", False),
        ("unit", "d.xisf", "bounds 0:65535", False),
    ],
)
def test_a_master_counts_by_how_it_is_read_where_an_earlier_version_read_it_otherwise(
    float_range: str, name: str, read_as: str, is_same: bool
) -> None:
    job = replace(JOB, recipe=replace(RECIPE, float_range=float_range))
    before = replace(job, dark=replace(DARK, content=name))
    used = UsedMaster(f"/library/{name}", "library", "", "content", read_as=read_as)
    job = replace(job, dark=used)
    assert (job.identity_of(used) == "content") == is_same
    assert job.digest != before.digest


def test_a_plain_job_is_written_as_before() -> None:
    stored = json.loads(JOB.to_json())
    assert all("read_as" not in frame for frame in stored["frames"])
    assert JOB.digest == "87b0fd7992605043"  # of the versions that read every file plainly


def test_the_digests_can_be_read_without_the_job(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    assert read_made_of(path) is None
    job = replace(JOB, bias=replace(BIAS, job="0123456789abcdef"))
    path.write_text(job.to_json(), encoding="utf-8")
    assert read_made_of(path) == job.made_of == MadeOf(JOB.digest, "0123456789abcdef", "")
    for damage in ("", "[]", '{"frames":', "{}", JOB.to_json()[:-3], f"#{JOB.to_json()}"):
        path.write_text(damage, encoding="utf-8")
        assert read_made_of(path) is None


@pytest.mark.parametrize(
    ("made", "wanted", "serves"),
    [
        (("a", "b", "c"), ("a", "b", "c"), True),
        (("a", "b", "c"), ("z", "b", "c"), False),
        (("a", "b", "c"), ("a", "z", "c"), False),
        (("a", "b", "c"), ("a", "b", "z"), False),
        (("a", "", ""), ("a", "b", "c"), True),  # made by a version that did not record them
        (("a", "b", ""), ("a", "", ""), True),  # of a library, or none
    ],
)
def test_a_master_serves_where_it_was_made_of_what_is_wanted(
    made: tuple[str, ...], wanted: tuple[str, ...], serves: bool
) -> None:
    assert MadeOf(*made).serves(MadeOf(*wanted)) == serves


def test_what_looks_like_a_digest_in_a_text_is_none(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    text = '"digest": "0123456789abcdef"'
    path.write_text(json.dumps({"name": text, "digest": "fedcba9876543210"}), encoding="utf-8")
    assert read_made_of(path) == MadeOf("fedcba9876543210")


def test_a_job_that_comes_again_is_written_as_another_file() -> None:
    assert JOB.to_json(1) != JOB.to_json(2)
    assert MasterJob.from_json(JOB.to_json(1)) == MasterJob.from_json(JOB.to_json(2)) == JOB


def test_the_digest_changes_with_the_order_of_frames() -> None:
    assert replace(JOB, frames=JOB.frames[::-1]).digest != JOB.digest


@pytest.mark.parametrize("name", RECIPE_CHANGES)
def test_the_digest_changes_with_the_recipe(name: str) -> None:
    recipe = replace(RECIPE, **{name: RECIPE_CHANGES[name]})
    assert replace(JOB, recipe=recipe).digest != JOB.digest


@pytest.mark.parametrize(
    "change",
    [
        {"warnings": ()},
        {"reference": Reference("bias/a.fits", "frame")},
        {"bias": replace(BIAS, why="for another reason")},
        {"bias": replace(BIAS, origin="kept")},
        {"bias": replace(BIAS, job="0123456789abcdef")},
    ],
    ids=["warnings", "reference", "why", "origin", "job"],
)
def test_the_digest_does_not_depend_on_sentences_or_origins(
    change: dict[str, Any],
) -> None:
    assert replace(JOB, **change).digest == JOB.digest


def test_paths_of_a_job_tell_its_type_and_format() -> None:
    assert JOB.master == "masters/flat/masterFlat_FILTER-B.xisf"
    assert JOB.file == "jobs/flat/masterFlat_FILTER-B.json"
    bias = replace(JOB, type=FrameType.BIAS, recipe=replace(RECIPE, master_format="fits"))
    assert bias.master == "masters/bias/masterFlat_FILTER-B.fits"


def test_masters_of_this_run_lie_in_its_output_and_those_of_libraries_where_they_are() -> None:
    output = Path("output")
    assert BIAS.located(output) == output / "masters" / "bias" / "b.xisf"
    assert replace(BIAS, origin="kept").located(output) == output / "masters" / "bias" / "b.xisf"
    assert DARK.located(output) == Path("/data/library/d.fits")
    frames = Path("frames")
    assert Reference("a.fits", "frame").located(output, frames) == frames / "a.fits"
    assert Reference("masters/b.xisf", "kept").located(output, frames) == output / "masters/b.xisf"
    assert Reference("/data/b.fits", "library").located(output, frames) == Path("/data/b.fits")


def test_the_json_has_a_version_and_plain_values() -> None:
    stored = json.loads(JOB.to_json())
    assert (stored["version"], stored["type"], stored["frames"][0]["mtime_ns"]) == (
        1,
        "flat",
        FRAME.mtime_ns,
    )


def test_a_job_file_of_an_older_version_can_be_read() -> None:
    stored = json.loads(JOB.to_json())
    for added in ("bias_job", "dark_job"):
        del stored[added]
    for kind in ("bias", "dark"):
        del stored[kind]["job"]
    stored["warnings"] = ["levels: few frames", "no dark matches"]
    job = MasterJob.from_json(json.dumps(stored))
    assert job.digest == JOB.digest
    assert [(warning.kind, warning.text) for warning in job.warnings] == [
        (WarningKind.LEVEL, "few frames"),
        (WarningKind.OTHER, "no dark matches"),
    ]


def test_the_digest_of_a_job_stays_from_version_to_version() -> None:
    recipe = replace(RECIPE)  # a new one has nothing in memory
    assert replace(JOB, recipe=recipe).digest == "87b0fd7992605043"
    assert "skip_outliers" not in recipe.fields
    assert replace(RECIPE, skip_outliers=True).fields["skip_outliers"] is True


def test_masters_and_references_of_a_library_may_have_relative_paths() -> None:
    output, frames = Path("/output"), Path("/frames")
    located = {
        origin: (
            UsedMaster("m/b.fits", origin, "").located(output),
            Reference("m/b.fits", origin).located(output, frames),
        )
        for origin in ("run", "kept", "library")
    }
    own, library = Path("/output/m/b.fits"), Path("m/b.fits")
    assert located == {"run": (own, own), "kept": (own, own), "library": (library, library)}
    assert Reference("b.fits", "frame").located(output, frames) == Path("/frames/b.fits")


def test_a_plain_frame_is_written_without_how_it_is_read() -> None:
    plain = {"path": FRAME.path, "size": 5760, "mtime_ns": FRAME.mtime_ns, "content": "c"}
    assert FRAME._replace(content="c").to_json() == plain
    assert FRAME._replace(content="c", read_as="signed").to_json() == {**plain, "read_as": "signed"}


def test_frames_are_read_in_the_range_that_is_configured() -> None:
    assert RECIPE.frame_range == "auto"
    assert replace(RECIPE, float_range="adu16").frame_range == "adu16"


def test_the_record_is_beside_the_master() -> None:
    assert JOB.record == JOB.master.replace(".xisf", ".json") != JOB.master


def test_frames_that_an_engine_left_out_do_not_remain() -> None:
    left_out = LeftOut("b.fits", "is cut")
    assert not left_out.outlier
    assert JOB.frames_without([left_out]) == (FRAME,)
    assert JOB.frames_without([]) == JOB.frames


def test_the_pedestal_of_an_overscan_is_added_unless_it_would_stay_in_a_flat() -> None:
    part = FramePart(Section(0, 4, 0, 3), overscan=(Section(4, 6, 0, 3),))
    geometry = Geometry(4, 3, layout=FrameLayout.of(4, 3, [part], "median"))
    levelled = replace(JOB, geometry=geometry)
    alone = replace(levelled, bias=None, dark=None)
    added = {
        "with both": levelled.added_adu,
        "with a bias": replace(levelled, dark=None).added_adu,
        "with a dark": replace(levelled, bias=None).added_adu,
        "alone": alone.added_adu,
        "bias": replace(alone, type=FrameType.BIAS).added_adu,
        "without overscan": JOB.added_adu,
    }
    assert [*added.values()] == [1000.0, 1000.0, 1000.0, 0.0, 1000.0, 0.0]


def test_what_is_no_job_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(JOB.to_json(), encoding="utf-8")
    assert MasterJob.read(path) == JOB
    for damaged in ("", "[]", "{}", JOB.to_json()[:-9]):
        path.write_text(damaged, encoding="utf-8")
        with pytest.raises(RecordError, match=re.escape(f"'{path}' is not a job file (")):
            MasterJob.read(path)


def test_a_dark_is_not_scaled_unless_a_job_says_so() -> None:
    plain = {"name": "a", "type": FrameType.BIAS, "keywords": {}, "geometry": Geometry(4, 3)}
    assert not MasterJob(**plain, frames=(), header={}, recipe=RECIPE).optimize_dark
