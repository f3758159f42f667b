"""Sessions as bug reports describe them: each frame is combined correctly, or the run says why not.

Cameras that do not disturb each other share a run; each test looks at one of them.
"""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from real_workflow import Workflow
from strange_sessions import (
    CAMERA,
    COLUMN,
    HEIGHT,
    ROW,
    TYPES,
    WIDTH,
    Made,
    add,
    make,
    pixels,
    save,
    save_xisf,
    suggested,
)

pytestmark = pytest.mark.slow

EXACT = {"abs": 0.05}


# --- scale and order of the rows: the master of each camera has 700 ADU ---------------------------


def xisf_biases(folder: Path, camera: str, factor: float, bounds: str) -> None:
    for number in range(6):
        path = folder / f"bias_{camera}_{number}.xisf"
        cards = {"INSTRUME": camera, **CAMERA, **TYPES["bias"]}
        cards["DATE-OBS"] = f"2026-03-02T20:0{number}:00"
        save_xisf(path, pixels(700, number) * factor, cards, bounds)


@pytest.fixture(scope="module")
def scales(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Bias frames of cameras that write their samples in different ways."""
    workflow = Workflow(tmp_path_factory.mktemp("scales"))
    for camera, formats in {
        "signed": ("int16", "uint16"),
        "int32": ("int32",),
        "uint32": ("uint32", "uint16"),
        "float": ("float32",),
        "floats": ("float32", "unit"),
        "double": ("float64", "int16"),
    }.items():
        for number, samples in enumerate(formats):
            start = f"2026-03-0{number + 2}T20:00:00"
            add(workflow.frames, "bias", 700, camera=camera, samples=samples, start=start)
    xisf_biases(workflow.frames, "xisf adu", 1, "0:65535")
    xisf_biases(workflow.frames, "xisf percent", 100 / 65535, "0:100")
    return make(workflow)


@pytest.mark.parametrize(
    ("camera", "frames"),
    [
        ("signed", 12),
        ("int32", 6),
        ("uint32", 12),
        ("float", 6),
        ("floats", 12),
        ("double", 12),
        ("xisf adu", 6),
        ("xisf percent", 6),
    ],
)
def test_samples_of_any_format_come_to_one_scale(scales: Made, camera: str, frames: int) -> None:
    [master] = scales.of("bias", camera)
    assert master.frames == frames
    assert master.level == pytest.approx(700, **EXACT)


def test_the_range_of_raw_frames_does_not_concern_masters(workflow: Workflow) -> None:
    add(workflow.frames, "bias", 700, samples="float32")
    add(workflow.frames, "flat", 21700, samples="float32")
    workflow.configure(float_range="adu16", master_format="fits")
    made = make(workflow)
    assert [master.level for master in made.of("bias")] == [pytest.approx(700, **EXACT)]
    assert [master.level for master in made.of("flat")] == [pytest.approx(21000, abs=1)]


def test_samples_that_cannot_come_to_the_scale_of_the_others_are_left_out(
    workflow: Workflow,
) -> None:
    for camera, level, samples in (("A", 700, "unit"), ("B", 100, "uint8"), ("C", -9000, "int16")):
        start = "2026-03-03T20:00:00"
        add(
            workflow.frames, "bias", level, camera=camera, samples=samples, start=start, name=camera
        )
        plain = "float32" if camera == "A" else "uint16"
        add(workflow.frames, "bias", 700, camera=camera, samples=plain)
    workflow.configure(float_range="adu16")
    made = make(workflow)
    for camera in "ABC":
        [master] = made.of("bias", camera)
        assert master.frames == 6
        assert master.level == pytest.approx(700, **EXACT)
    made.expect("6 frames: set float_range: auto", "A_000.fits")
    made.expect("6 frames", "B_000.fits", "8 bits")
    made.expect("6 frames", "C_000.fits", "BZERO")


# --- what distinguishes frames --------------------------------------------------------------------


WORDS_FOR_FLATS = (
    "INTERNAL FLAT",
    "twilightflat",
    "DOMEFLAT",
    "LAMPFLAT",
    "dflat",
    "twilight",
    "FLAT,SKY",
    "sky flat field",
    "Flats",
    "Flat (dome)",
)


@pytest.fixture(scope="module")
def distinct(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Cameras whose frames agree in all required keywords, or differ in one of the others."""
    workflow = Workflow(tmp_path_factory.mktemp("distinct"))
    frames = workflow.frames

    def more(kind: str, camera: str, number: int, level: Any = None, **cards: Any) -> None:
        start = f"2026-03-02T{20 + number // 3}:{20 * (number % 3):02}:00"
        level = 9000 + number if level is None else level
        add(frames, kind, level, 3, camera=camera, name=f"{camera}{number}", start=start, **cards)

    for number, (first, second) in enumerate((("NO_FILTER", "B"), ("None", "V"), ("B", "Air"))):
        more("flat", "wheels", number, FILTER=None, FILTER1=first, FILTER2=second)
    for number, first in enumerate(("Open 3", "ND2")):
        more("flat", "two filters", number, **{"FILTER": None, "FILT-1": first, "FILT-2": "Ha"})
    for number in range(2):
        telescope = ("Newton", "Refractor")[number]
        more("flat", "scopes", number, TELESCOP=telescope, FOCALLEN=800 - 400 * number)
        more("flat", "reducer", number, FOCALLEN=1000 - 370 * number)
        more("flat", "twins", number, CAMERAID=f"0f{number}")
        more("flat", "kinds", number, IMAGETYP=("Dome Flat", "Sky Flat")[number])
        folder = frames / ("Dome Flats", "Panel Flats")[number]
        add(folder, "flat", 9000 + number, 3, camera="folders", start=f"2026-03-02T2{number}:00:00")
        more("dark", "places", number, XORGSUBF=800 * number, YORGSUBF=0)
        rows = f"{1 + 500 * number}:{HEIGHT + 500 * number}"
        more("dark", "sections", number, DETSEC=f"[1:{WIDTH},{rows}]")
    for number, angle in enumerate((359.5, 90.5, 0.7)):
        more("flat", "rotated", number, 9000, ROTATOR=angle)
    for number, kind in enumerate(WORDS_FOR_FLATS):
        more("flat", "types", number, FILTER=f"F{number}", IMAGETYP=kind)
    image = 900.0 + 300 * (ROW >= 0.75 * HEIGHT)
    more("bias", "rows", 0, image, ROWORDER="TOP-DOWN")
    more("bias", "rows", 1, image[::-1], ROWORDER="BOTTOM-UP")
    more("bias", "upside down", 1, image[::-1], ROWORDER="BOTTOM-UP")
    return make(workflow)


@pytest.mark.parametrize(
    ("camera", "kind", "expected"),
    [
        ("wheels", "flat", {"_FILTER-B_": 9000, "_FILTER-V_": 9001}),
        ("two filters", "flat", {"_FILTER-Ha_": 9000, "_FILTER-ND2+Ha_": 9001}),
        ("scopes", "flat", {"_TELESCOP-Newton": 9000, "_TELESCOP-Refractor": 9001}),
        ("reducer", "flat", {"_FOCALLEN-1000": 9000, "_FOCALLEN-630": 9001}),
        ("twins", "flat", {"_CAMERAID-0f0": 9000, "_CAMERAID-0f1": 9001}),
        ("rotated", "flat", {"_ROTATOR-0": 9000, "_ROTATOR-90": 9000}),
        ("kinds", "flat", {"_FLATKIND-dome": 9000, "_FLATKIND-sky": 9001}),
        ("folders", "flat", {"_FLATKIND-dome": 9000, "_FLATKIND-panel": 9001}),
        ("places", "dark", {"_XORGSUBF-0": 9000, "_XORGSUBF-800": 9001}),
        ("sections", "dark", {"_YORGSUBF-0": 9000, "_YORGSUBF-500": 9001}),
    ],
)
def test_frames_that_differ_make_one_master_each(
    distinct: Made, camera: str, kind: str, expected: dict[str, float]
) -> None:
    masters = distinct.of(kind, camera)
    assert len(masters) == len(expected)
    for part, level in expected.items():
        [master] = [each for each in masters if part in each.name]
        assert master.level == pytest.approx(level, abs=0.6)


def test_all_words_for_flats_are_flats(distinct: Made) -> None:
    assert distinct.counts("flat", "types") == [3] * 10


@pytest.mark.parametrize(("camera", "frames"), [("rows", 6), ("upside down", 3)])
def test_rows_of_any_order_come_to_one_order(distinct: Made, camera: str, frames: int) -> None:
    [master] = distinct.of("bias", camera)
    assert master.frames == frames
    assert np.median(master.adu[-5:]) == pytest.approx(1200, **EXACT)
    assert np.median(master.adu[:5]) == pytest.approx(900, **EXACT)
    assert master.header["ROWORDER"] == "TOP-DOWN"


def test_a_second_telescope_moves_the_master_of_the_first(workflow: Workflow) -> None:
    add(workflow.frames, "flat", 9000, TELESCOP="Newton")
    [first] = make(workflow).of("flat")
    assert "TELESCOP" not in first.name
    add(workflow.frames, "flat", 9500, TELESCOP="Refractor", start="2026-03-02T21:00:00")
    made = make(workflow)
    newton, refractor = (f"{first.name}_TELESCOP-{x}" for x in ("Newton", "Refractor"))
    assert [master.name for master in made.of("flat")] == [newton, refractor]
    assert (workflow.output / f"orphans/masters/flat/{first.name}.xisf").is_file()
    made.expect("Note", "orphans")


def test_flats_that_are_averaged_though_they_differ_are_reported(workflow: Workflow) -> None:
    add(workflow.frames, "flat", 9000, TELESCOP="Newton")
    add(workflow.frames, "flat", 9000, TELESCOP="Refractor", start="2026-03-02T21:00:00")
    add(workflow.frames, "flat", 9000, camera="B")
    add(workflow.frames, "flat", 30000, camera="B", EXPTIME=9.0, start="2026-03-02T21:00:00")
    made = make(workflow, "--config", "mixed=warn")
    assert made.counts("flat") == made.counts("flat", "B") == [12]
    made.expect("of frames that differ in TELESCOP", "set mixed: split")
    made.expect("3 s (6 frames) and 9 s (6 frames)", "add EXPOSURE")


@pytest.mark.parametrize("fixture", ["scales", "distinct"])
def test_what_was_made_of_strange_frames_is_up_to_date(
    request: pytest.FixtureRequest, fixture: str
) -> None:
    made: Made = request.getfixturevalue(fixture)
    [line] = made.workflow.show("masters")
    assert line.startswith(f"Nothing to do: {len(made.masters)} masters are up to date")


# --- processed frames and masters -----------------------------------------------------------------


def test_processed_frames_are_left_out(workflow: Workflow) -> None:
    frames = workflow.frames
    add(frames, "flat", 20700)
    add(frames, "flat", 20000, 2, name="irons", ZEROCOR="Jan 15 20:00 Zero is Zero.fits")
    add(frames, "flat", 20000, 2, name="reduced", CALSTAT="BD", start="2026-03-02T21:00:00")
    add(frames, "flat", 20000, 2, name="pp_flat", start="2026-03-02T22:00:00")
    for number in range(2):
        cards = {"INSTRUME": "A", **CAMERA, **TYPES["flat"]}
        cards["DATE-OBS"] = f"2026-03-02T20:0{number}:00"
        path = frames / f"calibrated/Light_L/flat_{number}_c.xisf"
        save_xisf(path, pixels(20000, number) / 65535, cards, "0:1", "ImageCalibration")
    made = make(workflow)
    assert made.counts("flat") == [6]
    assert made.of("flat")[0].level == pytest.approx(20700, abs=1)
    assert "Frames: flat 6 used, 8 refused" in made.lines
    made.expect("calibrated")


def test_masters_among_raw_frames_are_left_out(workflow: Workflow) -> None:
    add(workflow.frames, "bias", 700)
    marks = ({"ISMASTER": True}, {"MASTER": True}, {"IMCOM001": "a.fits"}, {"STACKCNT": 20})
    for number, mark in enumerate((*marks, {"CALSTAT": "M"})):
        add(workflow.frames, "bias", 900, 1, name=f"b{number}", **mark)
    made = make(workflow)
    assert made.counts("bias") == [6]
    assert made.of("bias")[0].level == pytest.approx(700, **EXACT)
    made.expect("Left out: 5 frames: a master is no raw frame")


def test_library_masters_without_bias_are_used_as_what_they_are(workflow: Workflow) -> None:
    library = workflow.directory / "library"
    add(workflow.frames, "flat", 20700, 12)
    add(library, "bias", 700, 1, name="Zero", CALSTAT="M", SNAPSHOT=25)
    add(library, "dark", 50, 1, name="Dark", CALSTAT="BM", SNAPSHOT=25, EXPTIME=3.0)
    add(workflow.frames, "bias", 700, 12, camera="B")
    add(workflow.frames, "flat", 20700, 12, camera="B")
    add(library, "dark", 30, 1, camera="B", name="masterDark_3s", EXPTIME=3.0)
    workflow.configure(library={"bias": ["library"], "dark": ["library"]})
    made = make(workflow)
    for camera in "AB":
        [flat] = made.of("flat", camera)
        assert flat.level == pytest.approx(20000, abs=1)
    made.expect("no dark used", "contains no bias (CALSTAT 'BM')")
    made.expect("no dark used", "contains no bias (its median is 30 ADU")


@pytest.mark.parametrize(
    ("setting", "phrase"),
    [("exclude=[clouds]", "left out: exclude: clouds"), ("minimum_frames=7", "minimum_frames")],
)
def test_masters_of_frames_that_are_there_but_not_used_are_used_no_longer(
    workflow: Workflow, setting: str, phrase: str
) -> None:
    add(workflow.frames / "clouds", "bias", 3700)
    add(workflow.frames, "flat", 23700, 12)
    assert make(workflow).of("flat")[0].level == pytest.approx(20000, abs=1)
    made = make(workflow, "--config", setting)
    assert made.of("flat")[0].level == pytest.approx(23700, abs=1)
    made.expect("Note", "no flat uses masterBias_INSTRUME-A", phrase)


def exclude_most(frames: Path) -> list[str]:
    return ["--config", "exclude=['flat_A_2026-03-02T20_00[2-5]*']"]


def delete_most(frames: Path) -> list[str]:
    for path in sorted(frames.glob("flat*"))[2:]:
        path.unlink()
    return []


def correct_the_filter(frames: Path) -> list[str]:
    for path in frames.glob("flat*"):
        fits.setval(path, "FILTER", value="OIII")
    return []


@pytest.mark.parametrize(
    ("change", "built", "phrase"),
    [
        (lambda _: ["--config", "exclude=['flat*']"], 0, "6 of its frames are left out: exclude"),
        (exclude_most, 0, "6 of its frames are left out: only 2 frames of this group"),
        (delete_most, 0, "4 of its 6 frames are missing; 2 of its frames are left out: only 2"),
        (correct_the_filter, 1, "its frames make masterFlat_FILTER-OIII_"),
        (lambda _: ["--config", "night={timezone: Pacific/Honolulu}"], 1, "DATE-2026-03-01"),
    ],
    ids=["all excluded", "most excluded", "most deleted", "another filter", "another night"],
)
def test_a_flat_that_its_frames_do_not_make_any_more_is_named(
    workflow: Workflow, change: Callable[[Path], list[str]], built: int, phrase: str
) -> None:
    add(workflow.frames, "bias", 700)
    add(workflow.frames, "flat", 20700)
    [flat] = make(workflow).of("flat")
    arguments = change(workflow.frames)
    made = make(workflow, *arguments)
    made.expect(f"Masters: {built} built")
    made.expect("Note: output_dir", f"{flat.name} is of an earlier run", phrase, "prune=true")
    assert len(made.of("flat")) == 1 + built
    # The command of the note, with the same settings.
    settings = arguments or ["--config"]
    workflow.run("orphans", *settings, "prune=true")
    assert (workflow.output / f"orphans/masters/flat/{flat.name}.xisf").is_file()
    assert not make(workflow, *arguments).says("earlier run")


def test_a_flat_whose_frames_are_gone_is_kept_and_named(workflow: Workflow) -> None:
    add(workflow.frames, "bias", 700)
    add(workflow.frames / "archived", "flat", 20700)
    [flat] = make(workflow).of("flat")
    (workflow.frames / "archived").rename(workflow.directory / "archived")
    make(workflow).expect("Note: output_dir", f"{flat.name} is kept: no frames in input_dir make")


def test_flats_that_are_all_the_input_and_excluded_are_named(workflow: Workflow) -> None:
    add(workflow.frames, "flat", 20700)
    [flat] = make(workflow).of("flat")
    made = make(workflow, "--config", "exclude=['flat*']")
    made.expect("Note: output_dir", f"{flat.name} is of an earlier run")


def test_settings_that_match_nothing_are_named_at_the_end(workflow: Workflow) -> None:
    add(workflow.frames, "bias", 700, name="bias")
    excluded = f"exclude=['./bias_000.fits','{workflow.frames}/bias_001.fits','BIAS_002.FITS']"
    made = make(workflow, "--config", excluded, "round={SETTEMP: 5}")
    assert made.counts("bias") == [4]
    made.expect('  exclude: "BIAS_002.FITS" (the nearest is "bias_002.fits") matches no frame')
    made.expect('  round: no frame has "SETTEMP"; set round: {"SET-TEMP": 5}')


def test_masters_of_frames_that_are_gone_are_kept(workflow: Workflow) -> None:
    add(workflow.frames / "archived", "bias", 3700)
    add(workflow.frames, "flat", 23700)
    make(workflow)
    (workflow.frames / "archived").rename(workflow.directory / "archived")
    made = make(workflow)
    assert made.of("flat")[0].level == pytest.approx(20000, abs=1)
    made.expect("Masters: 0 built, 1 unchanged")
    made.expect("Note: output_dir: 1 flat uses masterBias_INSTRUME-A", "kept there")


# --- darks for flats ------------------------------------------------------------------------------


@pytest.mark.parametrize("optimize", [True, False])
def test_a_dark_of_another_exposure_does_no_harm(workflow: Workflow, optimize: bool) -> None:
    """Hot pixels collect 100 ADU a second; the flats of 3 s have 300 of it, the darks 20,000."""
    hot = (ROW % 7 == 0) & (COLUMN % 7 == 0)
    add(workflow.frames, "bias", 700)
    add(workflow.frames, "dark", 700 + 100 * 200 * hot, EXPTIME=200.0)
    add(workflow.frames, "flat", 20700 + 100 * 3 * hot)
    workflow.configure(calibration={"flat": {"optimizeDarks": optimize}})
    made = make(workflow)
    [flat] = made.of("flat")
    assert np.median(flat.adu[~hot]) == pytest.approx(20000, abs=1)
    assert np.median(flat.adu[hot]) == pytest.approx(20000 if optimize else 20300, abs=30)
    assert not made.says("optimizeDarks: false", "consider")
    assert optimize or made.says("no dark used", "the nearest has 200 s: take darks of 3 s")


# --- implausible and badly written values ---------------------------------------------------------


def test_exposures_that_cannot_be_are_left_out(workflow: Workflow) -> None:
    for level, start in ((720, "2026-03-02T20:30:00"), (790, "2026-03-02T21:00:00")):
        add(workflow.frames, "dark", level, name=f"dark_{level}", start=start, EXPTIME=0.0)
    add(workflow.frames, "bias", 900, name="long", EXPTIME=30.0, start="2026-03-02T22:00:00")
    add(workflow.frames, "bias", 700)
    made = make(workflow)
    assert made.of("dark") == []
    assert made.counts("bias") == [6]
    made.expect("12 frames", "is a dark with an exposure of 0 s, which cannot be")
    made.expect("6 frames", "bias", "30 s")


@pytest.mark.parametrize(
    ("gain", "offset", "temperature"),
    [(-1, -1, -999.0), ("N/A", "-", "Unknown"), (-99, "", -273.15)],
)
def test_placeholders_are_absent_values(
    workflow: Workflow, gain: object, offset: object, temperature: object
) -> None:
    values = {"GAIN": gain, "OFFSET": offset, "SET-TEMP": temperature, "CCD-TEMP": temperature}
    add(workflow.frames, "bias", 700, 3, name="low", **values)
    add(workflow.frames, "bias", 900, 3, name="high", start="2026-03-02T21:00:00", **values)
    made = make(workflow)
    made.expect("writes no SET-TEMP, no GAIN and no OFFSET")
    assert [master.name for master in made.masters] == ["masterBias_INSTRUME-A_READOUTM-Fast"]
    made.expect("3 of 6 frames differ from the others", "level")


def test_levels_that_differ_are_reported_with_the_frames(workflow: Workflow) -> None:
    for camera, level, count in (("A", 9000, 8), ("B", 750, 2)):
        add(workflow.frames, "bias", 600, 8, camera=camera)
        start = "2026-04-02T20:00:00"
        add(workflow.frames, "bias", level, count, camera=camera, name=f"new{camera}", start=start)
    made = make(workflow)
    made.expect("A, -5 °C", "8 of 16 frames differ", "newA_000.fits", "level 9000 ADU")
    made.expect("B, -5 °C", "2 of 10 frames differ", "newB_000.fits", "level 750 ADU")
    # What was made with `warn` is looked at again.
    failed = make(workflow, "--config", "outlier_frames=fail", succeeds=False)
    failed.expect("outlier_frames is fail", "frames of 2 masters that are there differ")
    failed.expect("A, -5 °C", "8 of 16 frames differ", "newA_000.fits")
    assert [each.record for each in failed.masters] == [each.record for each in made.masters]
    make(workflow).expect("Masters: 0 built, 2 unchanged, 2 weak")


def test_frames_at_another_level_are_skipped_only_where_they_are_few(workflow: Workflow) -> None:
    for camera, count in (("A", 12), ("B", 2)):
        add(workflow.frames, "bias", 600, 12, camera=camera)
        start = "2026-04-02T20:00:00"
        add(workflow.frames, "bias", 750, count, camera=camera, name=f"new{camera}", start=start)
    made = make(workflow, "--keep-going", "--config", "outlier_frames=skip", succeeds=False)
    assert made.of("bias", "A") == []
    assert made.counts("bias", "B") == [12]
    assert made.of("bias", "B")[0].level == pytest.approx(600, **EXACT)
    made.expect("Failed: bias, A", "12 of 24 frames")


def test_frames_that_are_skipped_are_on_the_terminal(workflow: Workflow) -> None:
    add(workflow.frames, "bias", 600, 12)
    add(workflow.frames, "bias", 750, 2, name="new", start="2026-04-02T20:00:00")
    made = make(workflow, "--config", "outlier_frames=skip")
    assert made.counts("bias") == [12]
    made.expect("new_000.fits", "level 750 ADU")
    assert "Frames: bias 12 used, 2 left out of masters" in made.lines


def test_frames_that_agree_and_are_not_what_they_should_be_are_reported(
    workflow: Workflow,
) -> None:
    frames, light = workflow.frames, 1 - ((ROW / HEIGHT - 0.5) ** 2 + (COLUMN / WIDTH - 0.5) ** 2)
    for camera in "ABC":
        add(frames, "bias", 600, camera=camera)
    add(frames, "dark", 5000 * light, camera="A")  # a light leak, and no flats
    add(frames, "flat", 600, camera="B")  # a cap
    add(frames, "bias", 400 + 900 * light**2, camera="D")  # no cap
    for number in range(4):
        cards = {**CAMERA, **TYPES["flat"], "INSTRUME": "C"}
        cards["DATE-OBS"] = f"2026-03-02T20:0{number}:00"
        codes = np.minimum(pixels(17500 * light, number, 40), 16383)
        save(frames / f"clipped_{number}.fits", codes, cards)
    made = make(workflow)

    def warnings(kind: str, camera: str) -> str:
        (master,) = made.of(kind, camera)
        return " ".join(each["text"] for each in master.record["warnings"])

    assert "ADU brighter than the bias: there was a light leak" in warnings("dark", "A")
    assert "6 of 6 flats are as dark as the bias" in warnings("flat", "B")
    assert "4 of 4 flats are saturated at 16383 ADU" in warnings("flat", "C")
    assert "the level of the bias frames goes from" in warnings("bias", "D")
    assert "exposed frames" not in warnings("bias", "A")
    made.expect("Masters: 7 built", "7 weak")
    assert make(workflow).says("Nothing to do: 7 masters are up to date, 7 of them weak")


def test_numbers_written_as_texts_are_read(workflow: Workflow) -> None:
    add(workflow.frames, "dark", 700, **{"EXPTIME": "40,0", "SET-TEMP": "-5,0"})
    texts = {"EXPTIME": "1/4 s", "GAIN": "26.0", "SET-TEMP": "-5.0 C"}
    add(workflow.frames, "dark", 700, camera="B", **texts)
    add(workflow.frames, "dark", 700, camera="C", EXPTIME="long", EXPOSURE=None)
    made = make(workflow)
    rest = "SETTEMP--5.00_GAIN-26_OFFSET-30_READOUTM-Fast"
    assert [master.name for master in made.masters] == [
        f"masterDark_EXPOSURE-0.25_INSTRUME-B_{rest}",
        f"masterDark_EXPOSURE-40.00_INSTRUME-A_{rest}",
    ]
    made.expect("6 frames", "has EXPTIME 'long', which is not a number")


def test_words_in_paths_are_no_numbers(workflow: Workflow) -> None:
    add(workflow.frames / "OFFSET_ISO1600", "bias", 700, OFFSET=None)
    add(workflow.frames / "GAIN_high_OFFSET_30", "bias", 700, camera="B", OFFSET=None)
    workflow.configure(optional_keywords=["READOUTM", "FILTER", "OFFSET"])
    assert [master.name for master in make(workflow).masters] == [
        "masterBias_INSTRUME-A_SETTEMP--5.00_GAIN-26_READOUTM-Fast",
        "masterBias_INSTRUME-B_SETTEMP--5.00_GAIN-26_OFFSET-30_READOUTM-Fast",
    ]


def test_versions_in_the_name_of_a_camera_are_left_out_by_the_suggestion(
    workflow: Workflow,
) -> None:
    add(workflow.frames, "bias", 700, INSTRUME="QHY 600 SN 7 FW 2.0.5 x64")
    add(workflow.frames, "flat", 20700, INSTRUME="QHY 600 SN 7 FW 2.0.6 x64")
    made = make(workflow)
    made.expect("no bias master matches", "keyword_patterns")
    [line] = [line for line in made.lines if "no bias master matches" in line]
    assert 'set keyword_patterns: {"INSTRUME": "(.+?) FW"}' in line
    workflow.configure(keyword_patterns={"INSTRUME": "(.+?) FW"})
    made = make(workflow)
    assert not made.says("no bias master matches")
    assert made.of("flat", "QHY 600 SN 7")[0].level == pytest.approx(20000, abs=1)


# --- nights ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Flats whose times are written in unusual ways."""
    workflow = Workflow(tmp_path_factory.mktemp("nights"))
    for number in range(8):
        minute = 50 + 3 * number
        time = f"{9 + minute // 60}:{minute % 60:02}:00.0"
        cards = {"DATE-OBS": "2026-03-03", "UT": time, "SITELONG": -111.0}
        add(workflow.frames, "flat", 9000, 1, camera="hour", name=f"hour{number}", **cards)
        stamp = f"2026-03-03T03:5{number}:60.000"
        cards = {"DATE-OBS": stamp, "SITELONG": "-111 00 00"}
        add(workflow.frames, "flat", 9000, 1, camera="second", name=f"second{number}", **cards)
    west = {"SITELONG": "+75 00 00.00", "OBSGEO-L": -75.0}
    for start, local in (
        ("2026-03-03T00:20:00", "2026-03-02 07:20:00.039 PM"),
        ("2026-03-03T10:40:00", "2026-03-03 05:40:00.039 AM"),
        ("2026-03-04T00:20:00", "2026-03-03 07:20:00.039 PM"),
    ):
        cards = {"LOCALTIM": local, **west}
        add(workflow.frames, "flat", 9000, 5, camera="west", start=start, **cards)
    return make(workflow)


@pytest.mark.parametrize(("camera", "frames"), [("hour", [8]), ("second", [8]), ("west", [5, 10])])
def test_flats_are_grouped_by_the_local_night(nights: Made, camera: str, frames: list[int]) -> None:
    assert nights.counts("flat", camera) == frames


def test_longitudes_that_contradict_each_other_are_reported(nights: Made) -> None:
    nights.expect("15 frames", "SITELONG")


def test_nights_without_a_longitude_are_reported(workflow: Workflow) -> None:
    for name, start in (("morning", "03T17:00:00"), ("evening", "04T04:10:00")):
        add(workflow.frames, "flat", 9000, name=name, start=f"2026-03-{start}")
    make(workflow).expect("Note", "night.timezone")


# --- duplicates, series and other files -----------------------------------------------------------


def fpacked(path: Path) -> None:
    hdu = fits.CompImageHDU(fits.getdata(path), fits.getheader(path), compression_type="RICE_1")
    hdus = fits.HDUList([fits.PrimaryHDU(), hdu])
    hdus.writeto(path.with_name(f"{path.name}.fz"))


def gzipped(path: Path) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))


