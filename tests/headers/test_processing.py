from __future__ import annotations

import zlib
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from calmasters.frame import Traits
from calmasters.headers.dialects import read_keywords
from calmasters.headers.fits_cards import BIAS_HISTORY
from calmasters.headers.history import pixel_process_in
from calmasters.headers.image_header import read_cards
from calmasters.headers.processing import (
    PROCESSING_CARDS,
    bias_removal,
    is_stack,
    overscan_removal,
    processing,
)
from calmasters.settings import HeaderRules

RAW = {"NAXIS": 2, "NAXIS1": 48, "NAXIS2": 40, "IMAGETYP": "FLAT"}


def traits_of(path: str = "x.fits", **cards: Any) -> Traits:
    return read_keywords({**RAW, **cards}, PurePosixPath(path), HeaderRules()).traits


# --- calibrated frames ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cards", "sign"),
    [
        ({"CALSTAT": "B"}, "CALSTAT 'B'"),
        ({"CALSTAT": "bdf"}, "CALSTAT 'BDF'"),
        ({"ZEROCOR": "Jan 22 14:14 Zero level correction image is Zero.fits"}, "ZEROCOR"),
        ({"BIASCOR": True}, "BIASCOR"),
        ({"FLATCOR": "Jan 22 14:14 Flat field image is FlatV"}, "FLATCOR"),
        ({"DARKCORR": "COMPLETE"}, "DARKCORR"),
        ({"CCDPROC": "Jan 22 14:14 CCD processing done"}, "CCDPROC"),
        ({"OVERSCAN": "Jan 22 14:14 Overscan section is [49:56,*]"}, "OVERSCAN"),
        ({"SUBBIAS": "subtract_bias"}, "SUBBIAS"),
        ({"L1IDBIAS": "bias-20260115.fits"}, "L1IDBIAS"),
        ({"HISTORY": "ImageCalibration"}, "HISTORY 'ImageCalibration'"),
    ],
)
def test_a_calibrated_frame_is_refused_with_the_sign(cards: dict[str, Any], sign: str) -> None:
    (problem,) = traits_of(**cards).problems
    assert problem.startswith(f"is already calibrated ({sign}); use the raw frame")


@pytest.mark.parametrize(
    "card",
    ["ZEROCOR", "BIASCOR", "BIASCORR", "SUBBIAS", "BIASSUB", "ZEROSUB", "L1IDBIAS", "DARKCOR",
     "DARKCORR", "SUBDARK", "DARKSUB", "L1IDDARK", "FLATCOR", "FLATCORR", "FLATDIV", "L1IDFLAT",
     "CCDPROC", "OVERSCAN", "SUBOSCAN", "GAINCOR", "ILLUMCOR", "FRINGCOR", "BIASIM", "DEBIAS",
     "DARKIM", "DEDARK", "FLATIM", "DEFLAT", "PROCTYPE", "RLEVEL", "ESO PRO CATG", "OSCANSUB"],
)  # fmt: skip
def test_the_card_of_a_step_says_whether_it_was_done(card: str) -> None:
    assert processing({card: "Jan 22 14:14"}, "x.fits") == card
    assert processing({card: True}, "x.fits") == (card if card != "OVERSCAN" else "")
    is_bias = any(word in card for word in ("BIAS", "ZERO"))
    assert bias_removal({card: "done"}) == (card if is_bias else "")
    assert overscan_removal({card: "done"}) == (card if "OSCAN" in card or "VERS" in card else "")


@pytest.mark.parametrize("card", ["CALIBRAT", "REDUCED"])
def test_a_card_that_may_have_other_texts_is_a_step_if_it_is_true(card: str) -> None:
    assert processing({card: True}, "x.fits") == card
    assert not processing({card: False}, "x.fits")
    assert not processing({card: "HeNeAr"}, "x.fits")


@pytest.mark.parametrize(
    "unit",
    ["electron", "Electrons", "e-", "e", "(e-)", "[e-]", "e^-", "ke-", "el", "elec", "photons",
     "electron/s", "e-/s", "electron (mean)", "adu/s", "count s-1", "DN / sec", "counts/seconds",
     "counts per sec", "adu/min", "ADU/ms", "ADU/(s)", "cps", "DN s^-1", "DN s**-1", "Jy/beam",
     "mJy", "MJy/sr", "mag", "nanomaggy", "flux", "W/m2", "normalized"],
)  # fmt: skip
def test_units_of_light_or_rates_are_those_of_calibrated_frames(unit: str) -> None:
    assert processing({"BUNIT": unit}, "x.fits") == f"BUNIT '{unit}'"


