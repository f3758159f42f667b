from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calmasters.frame import FrameType, Geometry
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.model.master_record import FrameStatistics, MasterRecord, MasterStatistics
from calmasters.planning.stale_reasons import format_reasons, stale_reasons
from calmasters.settings import Calibration, Integration

FRAMES = tuple(FrameFile(f"flats/{number}.fits", 5760, number) for number in range(4))
NEW = FrameFile("flats/new.fits", 5760, 99)
BIAS = UsedMaster("masters/bias/masterBias_GAIN-100.xisf", "run", "same settings")
DARK = UsedMaster("/library/dark.xisf", "library", "longest exposure", "0123")
RECIPE = Recipe("native", 1, Integration(), Calibration(), "unit", "xisf")
FLAT = MasterJob(
    name="masterFlat_FILTER-B",
    type=FrameType.FLAT,
    keywords={"FILTER": "B", "SET-TEMP": -10.0},
    geometry=Geometry(4, 3),
    frames=FRAMES,
    header={"EXPTIME": 1.5},
    recipe=RECIPE,
    bias=BIAS,
    dark=DARK,
    optimize_dark=True,
)


def made(job: MasterJob, output: Path) -> Path:
    """Write a master and its record, as an engine does."""
    statistics = MasterStatistics(
        tuple(FrameStatistics(frame.path, 0, 0) for frame in job.frames),
        *(0.5, 0.5, 0.0, 1.0, 1e-3, 1.0),
        versions={},
    )
    master = output / job.master
    master.parent.mkdir(parents=True, exist_ok=True)
    master.touch()
    MasterRecord.of(job, statistics).write(master)
    return master


def reasons(job: MasterJob, output: Path) -> tuple[str, ...]:
    return stale_reasons([job], output).get(job.master, ())


def test_a_master_that_is_as_its_job_says_has_no_reasons(tmp_path: Path) -> None:
    made(FLAT, tmp_path)
    assert stale_reasons([FLAT], tmp_path) == {}


def with_setting(name: str, value: Any) -> MasterJob:
    return replace(
        FLAT, recipe=replace(RECIPE, integration=replace(Integration(), **{name: value}))
    )


CHANGES: dict[str, tuple[MasterJob, tuple[str, ...]]] = {
    "a frame was added": (
        replace(FLAT, frames=(*FRAMES, NEW)),
        ("1 frame added: flats/new.fits",),
    ),
    "frames were removed": (
        replace(FLAT, frames=FRAMES[2:]),
        ("2 frames removed: flats/0.fits, flats/1.fits",),
    ),
    "many were added": (
        replace(FLAT, frames=(*FRAMES, *(NEW._replace(path=f"{n}", size=n) for n in range(5)))),
        ("5 frames added: 0, 1, 2 and 2 more",),
    ),
    "as many were added as are named": (
        replace(FLAT, frames=(*FRAMES, *(NEW._replace(path=f"{n}", size=n) for n in range(3)))),
        ("3 frames added: 0, 1, 2",),
    ),
    "one has another size": (
        replace(FLAT, frames=(FRAMES[0]._replace(size=8640), *FRAMES[1:])),
        ("1 frame changed: flats/0.fits",),
    ),
    "a keyword": (
        replace(FLAT, keywords={**FLAT.keywords, "FILTER": "R"}),
        ("FILTER: B is now R",),
    ),
    "one was renamed": (
        replace(FLAT, frames=(FRAMES[0]._replace(path="a.fits"), *FRAMES[1:])),
        ("1 frame renamed: flats/0.fits to a.fits",),
    ),
    "one was changed": (
        replace(FLAT, frames=(FRAMES[0]._replace(mtime_ns=7), *FRAMES[1:])),
        ("1 frame changed: flats/0.fits",),
    ),
    "some are read in another way": (
        replace(FLAT, frames=(FRAMES[0]._replace(read_as="signed, bottom-up"), *FRAMES[1:])),
        ("1 frame read in another way: flats/0.fits (signed, bottom-up)",),
    ),
    "a master is read in another way": (
        replace(FLAT, dark=replace(DARK, read_as="bottom-up")),
        ("its dark is read in another way: bottom-up",),
    ),
    "another order": (replace(FLAT, frames=FRAMES[::-1]), ("its frames are in another order",)),
    "identified by content": (
        replace(FLAT, frames=tuple(frame._replace(content="c") for frame in FRAMES)),
        ("frames are identified by content now",),
    ),
    "a setting": (
        with_setting("sigmaHigh", 2.5),
        ("integration.sigmaHigh: 3.0 is now 2.5",),
    ),
    "the arithmetic": (
        replace(FLAT, recipe=replace(RECIPE, algorithm_version=2)),
        ("algorithm_version: 1 is now 2",),
    ),
    "a further parameter": (
        replace(FLAT, recipe=replace(RECIPE, parameters={"ImageIntegration": {"rcrLimit": 0.2}})),
        ("parameters.ImageIntegration.rcrLimit: not set is now 0.2",),
    ),
    "another dark": (
        replace(FLAT, dark=UsedMaster("/library/new.xisf", "library", "dark-flat", "4567")),
        ("its dark: dark is now new (dark-flat)",),
    ),
    "the dark replaced": (
        replace(FLAT, dark=replace(DARK, content="4567")),
        ("its dark was replaced: /library/dark.xisf",),
    ),
    "no dark": (
        replace(FLAT, dark=None, optimize_dark=False),
        ("its dark: dark is now none", "its dark is no longer scaled to each flat"),
    ),
    "the size": (
        replace(FLAT, geometry=Geometry(8, 6)),
        ("its frames are 8x6 binned 1x1",),
    ),
    "what headers say": (
        replace(FLAT, header={"EXPTIME": 1.6}),
        ("EXPTIME: 1.5 is now 1.6",),
    ),
}


