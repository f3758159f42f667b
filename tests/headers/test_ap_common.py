"""Compatibility with the ap-* tools: their reader of keywords, and our masters read by their rules.

``ap_common`` is replaced by a stub with its documented behaviour.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from calmasters.errors import ConfigError
from calmasters.frame import Frame, Value
from calmasters.headers.dialects import read_keywords
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import write_master
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.scan import scan_frames
from calmasters.model.master_record import header_cards
from calmasters.planning.planner import decide
from calmasters.settings import HeaderRules, Settings

MakeSettings = Callable[..., Settings]
AddFile = Callable[..., Path]

#: The stub: own keys, all values are text, the path overrides the header.
AP_COMMON = """
from pathlib import Path
from calmasters.headers.image_header import read_cards

NAMES = {
    "IMAGETYP": "type", "INSTRUME": "camera", "SET-TEMP": "settemp", "SETTEMP": "settemp",
    "READOUTM": "readoutmode", "DATE-OBS": "date", "FILTER": "filter", "TELESCOP": "optic",
    "EXPOSURE": "exposureseconds", "EXPTIME": "exposureseconds", "EXP": "exposureseconds",
}

def get_fits_headers(filename, profileFromPath, normalize=True, file_naming_override=False,
                     directory_accept=None):
    assert profileFromPath is False and normalize
    headers = {key: str(value) for key, value in read_cards(Path(filename)).items()}
    if file_naming_override:
        for part in Path(filename).with_suffix("").parts:
            tokens = part.split("_")
            headers.update(zip(tokens, tokens[1:]))
    output = {}
    for key, value in headers.items():
        name = NAMES.get(key, key.lower())
        if name in ("settemp", "exposureseconds"):
            value = "{:.2f}".format(float(value))
        elif name == "type":
            value = value.upper()
        elif name == "date":
            value = value[:10]
        output[name] = value
    return output

get_xisf_headers = get_fits_headers
"""


@pytest.fixture
def ap_common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the stub importable during a test."""
    package = tmp_path / "site" / "ap_common"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "fits.py").write_text(AP_COMMON)
    monkeypatch.syspath_prepend(package.parent)
    yield
    for name in ("ap_common", "ap_common.fits"):
        sys.modules.pop(name, None)


def read(settings: Settings) -> dict[str, Frame]:
    frames = HeaderCache(settings).read(scan_frames(settings), settings.input_dir)
    return {frame.path: frame for frame in frames}


@pytest.mark.usefixtures("ap_common")
def test_keywords_of_ap_common_become_canonical_keywords(
    make_settings: MakeSettings, add_frame: AddFile
) -> None:
    add_frame("x.fits", "flat", {"DATE-OBS": "2026-01-16T03:00:00", "USBLIMIT": 50})
    settings = make_settings(header_reader="ap-common", optional_keywords=["USBLIMIT"])
    assert read(settings)["x.fits"].keywords == {
        "TYPE": "flat",
        "INSTRUME": "ATR585M",
        "SET-TEMP": -10.0,
        "GAIN": 100,
        "OFFSET": 150,
        "READOUTM": "Low Noise",
        "DATE": "2026-01-16",
        "FILTER": "B",
        "EXPOSURE": 1.5,
        "TELESCOP": "Refractor 80",
        "FOCALLEN": 384,
        "USBLIMIT": "50",
    }


@pytest.mark.usefixtures("ap_common")
@pytest.mark.parametrize(("path_keywords", "gain"), [("fallback", 7), ("override", 7), ("off", 5)])
def test_the_path_overrides_the_header_unless_path_keywords_is_off(
    make_settings: MakeSettings, add_frame: AddFile, path_keywords: str, gain: int
) -> None:
    add_frame("GAIN_7/x.fits", "bias", {"GAIN": 5})
    settings = make_settings(header_reader="ap-common", path_keywords=path_keywords)
    (frame,) = read(settings).values()
    assert frame.keywords["GAIN"] == gain


@pytest.mark.usefixtures("ap_common")
def test_frames_that_ap_common_cannot_read_are_refused_with_its_message(
    make_settings: MakeSettings, add_frame: AddFile
) -> None:
    add_frame("EXP_300s/x.fits", "dark")
    (frame,) = read(make_settings(header_reader="ap-common")).values()
    (problem,) = frame.problems
    assert problem == "cannot be read by ap_common: could not convert string to float: '300s'"