@pytest.mark.parametrize(
    "unit",
    ["adu", "ADU", "DN", "counts", "COUNT", "adu/pixel", "ADU / pixel", "", "levels", "16-bit ADU",
     "digital number", "sensor counts", "counts / exposure (60 s)", "ADU (0.25 electron/ADU)",
     "count; 1 s exposure", "counts in 60 s", "e-/ADU", "ADU, s. BZERO", "DN/pixel", "raw"],
)  # fmt: skip
def test_units_of_samples_are_those_of_raw_frames(unit: str) -> None:
    assert not processing({"BUNIT": unit}, "x.fits")


def test_the_name_of_a_calibrated_frame_may_say_so() -> None:
    assert processing({}, "calibrated_flat.fits") == "name 'calibrated_flat.fits'"
    assert not processing({}, "uncalibrated_flat.fits")


@pytest.mark.parametrize(
    "text",
    ["", " ", "-", "--", "F", "False", "N", "no", "None", "off", "0", "N/A", "nan", "null",
     "unknown", "OMIT", "omitted", "PERFORM", "pending", "skipped", "raw", "Uncalibrated"],
)  # fmt: skip
def test_a_step_that_was_not_done_is_none(text: str) -> None:
    cards = {"FLATCOR": text, "BIASCOR": text, "OVERSCAN": text, "CALSTAT": text}
    assert processing(cards, "x.fits") == bias_removal(cards) == overscan_removal(cards) == ""


@pytest.mark.parametrize(
    ("cards", "stack"),
    [
        *(({card: 2}, True) for card in ("STACKCNT", "NCOMBINE", "NUMFRAME", "NCOMB", "NDARKS")),
        *(({card: text}, True) for card in ("ISMASTER", "MASTER") for text in (True, "T", "yes")),
        *(({"MASTER": text}, True) for text in ("true", "Y", "1")),
        *(({card: ""}, True) for card in ("IMCOM001", "IMCMB001")),
        ({"NCOMBINE": 1}, False),
        ({"NCOMBINE": "many"}, False),
        ({"ISMASTER": False, "MASTER": "no"}, False),
        ({"CALSTAT": "BDF"}, False),
        ({"CALSTAT": "bm"}, True),
        ({"CALSTAT": "omit"}, False),
    ],
)
def test_a_stack_is_known_by_its_cards(cards: dict[str, Any], stack: bool) -> None:
    assert is_stack(cards) is stack


def test_every_card_that_is_read_is_named_among_them() -> None:
    """Frames with equal values of these cards are read once."""
    read = set()

    class Noted(dict[str, Any]):
        def get(self, name: str, default: Any = None) -> Any:
            read.add(name)
            return default

        def __contains__(self, name: object) -> bool:
            read.add(str(name))
            return False

    assert not is_stack(Noted())
    assert processing(Noted(), "x_c.fits") == "name 'x_c.fits'"
    assert bias_removal(Noted()) == ""
    assert read - {"FILTER"} == {*PROCESSING_CARDS}


@pytest.mark.parametrize(
    "cards",
    [
        {"CALSTAT": "  "},
        {"CALSTAT": "N/A"},
        {"BIASCORR": "OMIT", "FLATCORR": "PERFORM"},
        {"ZEROCOR": False, "DARKCOR": "F", "FLATCOR": "no"},
        {"L1IDBIAS": "N/A"},
        {"OVERSCAN": 32},
        {"OVERSCAN": True},
        {"STACKCNT": 1, "ISMASTER": False, "MASTER": "F"},
    ],
)
def test_cards_of_steps_that_were_not_done_say_nothing(cards: dict[str, Any]) -> None:
    traits = traits_of(**cards)
    assert (traits.problems, traits.master) == ((), False)


@pytest.mark.parametrize(
    "name",
    ["flat_000_c.xisf", "flat_c_cc.xisf", "M31_c_cc_d_r.xisf", "f_cc_d.xisf", "pp_flat_00001.fit",
     "r_pp_flat_1.fit", "bkg_pp_light_1.fits", "flat_001_calibrated.fits"],
)  # fmt: skip
def test_names_of_wbpp_and_siril_mark_calibrated_frames(name: str) -> None:
    (problem,) = traits_of(f"Flats/{name}").problems
    assert f"name '{name}'" in problem


@pytest.mark.parametrize(
    "name", ["flat_C.fits", "flat_r.fits", "app_flat.fits", "flat_d_001.fits", "flat_001_ccd.fits"]
)
def test_names_of_raw_frames_mark_nothing(name: str) -> None:
    assert traits_of(f"Flats/{name}").problems == ()


