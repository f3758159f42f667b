"""The ap-* tools: their reader in place of ours, and our masters before their rules.

``ap_common`` itself is not needed: a package of that name, with the behaviour that is documented
of it, stands in for it.
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
from calmasters.headers.image_header import read_cards
from calmasters.headers.keywords import describe
from calmasters.images.master_file import write_master
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.scan import scan_frames
from calmasters.model.master_record import header_cards
from calmasters.planning.planner import decide
from calmasters.settings import HeaderRules, Settings

MakeSettings = Callable[..., Settings]
AddFile = Callable[..., Path]

#: ap_common as documented: keys in its own words, all values text, the path over the header.
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
            words = part.split("_")
            headers.update(zip(words, words[1:]))
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
    """A package of that name that can be imported, while the test runs."""
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
def test_keywords_are_those_of_ap_common_in_our_words(
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
def test_the_path_wins_as_it_does_in_ap_common_unless_it_is_off(
    make_settings: MakeSettings, add_frame: AddFile, path_keywords: str, gain: int
) -> None:
    add_frame("GAIN_7/x.fits", "bias", {"GAIN": 5})
    settings = make_settings(header_reader="ap-common", path_keywords=path_keywords)
    (frame,) = read(settings).values()
    assert frame.keywords["GAIN"] == gain


@pytest.mark.usefixtures("ap_common")
def test_what_ap_common_cannot_read_is_refused_with_its_words(
    make_settings: MakeSettings, add_frame: AddFile
) -> None:
    add_frame("EXP_300s/x.fits", "dark")
    (frame,) = read(make_settings(header_reader="ap-common")).values()
    (problem,) = frame.problems
    assert problem == "cannot be read by ap_common: could not convert string to float: '300s'"


@pytest.mark.usefixtures("ap_common")
def test_masters_of_libraries_are_read_by_us(
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


def test_without_ap_common_the_run_stops_with_what_to_do(
    make_settings: MakeSettings, add_frame: AddFile
) -> None:
    add_frame("x.fits", "bias")
    with pytest.raises(ConfigError, match=r"ap_common, which cannot be imported.*header_reader"):
        read(make_settings(header_reader="ap-common"))


# --- our masters before their rules ---------------------------------------------------------------


def ap_rules(cards: Mapping[str, object], path: Path) -> dict[str, str]:
    """What the ap-* tools see in a file, by the documented rules; tokens of the path win."""
    found: dict[str, object] = dict(cards)
    for part in path.with_suffix("").parts:
        words = part.split("_")
        found |= {key: value for key, value in pairwise(words) if key}
        for word in words:
            key, dash, value = word.partition("-")
            if dash and not key.isnumeric():
                found[key] = value
    names = {"IMAGETYP": "TYPE", "SETTEMP": "SET-TEMP", "EXPTIME": "EXPOSURE"}
    return {names.get(key, key): str(value) for key, value in found.items()}


@pytest.mark.parametrize("layout", ["by-type", "ap-library"])
def test_masters_read_by_their_rules_have_the_keywords_that_we_read(
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
        ours = describe(read_cards(path), Path(job.master), HeaderRules()).traits.keywords
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


def test_a_file_that_is_damaged_is_refused_before_ap_common_sees_it(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "x.fits").write_text("The sky was clear.")
    (frame,) = read(make_settings(header_reader="ap-common")).values()
    assert frame.problems == ("is not a FITS file; copy it again, or leave it out (exclude)",)