def test_a_master_in_fits_that_was_read_by_the_range_of_frames_is_the_reason(
    tmp_path: Path,
) -> None:
    recipe = replace(RECIPE, float_range="adu16", master_format="fits")
    flat = replace(FLAT, recipe=recipe, bias=replace(BIAS, path="masters/bias/b.fits"))
    path = made(flat, tmp_path).with_suffix(".json")
    # The digest of an earlier version had the path alone.
    path.write_text(path.read_text(encoding="utf-8").replace(flat.digest, "0" * 16))
    assert reasons(flat, tmp_path) == (
        "its bias and dark are read by their own scale now, not by float_range",
    )


@pytest.mark.parametrize(("job", "words"), CHANGES.values(), ids=CHANGES)
def test_what_changed_is_said_in_words(
    tmp_path: Path, job: MasterJob, words: tuple[str, ...]
) -> None:
    made(FLAT, tmp_path)
    assert reasons(job, tmp_path) == words


def test_a_default_that_changed_is_a_reason_only_where_it_is_used(tmp_path: Path) -> None:
    def job(rejection: str, high: float) -> MasterJob:
        integration = Integration(rejection=rejection, linearFitHigh=high)
        return replace(FLAT, recipe=replace(RECIPE, integration=integration))

    made(job("WinsorizedSigmaClip", 4.0), tmp_path)
    now = job("WinsorizedSigmaClip", Integration.linearFitHigh)
    assert reasons(now, tmp_path) == ()
    assert reasons(replace(now, frames=(*FRAMES, NEW)), tmp_path) == (
        "1 frame added: flats/new.fits",
    )
    made(job("LinearFit", 4.0), tmp_path)
    assert reasons(job("LinearFit", Integration.linearFitHigh), tmp_path) == (
        "integration.linearFitHigh: 4.0 is now 3.5",
    )


def spoil(content: str) -> Callable[[Path], None]:
    return lambda master: master.with_suffix(".json").write_text(content) and None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda master: master.unlink(), "its file is missing"),
        (
            lambda master: master.with_suffix(".json").unlink(),
            "its record, the JSON file next to it",
        ),
        (spoil("{"), "its record, the JSON file next to it"),
        (spoil('{"frames": []}'), "its record, the JSON file next to it"),
    ],
)
def test_a_master_that_is_not_whole_has_a_reason(
    tmp_path: Path, change: Callable[[Path], None], words: str
) -> None:
    change(made(FLAT, tmp_path))
    (reason,) = reasons(FLAT, tmp_path)
    assert reason.startswith(words)