def test_a_name_that_ends_with_its_filter_marks_nothing() -> None:
    assert traits_of("flat_c.fits", FILTER="Clear").problems == ()
    assert traits_of("flat_c_cc.fits", FILTER="Clear").problems != ()
    assert traits_of("flat_c.fits", FILTER="Red").problems != ()


@pytest.mark.parametrize(
    ("line", "process"),
    [
        ("ImageCalibration.masterBiasFileName: masterBias.xisf", "ImageCalibration"),
        ("Integration with ImageIntegration process", "ImageIntegration"),
        ('<process class="Rescale"/>', 'class="Rescale"'),
        ("Bias corrected with mbias.fits", "Bias corrected"),
        ("Auto Dark Subtraction", "Dark Subtraction"),
        ("Flat-field division", "Flat-field division"),
        ("subtracted the master dark", "subtracted the master dark"),
        ("image was calibrated", "image was calibrated"),
        ("Calibrated with masterBias.fits", "Calibrated"),
    ],
)
def test_processes_that_change_pixels_are_found_in_history(line: str, process: str) -> None:
    assert pixel_process_in(line) == process


@pytest.mark.parametrize(
    "line",
    ["ImageSolver: plate solved", "WCS calibrated by astrometry.net", "ScreenTransferFunction",
     "Rotation angle 90", "not calibrated",
     "Dark subtraction: off", "no bias correction", "flat lamp on", "converted by fpack",
     "File was processed by PinPoint 6.1.3"],
)  # fmt: skip
def test_other_lines_of_history_say_nothing(line: str) -> None:
    assert pixel_process_in(line) == ""


@pytest.mark.parametrize("long_text", ["", "x" * 200])
def test_history_of_fits_files_is_read(tmp_path: Path, long_text: str) -> None:
    header = fits.Header({"OBJECT": long_text})
    header["HISTORY"] = "plate solved"
    header["HISTORY"] = "Dark corrected with mdark60.fits"
    fits.writeto(tmp_path / "x.fits", np.zeros((3, 4), np.uint16), header)
    assert read_cards(tmp_path / "x.fits")["HISTORY"] == "Dark corrected"


def xisf(path: Path, inside: str, block: bytes = b"") -> Path:
    xml = (
        '<xisf version="1.0" xmlns="http://www.pixinsight.com/xisf"><Image geometry="4:3:1" '
        f'sampleFormat="UInt16" location="attachment:2048:24">{inside}</Image></xisf>'
    ).encode()
    head = b"XISF0100" + len(xml).to_bytes(4, "little") + bytes(4) + xml
    path.write_bytes(head.ljust(2048, b"\0") + bytes(24) + block)
    return path


HISTORY = 'Property id="PixInsight:ProcessingHistory" type="String"'
TEXT = b'<ProcessContainer><process class="CosmeticCorrection"/></ProcessContainer>'
PACKED = zlib.compress(TEXT)


@pytest.mark.parametrize(
    ("inside", "block"),
    [
        ('<FITSKeyword name="HISTORY" value="" comment="CosmeticCorrection.x: 1"/>', b""),
        (f'<{HISTORY} value="CosmeticCorrection"/>', b""),
        (f"<{HISTORY}>CosmeticCorrection</Property>", b""),
        (f'<{HISTORY} location="attachment:2072:{len(TEXT)}"/>', TEXT),
        (
            f'<{HISTORY} location="attachment:2072:{len(PACKED)}" compression="zlib:{len(TEXT)}"/>',
            PACKED,
        ),
    ],
)
def test_history_of_xisf_files_is_read(tmp_path: Path, inside: str, block: bytes) -> None:
    assert "CosmeticCorrection" in str(
        read_cards(xisf(tmp_path / "x.xisf", inside, block))["HISTORY"]
    )


@pytest.mark.parametrize(
    "inside",
    [
        f"<{HISTORY}>ScreenTransferFunction</Property>",
        f'<{HISTORY} location="attachment:2072:9" compression="zlib:9"/>',
        f'<{HISTORY} location="attachment:9999:9" compression="lz4:9"/>',
        f'<{HISTORY} location="attachment:a:b"/>',
    ],
)
def test_history_without_such_a_process_or_damaged_says_nothing(
    tmp_path: Path, inside: str
) -> None:
    assert "HISTORY" not in read_cards(xisf(tmp_path / "x.xisf", inside, b"damaged!!"))