def bzipped(path: Path) -> None:
    path.with_name(f"{path.name}.bz2").write_bytes(bz2.compress(path.read_bytes()))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Packed twins, packed frames alone, recycle bins, files of other formats."""
    workflow = Workflow(tmp_path_factory.mktemp("files"))
    frames = workflow.frames
    packs = {"fz": fpacked, "gz": gzipped, "bz2": bzipped}
    for suffix, pack in packs.items():
        for second, camera in enumerate((f"twin {suffix}", f"alone {suffix}")):
            # Frames of one time and with equal pixels would be refused.
            add(frames, "bias", 700, camera=camera, start=f"2026-03-02T20:00:0{second}")
            for path in sorted(frames.glob(f"bias_{camera}*.fits")):
                pack(path)
                if "alone" in camera:
                    path.unlink()
    add(frames, "bias", 700, camera="recycled")
    for number, folder in enumerate(("#recycle/Bias", "$RECYCLE.BIN/S-1-5-21", "@Recycle")):
        start = f"2026-03-0{number + 4}T20:00:00"
        add(frames / folder, "bias", 5000, camera="recycled", start=start)
    for name in ("IMG_1.CR3", "IMG_2.NEF", "IMG_3.ARW", "a.fits.Z", "b.fits.zst"):
        (frames / name).write_bytes(b"x" * 3000)
    return make(workflow)


@pytest.mark.parametrize(
    "camera", [*(f"{x} {y}" for x in ("twin", "alone") for y in ("fz", "gz", "bz2")), "recycled"]
)
def test_each_frame_counts_once_however_it_is_packed(files: Made, camera: str) -> None:
    [master] = files.of("bias", camera)
    assert master.frames == 6
    assert master.level == pytest.approx(700, **EXACT)


def test_files_that_are_not_read_are_reported_with_what_to_do(files: Made) -> None:
    files.expect("3 frames: copy such raws again, or convert them to DNG")
    files.expect("unpack it with uncompress")
    files.expect("unpack it with zstd -d")


@pytest.mark.parametrize("shape", [(10, HEIGHT, WIDTH), (2, 2, HEIGHT, WIDTH)])
def test_a_cube_is_a_series_of_frames(workflow: Workflow, shape: tuple[int, ...]) -> None:
    add(workflow.frames, "bias", 700, 3)
    planes = np.broadcast_to(pixels(700), shape)
    save(workflow.frames / "series.fits", planes, {**CAMERA, **TYPES["bias"], "INSTRUME": "A"})
    made = make(workflow)
    assert made.counts("bias") == [3]
    made.expect("1 frame", "series")
    assert not made.says("colour image")
    assert suggested(workflow).counts("bias") == [3 + int(np.prod(shape[:-2]))]
    assert workflow.run("masters", "--config", "cubes=frames").nothing_to_do


# --- levels and shapes ----------------------------------------------------------------------------


def test_zero_pixels_of_a_flat_are_counted(workflow: Workflow) -> None:
    patch = (ROW >= 30) & (COLUMN < 12)
    add(workflow.frames, "bias", 700, 12)
    add(workflow.frames, "flat", np.where(patch, 650.0, 20700.0), 12)
    made = make(workflow)
    [flat] = made.of("flat")
    assert np.count_nonzero(flat.adu == 0) == patch.sum() == 120
    made.expect("120 pixels", "0")


def drying(number: int) -> np.ndarray:
    distance = (ROW - 20.0) ** 2 + (COLUMN - 30.0) ** 2
    return 1 - 0.4 * (1 - number / 11) * np.exp(-distance / 40)


def fading(number: int) -> np.ndarray:
    return 1 + 0.01 * number * (COLUMN / WIDTH - 0.5)


def capped(number: int) -> np.ndarray:
    return np.where((number == 7) & (COLUMN > 40), 0.5, 1.0)


@pytest.mark.parametrize(
    ("response", "phrase"),
    [(drying, "shape"), (fading, "shape"), (capped, "flat07_000.fits")],
)
def test_flats_that_change_their_shape_are_reported(
    workflow: Workflow, response: Callable[[int], np.ndarray], phrase: str
) -> None:
    add(workflow.frames, "bias", 700, 12)
    for number in range(12):
        level = 700 + 20000 * response(number)
        start = f"2026-03-02T20:{number:02}:00"
        add(workflow.frames, "flat", level, 1, name=f"flat{number:02}", start=start)
    make(workflow).expect(phrase)


def test_common_warnings_do_not_hide_that_flats_differ(workflow: Workflow) -> None:
    for number in range(6):
        level = 20000 * capped(number + 2)
        start = f"2026-03-02T20:{number:02}:00"
        add(workflow.frames, "flat", level, 1, name=f"flat{number}", start=start)
    made = make(workflow)
    assert any("flat5_000.fits" in each["text"] for each in made.of("flat")[0].record["warnings"])
    made.expect("flat5_000.fits")


# --- cameras and programs that write little -------------------------------------------------------

NOTHING = {"GAIN": None, "OFFSET": None, "READOUTM": None}


def test_an_old_camera_needs_no_setting(workflow: Workflow) -> None:
    for kind, word in (("bias", "Bias Frame"), ("dark", "Dark Frame"), ("flat", "Flat Field")):
        level = 20700 if kind == "flat" else 700
        exposure = 0.0 if kind == "bias" else 3.0
        add(workflow.frames, kind, level, IMAGETYP=word, EXPTIME=exposure, **NOTHING)
    made = make(workflow)
    assert len(made.masters) == 3
    assert made.of("flat")[0].level == pytest.approx(20000, abs=1)
    assert "Note: A writes no GAIN and no OFFSET; all its frames count as one setting" in made.lines


@pytest.mark.parametrize(
    ("bias", "flat", "cards"),
    [
        ("zero", "Flat", {"BIAS": 100, "TEMPERAT": -5.0, "E-GAIN": 0.5}),
        ("2026-03-02_Bias_M1", "2026-03-02_Flat_600", {"HEAD": "DU940P_BV", "READMODE": "Image"}),
    ],
)
def test_types_in_file_names_are_suggested_and_used(
    workflow: Workflow, bias: str, flat: str, cards: dict[str, object]
) -> None:
    plain = {**NOTHING, "IMAGETYP": None, "SET-TEMP": None, **cards}
    add(workflow.frames, "bias", 700, name=bias, **plain)
    add(workflow.frames, "flat", 20700, name=flat, **{**plain, "FILTER": None})
    add(workflow.frames, "bias", 900, name="Target", **{**plain, "EXPTIME": 60.0})
    made = make(workflow, succeeds=False)
    assert made.masters == []
    made.expect("set types_from: [header, folder, name]")
    made = suggested(workflow)
    assert made.counts("bias") == [6]
    assert [master.level for master in made.of("flat")] == [pytest.approx(20000, abs=1)]


@pytest.mark.parametrize(
    ("folder", "name", "places"),
    [("Flats", "f", "[folder, header]"), ("", "flat-", "[name, header, folder]")],
)
def test_flats_written_as_lights_are_reported_and_used_with_the_suggestion(
    workflow: Workflow, folder: str, name: str, places: str
) -> None:
    light = {"IMAGETYP": "Light Frame"}
    add(workflow.frames / "b", "bias", 700)
    add(workflow.frames / folder, "flat", 20700, name=name, **light)
    add(workflow.frames, "flat", 900, 3, name="m51", start="2026-03-03T01:00:00", **light)
    made = make(workflow)
    assert made.of("flat") == []
    made.expect("6 frames: type light, but their", f"set types_from: {places}")
    made = make(workflow, "--config", f"types_from={places.replace(' ', '')}")
    assert [master.frames for master in made.of("flat")] == [6]
    assert made.of("flat")[0].level == pytest.approx(20000, abs=1)


def test_an_overscan_is_subtracted_and_cut_off(workflow: Workflow) -> None:
    inner = f"[1:{WIDTH - 8},1:{HEIGHT}]"
    sections = {"BIASSEC": f"[{WIDTH - 7}:{WIDTH},1:{HEIGHT}]", "TRIMSEC": inner, "DATASEC": inner}
    add(workflow.frames, "bias", 700, **sections)
    add(workflow.frames, "bias", 700, camera="B", TRIMSEC=inner)
    add(workflow.frames, "bias", 700, camera="C", TRIMSEC=f"[1:{WIDTH},1:{HEIGHT}]")
    add(workflow.frames, "bias", 700, camera="D", BIASSEC=f"[{WIDTH + 1}:{WIDTH + 8},1:{HEIGHT}]")
    made = make(workflow)
    found = {master.name.split("_")[1][-1]: master for master in made.masters}
    assert sorted(found) == ["A", "B", "C", "D"]
    assert found["A"].level == pytest.approx(1000, abs=1)  # the pedestal
    assert {name: found[name].level for name in "BCD"} == pytest.approx(
        dict.fromkeys("BCD", 700), abs=1
    )
    made.expect("its overscan is not subtracted: the section", "is not inside of the image")
