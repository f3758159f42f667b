from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from xisf import XISF

from calmasters.errors import FrameError
from calmasters.headers.fits_cards import REPEATED
from calmasters.headers.image_header import read_cards, read_header
from calmasters.headers.sample_scale import is_bottom_up


def write_xisf(
    path: Path, cards: Mapping[str, str], shape: tuple[int, int, int] = (3, 4, 1)
) -> Path:
    keywords = {key: [{"value": value, "comment": ""}] for key, value in cards.items()}
    XISF.write(str(path), np.zeros(shape, np.float32), image_metadata={"FITSKeywords": keywords})
    return path


def test_a_keyword_with_two_values_is_listed(tmp_path: Path) -> None:
    exposures = [{"value": value, "comment": ""} for value in ("0.0", "300.0")]
    path = tmp_path / "dark.xisf"
    metadata = {"FITSKeywords": {"EXPTIME": exposures}}
    XISF.write(str(path), np.zeros((3, 4, 1), np.float32), image_metadata=metadata)
    cards = read_cards(path)
    assert (cards["EXPTIME"], cards[REPEATED]) == (0.0, '{"EXPTIME": [0.0, 300.0]}')


def test_xisf_cards_have_their_types(tmp_path: Path) -> None:
    cards = {
        "IMAGETYP": "'Master Dark'",
        "OBSERVER": "'O''Neill / friends '",
        "FILTER": "Ha",
        "GAIN": "100",
        "SET-TEMP": "-1.00D+01",
        "SIMPLE": "T",
        "EMPTY": "",
        "NAXIS1": "9999",
        "HISTORY": "",
    }
    assert read_cards(write_xisf(tmp_path / "master.xisf", cards)) == {
        "IMAGETYP": "Master Dark",
        "OBSERVER": "O'Neill / friends",
        "FILTER": "Ha",
        "GAIN": 100,
        "SET-TEMP": -10.0,
        "SIMPLE": True,
        "NAXIS": 2,
        "NAXIS1": 4,
        "NAXIS2": 3,
        "NAXIS3": 1,
        "BITPIX": -32,
        "BZERO": 0,
    }


def test_the_order_of_rows_is_not_that_of_a_fits_file_before(tmp_path: Path) -> None:
    header = read_header(write_xisf(tmp_path / "x.xisf", {"ROWORDER": "'BOTTOM-UP'"}))
    assert header.cards["ROWORDER"] == "BOTTOM-UP"
    assert not is_bottom_up(header)


@pytest.mark.parametrize("bounds", ["0", "1:0", "0:0", "0:x", "0:1:2", "nan:1", "0:inf", ":"])
def test_bounds_that_are_no_range_are_refused(
    tmp_path: Path, write_bounded: Callable[..., None], bounds: str
) -> None:
    write_bounded(path := tmp_path / "x.xisf", np.zeros((3, 4)), bounds, {})
    with pytest.raises(FrameError, match=f"has the bounds '{bounds}'"):
        read_header(path)


def test_a_colour_xisf_has_three_planes(tmp_path: Path) -> None:
    cards = read_cards(write_xisf(tmp_path / "colour.XISF", {}, (3, 4, 3)))
    assert (cards["NAXIS"], cards["NAXIS3"]) == (3, 3)


def test_the_color_filter_array_of_an_xisf_image_is_its_bayer_pattern(tmp_path: Path) -> None:
    xml = (
        b'<xisf version="1.0" xmlns="http://www.pixinsight.com/xisf"><Image geometry="4:3:1" '
        b'sampleFormat="UInt16" location="attachment:4096:24">'
        b'<ColorFilterArray pattern="GRBG" width="2" height="2"/></Image></xisf>'
    )
    content = b"XISF0100" + len(xml).to_bytes(4, "little") + bytes(4) + xml
    path = tmp_path / "x.xisf"
    path.write_bytes(content)
    header = read_header(path)
    assert header.cards["BAYERPAT"] == "GRBG"
    assert (header.cards["BITPIX"], header.cards["BZERO"]) == (16, 32768)
    assert (header.data_offset, header.end_of_data) == (4096, 4120)


def test_an_unquoted_value_may_contain_a_slash(tmp_path: Path) -> None:
    cards = read_cards(write_xisf(tmp_path / "x.xisf", {"FILTER": "Ha/OIII"}))
    assert cards["FILTER"] == "Ha/OIII"