# --- masters --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cards",
    [
        {"ISMASTER": True},
        {"MASTER": "T"},
        {"IMCOM001": "a.fits"},
        {"IMCMB001": "a.fits"},
        {"STACKCNT": 20},
        {"CALSTAT": "M"},
        {"CALSTAT": "BDFM"},
    ],
)
@pytest.mark.parametrize("kind", ["FLAT", None])
def test_cards_of_stacks_mark_masters(cards: dict[str, Any], kind: str | None) -> None:
    traits = traits_of(IMAGETYP=kind or "", **cards)
    assert (traits.master, traits.problems) == (True, ())


@pytest.mark.parametrize(
    ("cards", "sign"),
    [
        ({"CALSTAT": "M"}, ""),
        ({"CALSTAT": "BM"}, "CALSTAT 'BM'"),
        ({"CALSTAT": "M", "ZEROCOR": "Zero.fits"}, "ZEROCOR"),
        ({"NCOMBINE": 20, BIAS_HISTORY: "Bias corrected"}, "HISTORY 'Bias corrected'"),
        ({"NCOMBINE": 20, "HISTORY": "ImageIntegration"}, ""),
    ],
)
def test_a_master_dark_says_whether_it_contains_a_bias(cards: dict[str, Any], sign: str) -> None:
    traits = traits_of(IMAGETYP="Dark Frame", **cards)
    assert (traits.bias_removal, traits.problems) == (sign, ())


CALIBRATION = "ImageCalibration.masterBias.fileName: masterBias.xisf"
OTHERS = ("Integration with ImageIntegration process", "CosmeticCorrection.useAutoDetect: true")


@pytest.mark.parametrize(
    ("lines", "process"),
    [
        ((CALIBRATION, *OTHERS), "ImageCalibration"),
        ((*OTHERS, CALIBRATION), "ImageCalibration"),
        (
            ("Overscan corrected", "Zero level correction image is Zero.fits"),
            "Zero level correction",
        ),
        (OTHERS, None),
        (("Dark corrected", "no bias correction"), None),
    ],
)
@pytest.mark.parametrize("long_text", ["", "x" * 200])
def test_a_bias_was_subtracted_wherever_history_says_so(
    tmp_path: Path, lines: tuple[str, ...], process: str | None, long_text: str
) -> None:
    header = fits.Header({"OBJECT": long_text})
    for line in lines:
        header["HISTORY"] = line
    fits.writeto(tmp_path / "x.fits", np.zeros((3, 4), np.uint16), header)
    assert read_cards(tmp_path / "x.fits").get(BIAS_HISTORY) == process
    inside = "".join(f'<FITSKeyword name="HISTORY" value="" comment="{line}"/>' for line in lines)
    assert read_cards(xisf(tmp_path / "x.xisf", inside)).get(BIAS_HISTORY) == process


@pytest.mark.parametrize(("switch", "process"), [("true", "ImageCalibration"), ("false", None)])
def test_the_parameters_of_a_calibration_say_whether_it_subtracted_a_bias(
    tmp_path: Path, switch: str, process: str | None
) -> None:
    text = (
        "&lt;process class=&quot;ImageIntegration&quot;/&gt;&lt;process class="
        "&quot;ImageCalibration&quot;&gt;&lt;parameter id=&quot;masterBiasEnabled&quot; "
        f"value=&quot;{switch}&quot;/&gt;"
    )
    cards = read_cards(xisf(tmp_path / "x.xisf", f"<{HISTORY}>{text}</Property>"))
    assert (cards["HISTORY"], cards.get(BIAS_HISTORY)) == ("ImageIntegration", process)


def test_a_master_bias_without_bias_is_of_no_use() -> None:
    (problem,) = traits_of(IMAGETYP="Bias Frame", CALSTAT="BM").problems
    assert problem.startswith("is a master bias from which a bias was subtracted (CALSTAT 'BM')")


# --- cubes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axes", "text"),
    [
        ({"NAXIS": 3, "NAXIS3": 10}, "series of 10 frames in one file (a cube); to use each"),
        ({"NAXIS": 3, "NAXIS3": 2}, "series of 2 frames"),
        ({"NAXIS": 4, "NAXIS3": 1, "NAXIS4": 25}, "series of 25 frames"),
        ({"NAXIS": 3, "NAXIS3": 3}, "colour image of 3 planes"),
    ],
)
def test_cubes_are_refused_as_series_of_frames(axes: dict[str, int], text: str) -> None:
    (problem,) = traits_of(**axes).problems
    assert text in problem
