"""Headers of all capture programs, read from files.

Names, values and missing cards are those of real files of these programs; the image has 4x3 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import pytest

from calmasters.frame import Geometry, Value
from calmasters.headers.dialects import FrameHeader, read_keywords
from calmasters.headers.image_header import read_header
from calmasters.settings import HeaderRules

Cards: TypeAlias = Mapping[str, Value | bool]

RULES = HeaderRules()
IMAGE: Cards = {"SIMPLE": True, "BITPIX": 16, "NAXIS": 2, "NAXIS1": 4, "NAXIS2": 3}
UNSIGNED: Cards = {"BSCALE": 1, "BZERO": 32768}


def card(keyword: str, value: Value | bool) -> str:
    """One card in the format of simple FITS writers."""
    if isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        text = f"'{value:<8}'"
    else:
        text = f"{value:>20}"
    return f"{keyword:<8}= {text}"


def fits_bytes(*cards: str, padding: str = " ") -> bytes:
    text = "".join(each.ljust(80, padding) for each in (*cards, "END"))
    return text.ljust(-(-len(text) // 2880) * 2880, padding).encode("latin-1") + bytes(2880)


def read_file(file: Path, path: str = "x.fits", rules: HeaderRules = RULES) -> FrameHeader:
    return read_keywords(read_header(file).cards, PurePosixPath(path), rules)


def from_cards(
    directory: Path, cards: Cards, path: str = "x.fits", rules: HeaderRules = RULES
) -> FrameHeader:
    file = directory / "x.fits"
    file.write_bytes(fits_bytes(*(card(*each) for each in {**IMAGE, **cards}.items())))
    return read_file(file, path, rules)


@dataclass(frozen=True)
class Program:
    """The cards that a program writes, and the expected values.

    ``keywords`` is complete; ``sources`` lists values that are not from the standard card.
    """

    cards: Cards
    keywords: Mapping[str, Value]
    date_obs: str | None = None
    ccd_temp_c: float | None = None
    binning: tuple[int, int] = (1, 1)
    bayerpat: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    path: str = "x.fits"
    rules: HeaderRules = RULES
    master: bool = False


USERS_FLAT = (
    "FLAT/SQA55+ASCOM.ToupTek.Camera/DATE_2026-01-15_INSTRUME_ATR585M_OFFSET_150_READOUTM_"
    "Low Conversion Gain/FILTER_B_EXP_1.36_SETTEMP_-10.00/2026-01-16_07-12-33_0001.fits"
)

PROGRAMS: Mapping[str, Program] = {
    "N.I.N.A. 3.2, a dark with FILTER 'Dark'": Program(
        {
            **UNSIGNED,
            "IMAGETYP": "DARK",
            "EXPOSURE": 300.0,
            "EXPTIME": 300.0,
            "DATE-LOC": "2026-01-16T01:12:13.1234567",
            "DATE-OBS": "2026-01-16T00:12:13.1234567",
            "DATE-AVG": "2026-01-16T00:14:43.1234567",
            "XBINNING": 1,
            "YBINNING": 1,
            "GAIN": 100,
            "OFFSET": 50,
            "EGAIN": 0.25,
            "XPIXSZ": 3.76,
            "INSTRUME": "ZWO ASI2600MM Pro",
            "CAMERAID": "ASI2600MM Pro",
            "SET-TEMP": -10.0,
            "CCD-TEMP": -10.1,
            "READOUTM": "Default",
            "FILTER": "Dark",
            "TELESCOP": "FRA400",
            "FOCALLEN": 400.0,
            "SITELONG": 11.5,
            "ROWORDER": "TOP-DOWN",
            "SWCREATE": "N.I.N.A. 3.2.0.9001 (x64)",
        },
        {
            "TYPE": "dark",
            "INSTRUME": "ZWO ASI2600MM Pro",
            "SET-TEMP": -10.0,
            "GAIN": 100,
            "OFFSET": 50,
            "READOUTM": "Default",
            "DATE": "2026-01-15",
            "FILTER": "Dark",
            "EXPOSURE": 300.0,
            "TELESCOP": "FRA400",
            "FOCALLEN": 400,
            "CAMERAID": "ASI2600MM Pro",
        },
        "2026-01-16T00:12:13.123456",
        -10.1,
    ),
    "N.I.N.A. through ASCOM and ToupTek, the rest in the path": Program(
        {
            **UNSIGNED,
            "IMAGETYP": "FLAT",
            "EXPOSURE": 1.36,
            "EXPTIME": 1.36,
            "DATE-LOC": "2026-01-16T07:12:33.0010000",
            "DATE-OBS": "2026-01-16T14:12:33.0010000",
            "XBINNING": 1,
            "YBINNING": 1,
            "GAIN": 100,
            "CCD-TEMP": -10.0,
            "SET-TEMP": -10.0,
            "FILTER": "B",
            "BAYERPAT": "RGGB",
            "XBAYROFF": 0,
            "YBAYROFF": 0,
        },
        {
            "TYPE": "flat",
            "INSTRUME": "ATR585M",
            "SET-TEMP": -10.0,
            "GAIN": 100,
            "OFFSET": 150,
            "READOUTM": "Low Conversion Gain",
            "DATE": "2026-01-15",
            "FILTER": "B",
            "EXPOSURE": 1.36,
        },
        "2026-01-16T14:12:33.001000",
        -10.0,
        bayerpat="RGGB",
        sources=dict.fromkeys(("INSTRUME", "OFFSET", "READOUTM"), "path"),
        path=USERS_FLAT,
    ),
    "Sequence Generator Pro 3.1": Program(
        {
            **UNSIGNED,
            "IMAGETYP": "FLAT",
            "EXPOSURE": 4.2,
            "DATE-OBS": "2021-03-02T05:41:00.5290000",
            "DATE-LOC": "2021-03-01T22:41:00.5290000",
            "SET-TEMP": -20.0,
            "TEMPERAT": -19.9,
            "GAIN": 139,
            "OFFSET": 21,
            "FILTER": "Lum",
            "INSTRUME": "ZWO Camera",
            "XBINNING": 2,
            "YBINNING": 2,
            "CCDXBIN": 2,
            "CCDYBIN": 2,
            "CREATOR": "Sequence Generator Pro v3.1.0.479",
        },
        {
            "TYPE": "flat",
            "INSTRUME": "ZWO Camera",
            "SET-TEMP": -20.0,
            "GAIN": 139,
            "OFFSET": 21,
            "DATE": "2021-03-01",
            "FILTER": "Lum",
            "EXPOSURE": 4.2,
        },
        "2021-03-02T05:41:00.529000",
        -19.9,
        binning=(2, 2),
    ),
    "Sequence Generator Pro with a Canon": Program(
        {"IMAGETYP": "BIAS", "ISO": 800, "EXPOSURE": 0.001, "INSTRUME": "Canon EOS"},
        {"TYPE": "bias", "GAIN": 800, "EXPOSURE": 0.001, "INSTRUME": "Canon EOS"},
        sources={"GAIN": "ISO"},
    ),
    "ASIAIR": Program(
        {
            **UNSIGNED,
            "EXPOSURE": 0.001,
            "EXPTIME": 0.001,
            "XBINNING": 1,
            "YBINNING": 1,
            "CCDXBIN": 1,
            "CCDYBIN": 1,
            "IMAGETYP": "Bias",
            "INSTRUME": "ZWO ASI2600MC Pro",
            "SET-TEMP": -10,
            "CCD-TEMP": -10.2,
            "GAIN": 100,
            "OFFSET": 50,
            "FILTER": "None",
            "BAYERPAT": "RGGB",
            "DATE-OBS": "2024-08-31T02:20:00.183571",
            "CREATOR": "ZWO ASIAIR Plus",
        },
        {
            "TYPE": "bias",
            "INSTRUME": "ZWO ASI2600MC Pro",
            "SET-TEMP": -10.0,
            "GAIN": 100,
            "OFFSET": 50,
            "DATE": "2024-08-30",
            "FILTER": "None",
            "EXPOSURE": 0.001,
        },
        "2024-08-31T02:20:00.183571",
        -10.2,
        bayerpat="RGGB",
        sources={"DATE": "DATE-OBS, UTC"},
    ),
    "a master of ASIAIR": Program(
        {"IMAGETYP": "Bias", "STACKCNT": 100, "GAIN": 100, "CREATOR": "ZWO ASIAIR Plus"},
        {"TYPE": "bias", "GAIN": 100},
        master=True,
    ),
    "Seestar S50": Program(
        {
            "IMAGETYP": "Light",
            "INSTRUME": "Seestar S50",
            "CCD-TEMP": 23.4,
            "GAIN": 80,
            "FILTER": "IRCUT",
            "DATE-OBS": "2024-05-01T22:10:05.123",
            "EXPTIME": 10.0,
            "EXPOSURE": 10.0,
            "XBINNING": 1,
            "YBINNING": 1,
            "BAYERPAT": "GRBG",
        },
        {
            "TYPE": "light",
            "INSTRUME": "Seestar S50",
            "SET-TEMP": 23.0,
            "GAIN": 80,
            "DATE": "2024-05-01",
            "FILTER": "IRCUT",
            "EXPOSURE": 10.0,
        },
        "2024-05-01T22:10:05.123000",
        23.4,
        bayerpat="GRBG",
        sources={"SET-TEMP": "CCD-TEMP, rounded", "DATE": "DATE-OBS, UTC"},
    ),
    "DWARF III": Program(
        {
            "INSTRUME": "DWARFIII",
            "CAMERA": "TELE",
            "DET-TEMP": 21,
            "GAIN": 60,
            "FILTER": "",
            "DATE-OBS": "2025-02-10T20:00:00.000",
            "EXPTIME": 15.0,
            "XBINNING": 1,
            "YBINNING": 1,
            "BAYERPAT": "RGGB",
        },
        {
            "TYPE": "dark",
            "INSTRUME": "DWARFIII",
            "SET-TEMP": 21.0,
            "GAIN": 60,
            "DATE": "2025-02-10",
            "EXPOSURE": 15.0,
        },
        "2025-02-10T20:00:00",
        21.0,
        bayerpat="RGGB",
        sources={
            "TYPE": "folder name",
            "SET-TEMP": "CCD-TEMP, rounded",
            "DATE": "DATE-OBS, UTC",
        },
        path="CALI_FRAME/dark/cam_0/dark_exp_15.000000_gain_60_bin_1_21C_stack_10.fits",
    ),
    "DWARF II": Program(
        {"INSTRUME": "DWARFII", "EXP": 15.0, "GAIN": 80, "BINNING": "2*2", "FILTER": ""},
        {"INSTRUME": "DWARFII", "EXPOSURE": 15.0, "GAIN": 80},
        binning=(2, 2),
        sources={"EXPOSURE": "EXP"},
    ),
    "MaxIm DL 6": Program(
        {
            **UNSIGNED,
            "DATE-OBS": "2014-03-05T03:59:11",
            "TIME-OBS": "03:59:11",
            "UT": "03:59:11",
            "EXPTIME": 7.0,
            "EXPOSURE": 7.0,
            "SET-TEMP": -30.0,
            "CCD-TEMP": -29.8,
            "XBINNING": 1,
            "YBINNING": 1,
            "READOUTM": "Monochrome",
            "FILTER": "R",
            "IMAGETYP": "Flat Field",
            "PEDESTAL": -100,
            "INSTRUME": "Apogee USB/Net",
            "SITELONG": "-96 45 12",
            "SWCREATE": "MaxIm DL Version 6.18",
        },
        {
            "TYPE": "flat",
            "INSTRUME": "Apogee USB/Net",
            "SET-TEMP": -30.0,
            "READOUTM": "Monochrome",
            "DATE": "2014-03-04",
            "FILTER": "R",
            "EXPOSURE": 7.0,
        },
        "2014-03-05T03:59:11",
        -29.8,
        sources={"DATE": "DATE-OBS, site longitude"},
    ),
    "APT 3.54": Program(
        {
            "IMAGETYP": "Dark Frame",
            "INSTRUME": "ASI1600",
            "SET-TEMP": -15.0,
            "GAIN": 139,
            "DATE-OBS": "2018-11-03T21:15:00.250",
            "EXPTIME": 120.0,
            "XBINNING": 1,
            "YBINNING": 1,
            "SWCREATE": "Astro Photography Tool - APT v.3.54",
        },
        {
            "TYPE": "dark",
            "INSTRUME": "ASI1600",
            "SET-TEMP": -15.0,
            "GAIN": 139,
            "DATE": "2018-11-03",
            "EXPOSURE": 120.0,
        },
        "2018-11-03T21:15:00.250000",
        sources={"DATE": "DATE-OBS, UTC"},
    ),
    "SharpCap 4.1": Program(
        {
            "INSTRUME": "ZWO ASI294MC Pro",
            "CCD-TEMP": -0.4,
            "BLKLEVEL": 30,
            "DATE-OBS": "2023-01-20T19:30:11.1234567",
            "DATE-END": "2023-01-20T19:30:13.1234567",
            "DATE-AVG": "2023-01-20T19:30:12.1234567",
            "EXPTIME": 2.0,
            "XBINNING": 1,
            "YBINNING": 1,
            "BAYERPAT": "RGGB",
            "COLORTYP": "RGGB",
            "ROWORDER": "TOP-DOWN",
            "SWCREATE": "SharpCap v4.1.12946.0, 64 bit",
        },
        {
            "INSTRUME": "ZWO ASI294MC Pro",
            "SET-TEMP": 0.0,
            "OFFSET": 30,
            "DATE": "2023-01-20",
            "EXPOSURE": 2.0,
        },
        "2023-01-20T19:30:11.123456",
        -0.4,
        bayerpat="RGGB",
        sources={
            "OFFSET": "BLKLEVEL",
            "SET-TEMP": "CCD-TEMP, rounded",
            "DATE": "DATE-OBS, UTC",
        },
    ),
    "SharpCap of 2019": Program(
        {"INSTRUME": "ZWO ASI178MM", "EXPTIME": 0.01, "XBINNING": 2, "COLORTYP": "RGB"},
        {"INSTRUME": "ZWO ASI178MM", "EXPOSURE": 0.01, "TYPE": "dark"},
        binning=(2, 2),
        sources={"TYPE": "folder name"},
        path="2019-02-03/Darks 10ms/Capture_00001.fits",
    ),
    "INDI and Ekos": Program(
        {
            **UNSIGNED,
            "FRAME": "Flat",
            "IMAGETYP": "Flat Frame",
            "INSTRUME": "ZWO CCD ASI2600MM Pro",
            "CCD-TEMP": -9.96,
            "GAIN": "100.000",
            "OFFSET": "50.000",
            "FILTER": "Red",
            "DATE-OBS": "2024-02-11T18:02:45.120",
            "EXPTIME": 2.5,
            "XBINNING": 1,
            "YBINNING": 1,
            "ROWORDER": "TOP-DOWN",
            "SITELONG": 151.2,
        },
        {
            "TYPE": "flat",
            "INSTRUME": "ZWO CCD ASI2600MM Pro",
            "SET-TEMP": -10.0,
            "GAIN": 100,
            "OFFSET": 50,
            "DATE": "2024-02-11",
            "FILTER": "Red",
            "EXPOSURE": 2.5,
        },
        "2024-02-11T18:02:45.120000",
        -9.96,
        sources={"SET-TEMP": "CCD-TEMP, rounded", "DATE": "DATE-OBS, site longitude"},
    ),
    "INDI, a dark with DARKTIME alone": Program(
        {"FRAME": "Dark", "INSTRUME": "CCD Simulator", "DARKTIME": 60.0},
        {"TYPE": "dark", "INSTRUME": "CCD Simulator", "EXPOSURE": 60.0},
        sources={"TYPE": "FRAME", "EXPOSURE": "DARKTIME"},
    ),
    "INDI Alpaca, GAIN as a label": Program(
        {"IMAGETYP": "Bias Frame", "GAIN": "High  Conversion"},
        {"TYPE": "bias", "GAIN": "High Conversion"},
    ),
    "Voyager": Program(
        {"IMAGETYP": "BIAS", "GAIN": 56, "OFFSET": 10, "SET-TEMP": -10, "CCD-TEMP": -10},
        {"TYPE": "bias", "GAIN": 56, "OFFSET": 10, "SET-TEMP": -10.0},
        ccd_temp_c=-10.0,
    ),
    "SBIG CCDOPS": Program(
        {
            "BIAS": 100,
            "FOCALLEN": 1000.0,
            "INSTRUME": "SBIG ST-7/7E/7XE",
            "TEMPERAT": -15.3,
            "E-GAIN": 0.46,
            "DATE-OBS": "2017-10-19",
            "TIME-OBS": "02:10:33",
            "EXPOSURE": 0.12,
            "CCDXBIN": 1,
            "CCDYBIN": 1,
            "XPIXSZ": 0.009,
        },
        {
            "INSTRUME": "SBIG ST-7/7E/7XE",
            "SET-TEMP": -15.0,
            "DATE": "2017-10-18",
            "EXPOSURE": 0.12,
            "FOCALLEN": 1000,
        },
        "2017-10-19T02:10:33",
        -15.3,
        sources={"SET-TEMP": "CCD-TEMP, rounded", "DATE": "DATE-OBS, UTC"},
    ),
    "Andor Solis": Program(
        {
            "NAXIS": 3,
            "NAXIS3": 1,
            "HEAD": "DU937P_BV",
            "TEMP": -60.02,
            "GAIN": 2,
            "READMODE": "Image",
            "FRAME": "2011-05-12T21:04:11",
            "DATE": "2011-05-12T21:04:11",
            "EXPOSURE": 1e-05,
            "HBIN": 2,
            "VBIN": 4,
        },
        {
            "INSTRUME": "DU937P_BV",
            "SET-TEMP": -60.0,
            "GAIN": 2,
            "READOUTM": "Image",
            "DATE": "2011-05-12",
            "EXPOSURE": 1e-05,
        },
        ccd_temp_c=-60.02,
        binning=(2, 4),
        sources={
            "INSTRUME": "HEAD",
            "SET-TEMP": "CCD-TEMP, rounded",
            "READOUTM": "READMODE",
            "DATE": "DATE",
        },
    ),
    "a master of Siril": Program(
        {
            "BITPIX": -32,
            "IMAGETYP": "BIAS",
            "STACKCNT": 50,
            "LIVETIME": 0.05,
            "EXPTIME": 0.001,
            "INSTRUME": "ZWO ASI2600MM Pro",
            "GAIN": 100,
            "PROGRAM": "Siril 1.4.0",
        },
        {
            "TYPE": "bias",
            "INSTRUME": "ZWO ASI2600MM Pro",
            "GAIN": 100,
            "EXPOSURE": 0.001,
        },
        master=True,
    ),
    "a master of Astro Pixel Processor": Program(
        {
            "BITPIX": -32,
            "CALFRAME": "MasterFlat",
            "NUMFRAME": 30,
            "FILT-1": "Ha",
            "CFAIMAGE": "no",
            "EXPTIME": 2.0,
            "INSTRUME": "QHY268M",
            "SOFTWARE": "Astro Pixel Processor",
        },
        {"TYPE": "flat", "INSTRUME": "QHY268M", "FILTER": "Ha", "EXPOSURE": 2.0},
        sources={"TYPE": "CALFRAME", "FILTER": "FILT-1"},
        master=True,
    ),
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_the_headers_of_each_program_are_read(tmp_path: Path, program: Program) -> None:
    header = from_cards(tmp_path, program.cards, program.path, program.rules)
    assert header.traits.keywords == program.keywords
    assert header.traits.geometry == Geometry(4, 3, *program.binning, program.bayerpat)
    assert (header.date_obs, header.ccd_temp_c) == (program.date_obs, program.ccd_temp_c)
    assert header.traits.sources == program.sources
    assert (header.traits.master, header.traits.problems, header.traits.warnings) == (
        program.master,
        (),
        (),
    )


# --- special cases --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cards",
    [
        {"BIAS": 100},
        {"FRAME": "2011-05-12T21:04:11"},
        {"COLORTYP": "RGB", "SWCREATE": "SharpCap"},
    ],
    ids=["SBIG's BIAS is a level", "Andor's FRAME is a date", "SharpCap writes no type"],
)
def test_cards_that_are_not_types_give_no_type(tmp_path: Path, cards: Cards) -> None:
    assert "TYPE" not in from_cards(tmp_path, cards).traits.keywords


@pytest.mark.parametrize("date", ["2017-10-19", "19/10/17"])
@pytest.mark.parametrize("time", ["TIME-OBS", "UT", "UT-OBS"])
def test_a_date_without_a_time_is_combined_with_the_card_for_the_time(
    tmp_path: Path, date: str, time: str
) -> None:
    header = from_cards(tmp_path, {"DATE-OBS": date, time: "02:10:33.5"})
    assert header.date_obs == "2017-10-19T02:10:33.500000"
    assert header.traits.keywords["DATE"] == "2017-10-18"


def test_the_creation_date_is_the_last_choice_for_the_night(tmp_path: Path) -> None:
    cards = {"DATE": "2026-03-01T09:00:00", "DATE-OBS": "2026-01-16T01:00:00"}
    assert from_cards(tmp_path, cards).traits.keywords["DATE"] == "2026-01-15"
    header = from_cards(tmp_path, {"DATE": "2026-03-01T09:00:00"})
    assert (header.traits.keywords["DATE"], header.traits.sources["DATE"]) == ("2026-02-28", "DATE")
    assert header.date_obs is None


def test_cards_may_be_padded_with_null_bytes(tmp_path: Path) -> None:
    file = tmp_path / "x.fits"
    cards = {**IMAGE, "IMAGETYP": "Bias Frame", "GAIN": 100}
    file.write_bytes(fits_bytes(*(card(*each) for each in cards.items()), padding="\0"))
    assert read_file(file).traits.keywords == {"TYPE": "bias", "GAIN": 100}


def test_hierarch_and_continue_cards_do_not_affect_other_cards(tmp_path: Path) -> None:
    lines = (
        *(card(*each) for each in IMAGE.items()),
        "HIERARCH CAMERA-DATE-OBS = '2018-11-03T22:15:00' / APT",
        "NOTES   = 'a long note that goes on and on, further than fits into one card&'",
        "CONTINUE  ' and ends here' / said the observer",
        card("IMAGETYP", "Dark Frame"),
        card("GAIN", 139),
    )
    file = tmp_path / "x.fits"
    file.write_bytes(fits_bytes(*lines))
    cards = read_header(file).cards
    assert cards["CAMERA-DATE-OBS"] == "2018-11-03T22:15:00"
    assert str(cards["NOTES"]).endswith("than fits into one card and ends here")
    assert read_file(file).traits.keywords == {"TYPE": "dark", "GAIN": 139}


@pytest.mark.parametrize("text", ["bias frame", "flat field", "dark", "light"])
def test_types_may_be_in_lower_case(tmp_path: Path, text: str) -> None:
    assert from_cards(tmp_path, {"IMAGETYP": text}).traits.keywords["TYPE"] == text.split()[0]


@pytest.mark.parametrize("raw", ["100", "100.000", "  100 "])
def test_a_gain_written_as_text_is_the_number(tmp_path: Path, raw: str) -> None:
    gain = from_cards(tmp_path, {"GAIN": raw}).traits.keywords["GAIN"]
    assert (gain, type(gain)) == (100, int)


def test_an_empty_filter_is_a_missing_filter(tmp_path: Path) -> None:
    assert "FILTER" not in from_cards(tmp_path, {"FILTER": "   "}).traits.keywords


def test_a_frame_that_its_program_turned_has_a_warning(tmp_path: Path) -> None:
    (warning,) = from_cards(tmp_path, {"IMAGETYP": "FLAT", "FLIPSTAT": "Mirror"}).traits.warnings
    assert "must be turned alike" in warning
    assert "(FLIPSTAT 'Mirror')" in warning
    assert from_cards(tmp_path, {"IMAGETYP": "FLAT", "FLIPSTAT": " "}).traits.warnings == ()


def test_exptime_precedes_exposure_and_a_difference_gives_a_warning(tmp_path: Path) -> None:
    header = from_cards(tmp_path, {"EXPOSURE": 300.0, "EXPTIME": 300.2})
    assert header.traits.keywords["EXPOSURE"] == 300.2
    assert header.traits.warnings == ("EXPTIME 300.2 s differs from EXPOSURE 300 s",)


@pytest.mark.parametrize("count", ["STACKCNT", "NCOMBINE", "NUMFRAME"])
def test_a_stack_is_a_master_with_any_type(tmp_path: Path, count: str) -> None:
    cards: dict[str, Any] = {"IMAGETYP": "Bias", count: 100}
    assert from_cards(tmp_path, cards).traits.master
    assert not from_cards(tmp_path, cards | {count: 1}).traits.master


def test_a_colour_stack_of_a_seestar_is_refused(tmp_path: Path) -> None:
    cards: Cards = {"NAXIS": 3, "NAXIS3": 3, "STACKCNT": 90, "IMAGETYP": "Light"}
    (problem,) = from_cards(tmp_path, cards).traits.problems
    assert "colour image of 3 planes" in problem


def test_a_calibrated_frame_of_maxim_is_refused(tmp_path: Path) -> None:
    (problem,) = from_cards(tmp_path, {"IMAGETYP": "Flat Field", "CALSTAT": "BD"}).traits.problems
    assert problem.startswith("is already calibrated (CALSTAT 'BD'); use the raw frame")


def test_a_keyword_with_two_values_makes_a_frame_unusable_if_it_decides_how_it_is_used(
    tmp_path: Path,
) -> None:
    cards: Cards = {"IMAGETYP": "Dark", "EXPTIME": 0.0, "FOCALLEN": 530}
    path = tmp_path / "x.fits"
    path.write_bytes(
        fits_bytes(*(card(*each) for each in {**IMAGE, **cards}.items()), card("FOCALLEN", 531))
    )
    assert read_file(path, "x.fits", RULES).traits.problems == ()
    path.write_bytes(
        fits_bytes(*(card(*each) for each in {**IMAGE, **cards}.items()), card("EXPTIME", 300.0))
    )
    (problem,) = read_file(path, "x.fits", RULES).traits.problems
    assert problem == "has 2 cards EXPTIME, 0.0 and 300.0; delete the wrong one"


@pytest.mark.parametrize(
    ("set_temp", "ccd_temp"), [(-10.0, 10.7), (-10.0, 6.8), (-40.0, -7.9)], ids=str
)
def test_warm_sensors_give_a_warning_or_a_problem(
    tmp_path: Path, set_temp: float, ccd_temp: float
) -> None:
    cards: Cards = {"SET-TEMP": set_temp, "CCD-TEMP": ccd_temp}
    text = f"sensor at {ccd_temp} C, set-point {set_temp} C"
    warned = from_cards(tmp_path, cards)
    refused = from_cards(tmp_path, cards, rules=replace(RULES, temperature_action="refuse"))
    assert (warned.traits.warnings, warned.traits.problems) == ((text,), ())
    assert refused.traits.warnings == ()
    (problem,) = refused.traits.problems
    assert problem.startswith(f"{text}; retake it")


# --- exposures and nights -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cards", "exposure_s", "warns"),
    [
        ({"EXPTIME": 0.0, "EXPOSURE": 0.0}, 0.0, False),
        ({"EXPTIME": 0.0, "EXPOSURE": 1.0}, 0.0, True),
        ({"EXPTIME": 1.0, "EXPOSURE": 0.0}, 1.0, True),
        ({"EXPTIME": 1.0, "EXPOSURE": 1.001}, 1.0, False),
        ({"EXPTIME": 1.0}, 1.0, False),
        ({"EXPOINUS": 2_500_000}, 2.5, False),
        ({"EXPOINUS": "many"}, None, False),
    ],
)
def test_two_exposures_of_a_frame_should_be_equal(
    cards: dict[str, Any], exposure_s: float | None, warns: bool
) -> None:
    header = read_keywords({**IMAGE, **cards}, PurePosixPath("x.fits"), HeaderRules())
    assert header.traits.keywords.get("EXPOSURE") == exposure_s
    assert any("differs from EXPOSURE" in each for each in header.traits.warnings) is warns


@pytest.mark.parametrize(
    ("kind", "more", "warns"),
    [
        ("FLAT", {"DATE": "2026-01-15T20:00:00"}, True),
        ("FLAT", {}, False),
        ("BIAS", {"DATE": "2026-01-15T20:00:00"}, False),
    ],
)
def test_a_flat_whose_date_cannot_be_read_says_that_its_night_is_of_another_card(
    kind: str, more: Cards, warns: bool
) -> None:
    cards = {**IMAGE, "IMAGETYP": kind, "DATE-OBS": "yesterday", **more}
    traits = read_keywords(cards, PurePosixPath("x.fits"), HeaderRules()).traits
    assert ("DATE" in traits.keywords) is bool(more)
    warnings = [each for each in traits.warnings if "the night is that of another source" in each]
    assert len(warnings) == warns
    assert all("yesterday" in each for each in warnings)


@pytest.mark.parametrize(
    ("date", "is_reported"), [("1970-01-01", True), ("1980-01-06", True), ("1995-03-02", False)]
)
def test_flats_of_a_clock_that_was_not_set_are_reported(date: str, is_reported: bool) -> None:
    cards = {**IMAGE, "IMAGETYP": "FLAT", "DATE-OBS": f"{date}T20:00:00"}
    warnings = read_keywords(cards, PurePosixPath("x.fits"), HeaderRules()).traits.warnings
    assert any("the clock was not set" in each for each in warnings) is is_reported


#: Cards that a keyword is read from, by programs and observatories.
READ: dict[str, tuple[Value, tuple[str, ...]]] = {
    "INSTRUME": ("Cam 1", ("INSTRUME", "CAMERA", "CAMERAID", "HEAD", "DETECTOR")),
    "SET-TEMP": (-10.0, ("SET-TEMP", "SETTEMP", "SET_TEMP", "CCD-TSET")),
    "GAIN": (100, ("GAIN", "ISOSPEED", "ISO", "GAINRAW", "CAMGAIN")),
    "OFFSET": (50, ("OFFSET", "BLKLEVEL", "BLACKLEV", "BLKLVL")),
    "READOUTM": (
        "Low Noise", ("READOUTM", "READMODE", "READOUT", "RDMODE", "CONVGAIN", "LOWNOISE",
                      "ESO DET READ CLOCK", "ESO DET READ CURNAME"),
    ),
    "EXPOSURE": (2.5, ("EXPTIME", "EXPOSURE", "EXP", "EXP_TIME", "ELAPTIME", "DARKTIME")),
    "TELESCOP": ("Newton", ("TELESCOP",)),
    "FOCALLEN": (800, ("FOCALLEN", "FOCAL")),
    "CAMERAID": ("left", ("CAMERAID", "CAMID", "CAM-ID")),
    "GRATING": (
        "600B", ("GRATING", "GRISM", "DISPERSR", "DISPERSE", "GRATNAME", "GRISNAME", "GRNAME",
                 "ALGRNM", "ISIGRAT", "ESO INS GRIS1 NAME", "ESO INS GRAT NAME",
                 "ESO INS GRISM NAME"),
    ),
    "SLIT": (
        "1.0 arcsec", ("SLIT", "SLITNAME", "SLITMASK", "MASKNAME", "DECKER", "DECKNAME",
                       "ALAPRTNM", "ESO INS SLIT NAME", "ESO INS SLIT1 NAME"),
    ),
    "ROTATOR": (90.0, ("ROTATOR", "ROTATANG", "ROTANGLE", "ROTANG", "ROTATPOS")),
}  # fmt: skip


@pytest.mark.parametrize(
    ("keyword", "name"), [(keyword, name) for keyword, (_, names) in READ.items() for name in names]
)
def test_each_card_of_a_keyword_is_read(keyword: str, name: str) -> None:
    value = READ[keyword][0]
    cards = {**IMAGE, "IMAGETYP": "FLAT", name: value}
    traits = read_keywords(cards, PurePosixPath("x.fits"), RULES).traits
    assert traits.keywords[keyword] == value
    # The first card of the list counts more.
    both = {**cards, name: "other", READ[keyword][1][0]: value}
    traits = read_keywords(both, PurePosixPath("x.fits"), RULES).traits
    assert traits.keywords[keyword] == value