def test_a_flat_follows_its_bias(tmp_path: Path) -> None:
    bias = replace(
        FLAT, name="masterBias_GAIN-100", type=FrameType.BIAS, bias=None, dark=None, frames=FRAMES
    )
    (tmp_path / "masters").mkdir()
    assert stale_reasons([bias], tmp_path) == {bias.master: ("it is missing",)}
    made(bias, tmp_path)
    flat = made(FLAT, tmp_path)
    assert stale_reasons([bias, FLAT], tmp_path) == {}
    more = replace(bias, frames=(*FRAMES, NEW))
    assert stale_reasons([more, FLAT], tmp_path)[FLAT.master] == ("its bias is rebuilt",)
    os.utime(flat, ns=(0, 0))
    assert reasons(FLAT, tmp_path) == ("its bias was written after it: masterBias_GAIN-100",)


def test_a_flat_as_old_as_its_masters_or_older_than_one_of_a_library_is_current(
    tmp_path: Path,
) -> None:
    own, library = tmp_path / "masters" / "own.xisf", tmp_path / "library.xisf"
    # A relative path of a library does not begin at output_dir, though a file may be there.
    dark = replace(DARK, path=library.name)
    job = replace(FLAT, bias=replace(BIAS, path="masters/own.xisf"), dark=dark)
    flat = made(job, tmp_path)
    record = tmp_path / job.record
    for path, time_s in ((own, 1000), (library, 2000), (flat, 1000), (record, 1000)):
        path.touch()
        os.utime(path, (time_s, time_s))
    assert reasons(job, tmp_path) == ()
    os.utime(own, (1001, 1001))
    assert reasons(job, tmp_path) == ("its bias was written after it: own",)


def test_a_flat_follows_its_dark(tmp_path: Path) -> None:
    dark = replace(FLAT, name="masterDark", type=FrameType.DARK, bias=None, dark=None)
    flat = replace(FLAT, dark=UsedMaster(dark.master, "run", "longest exposure"))
    made(dark, tmp_path)
    made(flat, tmp_path)
    more = replace(dark, frames=(*FRAMES, NEW))
    assert stale_reasons([more, flat], tmp_path)[flat.master] == ("its dark is rebuilt",)


def test_a_flat_is_stale_whose_bias_was_rebuilt_whatever_the_times_are(tmp_path: Path) -> None:
    before = replace(FLAT, bias=replace(BIAS, job="0123456789abcdef"))
    flat = made(before, tmp_path)
    after = replace(FLAT, bias=replace(BIAS, job="fedcba9876543210"))
    assert reasons(before, tmp_path) == ()
    flat.touch()
    assert reasons(after, tmp_path) == (
        "its bias is not the one it was made with: masterBias_GAIN-100",
    )


def test_masters_with_the_same_reasons_are_listed_together() -> None:
    found = {f"masters/flat/{name}.xisf": ("sigmaHigh: 3 is now 2",) for name in "abcdefghijkl"}
    found |= {"masters/bias/z.xisf": ("it is missing", "so it is")}
    ten = {path: found[path] for path in list(found)[:10]}
    names = {path: Path(path).stem for path in found}
    assert format_reasons(ten, names).splitlines()[10:] == ["    sigmaHigh: 3 is now 2"]
    names = {path: Path(path).stem for path in found}
    assert format_reasons(found, names) == "\n".join(
        [
            *"abcdefghij",
            *("and 2 more", "    sigmaHigh: 3 is now 2"),
            *("z", "    it is missing", "    so it is"),
        ]
    )


def test_a_master_that_is_cut_has_a_reason(tmp_path: Path) -> None:
    made(FLAT, tmp_path).write_text("more than its record says")
    assert reasons(FLAT, tmp_path) == ("its file is not complete: it has 25 bytes",)
