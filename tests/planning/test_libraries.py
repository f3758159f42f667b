"""Masters of other programs, as bias and dark of our flats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from xisf import XISF

from calmasters.images.master_file import write_master
from calmasters.model.job import MasterJob
from calmasters.model.master_record import header_cards
from calmasters.planning.planner import Decision, decide
from calmasters.settings import Settings

MakeSettings = Callable[..., Settings]
AddFile = Callable[..., Path]
Keywords = Mapping[str, object]
Decided = Callable[[], Decision]

PIXELS = np.full((3, 4), 0.01, np.float32)
#: What every flat of ``add_frame`` was taken with.
CAMERA: Keywords = {"INSTRUME": "ATR585M", "GAIN": 100, "OFFSET": 150, "READOUTM": "Low Noise"}
COLD: Keywords = {**CAMERA, "SET-TEMP": -10.0}


def write_xisf(path: Path, keywords: Keywords) -> None:
    """A master as PixInsight writes it: several images, strings in quotes."""
    entries = {
        key: [{"value": f"'{value}'" if isinstance(value, str) else str(value), "comment": ""}]
        for key, value in keywords.items()
    }
    XISF.write(str(path), PIXELS[:, :, None], image_metadata={"FITSKeywords": entries})


def write_fits(path: Path, keywords: Keywords, image: np.ndarray = PIXELS) -> None:
    header = fits.Header()
    for key, value in keywords.items():
        header[key] = value
    fits.PrimaryHDU(image, header).writeto(path)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    directory = tmp_path / "library"
    directory.mkdir()
    return directory


@pytest.fixture
def decided(make_settings: MakeSettings, add_frame: AddFile, library: Path) -> Decided:
    """Decide for three flats of 1.5 s and whatever lies in the library."""

    def decide_now(**settings: object) -> Decision:
        for number in range(3):
            add_frame(f"{number}.fits", "flat")
        lists = {"bias": [str(library)], "dark": [str(library)]}
        return decide(make_settings(library=lists, **settings))

    return decide_now


def flat_of(decision: Decision) -> MasterJob:
    (flat,) = (job for job in decision.jobs if job.type.value == "flat")
    return flat


FROM_NAME = "EXPOSURE_1.50_SETTEMP_-10.00_GAIN_100_OFFSET_150_INSTRUME_ATR585M_READOUTM_Low Noise"

DARKS: Mapping[str, tuple[str, Callable[[Path, Keywords], None], Keywords]] = {
    "WBPP, exposure and binning in the name": (
        "masterDark_BIN-1_4x3_EXPOSURE-1.50s.xisf",
        write_xisf,
        {"IMAGETYP": "Master Dark", **COLD},
    ),
    "WBPP with grouping keywords in the name": (
        "masterDark_BIN-1_4x3_EXPOSURE-1.50s_GAIN-100_OFFSET-150_SETTEMP--10.00.xisf",
        write_xisf,
        {"IMAGETYP": "Master Dark", "INSTRUME": "ATR585M", "READOUTM": "Low Noise"},
    ),
    "ap-create-master, all in the name": (
        f"masterDark_{FROM_NAME}.xisf",
        write_xisf,
        {"IMAGETYP": "MASTER DARK"},
    ),
    "the ap-* library": (
        "MASTER DARK/ATR585M/masterDark_EXPOSURE_1.50_GAIN_100_OFFSET_150_SETTEMP_-10.00_"
        "READOUTM_Low Noise.xisf",
        write_xisf,
        {"IMAGETYP": "MASTER DARK", "INSTRUME": "ATR585M"},
    ),
    "no type but the name": ("masterDark.fit", write_fits, {**COLD, "EXPTIME": 1.5}),
    "Siril": (
        "dark_stacked.fit",
        write_fits,
        {"IMAGETYP": "DARK", "STACKCNT": 50, **COLD, "EXPTIME": 1.5},
    ),
    "ASIAIR": (
        "Dark_1.5s_Bin1_gain100_20260115.fit",
        write_fits,
        {"IMAGETYP": "Dark", "STACKCNT": 30, **COLD, "EXPTIME": 1.5, "EXPOSURE": 1.5},
    ),
    "Astro Pixel Processor": (
        "MD-ISO_100-1.5s.fits",
        write_fits,
        {"CALFRAME": "MasterDark", "NUMFRAME": 20, **COLD, "EXPTIME": 1.5},
    ),
}


@pytest.mark.parametrize(("name", "write", "keywords"), DARKS.values(), ids=DARKS)
def test_a_dark_of_another_program_serves(
    decided: Decided,
    library: Path,
    name: str,
    write: Callable[[Path, Keywords], None],
    keywords: Keywords,
) -> None:
    (library / name).parent.mkdir(parents=True, exist_ok=True)
    write(library / name, keywords)
    flat = flat_of(decided())
    assert flat.dark is not None
    assert Path(flat.dark.path) == library / name
    assert "exposure 1.5 s within 0.5 s" in flat.dark.why


def test_a_master_of_ours_made_before_serves(
    decided: Decided, make_settings: MakeSettings, add_frame: AddFile, library: Path
) -> None:
    paths = [add_frame(f"bias/{number}.fits", "bias") for number in range(3)]
    (job,) = decide(make_settings()).jobs
    write_master(library / Path(job.master).name, PIXELS, header_cards(job))
    for path in paths:
        path.unlink()
    flat = flat_of(decided())
    assert flat.bias is not None
    assert flat.bias.origin == "library"


def test_the_header_of_a_master_goes_before_its_name_also_where_the_path_overrides(
    decided: Decided, library: Path
) -> None:
    write_xisf(
        library / f"masterBias_{FROM_NAME.replace('Low Noise', 'other')}.xisf",
        {"IMAGETYP": "Master Bias", **COLD},
    )
    assert flat_of(decided()).bias is not None
    assert flat_of(decided(path_keywords="override")).bias is not None


def test_the_binning_in_a_name_tells_masters_of_two_apart(decided: Decided, library: Path) -> None:
    keywords = {"IMAGETYP": "Master Bias", **COLD}
    write_xisf(library / "masterBias_BIN-2_4x3.xisf", keywords)
    flat = flat_of(decided())
    assert flat.bias is None
    assert any("4x3 binned 2x2 against 4x3 binned 1x1" in warning.text for warning in flat.warnings)
    write_xisf(library / "masterBias_BIN-1_4x3.xisf", keywords)
    assert flat_of(decided()).bias is not None


def test_a_raw_frame_in_a_library_is_reported_and_not_used(decided: Decided, library: Path) -> None:
    write_fits(library / "dark_0001.fits", {"IMAGETYP": "DARK", **COLD, "EXPTIME": 1.5})
    decision = decided()
    assert flat_of(decision).dark is None
    (warning,) = decision.warnings
    assert "dark_0001.fits is not used" in warning


def test_without_a_bias_the_dark_flat_is_used_as_it_is_and_no_other(
    decided: Decided, library: Path
) -> None:
    write_xisf(library / "masterDark_EXPOSURE-300.00s.xisf", {"IMAGETYP": "Master Dark", **COLD})
    flat = flat_of(decided())
    assert (flat.bias, flat.dark, flat.optimize_dark) == (None, None, False)
    write_xisf(library / "masterDark_EXPOSURE-1.20s.xisf", {"IMAGETYP": "Master Dark", **COLD})
    flat = flat_of(decided())
    assert flat.dark is not None
    assert "exposure 1.2 s within 0.5 s of the flats' 1.5 s" in flat.dark.why
    assert not flat.optimize_dark


def write_library(tmp_path: Path, name: str, level: float, cards: Keywords) -> None:
    header = {"INSTRUME": "ATR585M", "SET-TEMP": -10.0, "GAIN": 100, "OFFSET": 150}
    folder = tmp_path / "lib"
    folder.mkdir(exist_ok=True)
    pixels = np.full((3, 4), level, np.uint16 if level >= 1 else np.float32)
    fits.writeto(folder / name, pixels, fits.Header({**header, "READOUTM": "Low Noise", **cards}))


@pytest.fixture
def with_library(
    tmp_path: Path, add_frame: Callable[..., Path], make_settings: Callable[..., Settings]
) -> Settings:
    for kind in ("bias", "flat"):
        for number in range(3):
            add_frame(f"{kind}/{number}.fits", kind)
    return make_settings(library={"bias": [], "dark": [str(tmp_path / "lib")]})


@pytest.mark.parametrize(("level", "is_used"), [(3, False), (12_000, True), (3e-5, False)])
def test_a_library_dark_is_used_if_its_level_includes_the_bias(
    tmp_path: Path, with_library: Settings, level: float, is_used: bool
) -> None:
    write_library(tmp_path, "d.fits", level, {"IMAGETYP": "Master Dark", "EXPTIME": 1.5})
    (flat,) = (job for job in decide(with_library).jobs if job.type.value == "flat")
    assert (flat.dark is not None) == is_used
    assert any("contains no bias" in warning.text for warning in flat.warnings) != is_used


def test_masters_marked_only_by_calstat_are_used(tmp_path: Path, with_library: Settings) -> None:
    cards = {"IMAGETYP": "Dark Frame", "EXPTIME": 1.5}
    write_library(tmp_path, "one.fits", 12_000, {**cards, "CALSTAT": "M"})
    write_library(tmp_path, "two.fits", 13_000, {**cards, "CALSTAT": "BM"})
    decision = decide(with_library)
    (flat,) = (job for job in decision.jobs if job.type.value == "flat")
    assert flat.dark is not None
    assert flat.dark.path.endswith("one.fits")
    assert decision.warnings == ()


@pytest.mark.parametrize(
    ("kind", "unit", "is_used"),
    [
        ("Bias", "adu", True),
        ("Bias", "electron", False),
        ("Bias", "e-", False),
        ("Dark", "electron", False),
        ("Dark", "adu/s", False),
    ],
)
def test_a_library_master_in_another_unit_than_raw_frames_is_reported_and_not_used(
    decided: Decided, library: Path, kind: str, unit: str, is_used: bool
) -> None:
    cards = {"IMAGETYP": f"Master {kind}", **COLD, "EXPTIME": 1.5 * (kind == "Dark")}
    write_fits(library / "m.fits", {**cards, "BUNIT": unit}, np.full((3, 4), 600, np.uint16))
    decision = decided()
    flat = flat_of(decision)
    assert bool(flat.bias or flat.dark) == is_used
    said = f"is a master {kind.lower()} whose samples are not ADU (BUNIT '{unit}'); use one in ADU"
    assert decision.warnings == (() if is_used else (f"library: {library / 'm.fits'} {said}",))


def test_a_library_dark_of_0_s_is_reported(tmp_path: Path, with_library: Settings) -> None:
    write_library(tmp_path, "d.fits", 12_000, {"IMAGETYP": "Master Dark", "EXPTIME": 0.0})
    (warning,) = decide(with_library).warnings
    assert "d.fits is not used: a dark of 0 s cannot be" in warning