@pytest.mark.usefixtures("ap_common")
def test_masters_of_libraries_are_read_without_ap_common(
    make_settings: MakeSettings, add_frame: AddFile, add_master: AddFile, tmp_path: Path
) -> None:
    for number in range(3):
        add_frame(f"{number}.fits", "flat")
    add_master("GAIN_7/bias.xisf", "bias")
    settings = make_settings(
        header_reader="ap-common", library={"bias": [str(tmp_path / "GAIN_7")]}
    )
    (flat,) = decide(settings).jobs
    assert flat.bias is not None


def test_without_ap_common_the_run_fails_with_a_remedy(
    make_settings: MakeSettings, add_frame: AddFile
) -> None:
    add_frame("x.fits", "bias")
    with pytest.raises(ConfigError, match=r"ap_common, which cannot be imported.*header_reader"):
        read(make_settings(header_reader="ap-common"))


# --- our masters read by their rules --------------------------------------------------------------


def ap_rules(cards: Mapping[str, object], path: Path) -> dict[str, str]:
    """Keywords by the documented rules of the ap-* tools; the path overrides the header."""
    keywords: dict[str, object] = dict(cards)
    for part in path.with_suffix("").parts:
        tokens = part.split("_")
        keywords |= {key: value for key, value in pairwise(tokens) if key}
        for token in tokens:
            key, dash, value = token.partition("-")
            if dash and not key.isnumeric():
                keywords[key] = value
    names = {"IMAGETYP": "TYPE", "SETTEMP": "SET-TEMP", "EXPTIME": "EXPOSURE"}
    return {names.get(key, key): str(value) for key, value in keywords.items()}


@pytest.mark.parametrize("layout", ["by-type", "ap-library"])
def test_masters_read_by_their_rules_have_our_keywords(
    make_settings: MakeSettings, add_frame: AddFile, tmp_path: Path, layout: str
) -> None:
    for kind in ("bias", "dark", "flat"):
        for number in range(3):
            add_frame(f"{kind}/{number}.fits", kind)
    for job in decide(make_settings(layout=layout)).jobs:
        path = tmp_path / job.master
        path.parent.mkdir(parents=True)
        write_master(path, np.zeros((3, 4), np.float32), header_cards(job))
        theirs = ap_rules(read_cards(path), Path(job.master))
        ours = read_keywords(read_cards(path), Path(job.master), HeaderRules()).traits.keywords
        assert theirs["TYPE"].upper() == f"MASTER {job.type.value.upper()}"
        assert "UNKNOWN" not in theirs.values()
        for keyword, value in ours.items():
            if keyword not in ("TYPE", "DATE"):
                assert same(theirs[keyword], value), keyword
        if job.type.value == "flat":
            assert theirs["DATE"] == job.keywords["DATE"]


def same(text: str, value: Value) -> bool:
    return float(text) == value if isinstance(value, int | float) else text == value


def test_the_library_tree_is_that_of_the_ap_tools(
    make_settings: MakeSettings, add_frame: AddFile
) -> None:
    for kind in ("bias", "dark", "flat"):
        for number in range(3):
            add_frame(f"{kind}/{number}.fits", kind)
    lists = {"flat": [*_FLAT_KEYS, "TELESCOP", "FOCALLEN"]}
    decision = decide(make_settings(layout="ap-library", required_keywords=lists))
    settings = "GAIN_100_OFFSET_150_SETTEMP_-10.00"
    assert [job.master for job in decision.jobs] == [
        f"masters/MASTER BIAS/ATR585M/masterBias_{settings}_READOUTM_Low Noise.xisf",
        f"masters/MASTER DARK/ATR585M/masterDark_EXPOSURE_60.00_{settings}_READOUTM_Low Noise.xisf",
        f"masters/MASTER FLAT/ATR585M/Refractor 80/DATE_2026-01-15/masterFlat_FILTER_B_{settings}"
        "_FOCALLEN_384_READOUTM_Low Noise.xisf",
    ]


_FLAT_KEYS = ("TYPE", "INSTRUME", "SET-TEMP", "GAIN", "OFFSET", "READOUTM", "DATE", "FILTER")


def test_a_damaged_file_is_refused_without_ap_common(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "x.fits").write_text("The sky was clear.")
    (frame,) = read(make_settings(header_reader="ap-common")).values()
    assert frame.problems == ("is not a FITS file; copy it again, or leave it out (exclude)",)
