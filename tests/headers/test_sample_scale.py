"""How a header says that samples are to be read: scale, sign, order of the rows."""

from __future__ import annotations

from typing import Any

import pytest

from calmasters.errors import FrameError
from calmasters.headers.fits_cards import ImageHeader
from calmasters.headers.sample_scale import (
    bounds_of,
    has_floats,
    has_own_scale,
    is_plain,
    is_signed,
    reading_of,
)

UNSIGNED = {"BITPIX": 16, "BZERO": 32768}


def header(packing: str = "", bounds: str = "", **cards: Any) -> ImageHeader:
    attributes = {"bounds": bounds} if bounds else {}
    return ImageHeader(cards, 2880, 5760, packing, attributes)


@pytest.mark.parametrize(
    ("cards", "plain"),
    [
        (UNSIGNED, True),
        ({**UNSIGNED, "BSCALE": 1.0, "ROWORDER": "TOP-DOWN"}, True),
        ({**UNSIGNED, "BITPIX": 32}, False),
        ({"BZERO": 32768}, False),
        ({"BITPIX": 16}, False),
        ({**UNSIGNED, "BZERO": 0}, False),
        ({**UNSIGNED, "BSCALE": 2}, False),
        ({**UNSIGNED, "ROWORDER": "BOTTOM-UP"}, False),
    ],
)
def test_most_frames_are_unsigned_and_have_the_top_row_first(
    cards: dict[str, Any], plain: bool
) -> None:
    assert is_plain(header(**cards)) is plain


@pytest.mark.parametrize(
    ("cards", "reading"),
    [
        (UNSIGNED, ()),
        ({"BITPIX": 8}, ()),
        ({"BITPIX": -32}, ()),
        ({"BITPIX": 16}, ("signed",)),
        ({"BITPIX": 32}, ("signed",)),
        ({"BITPIX": 16, "BZERO": 0.0, "BSCALE": 1.0}, ("signed",)),
        ({"BITPIX": 16, "BSCALE": 2}, ()),
        ({"BITPIX": 32, "BZERO": 1 << 31}, ()),
        ({"BITPIX": "16"}, ()),
        ({**UNSIGNED, "ROWORDER": " bottom-up "}, ("bottom-up",)),
        ({**UNSIGNED, "ROWORDER": "TOP-DOWN"}, ()),
        ({**UNSIGNED, "ROWORDER": True}, ()),
        ({"BITPIX": 16, "ROWORDER": "BOTTOM-UP"}, ("signed", "bottom-up")),
    ],
)
def test_what_is_not_read_plainly_has_a_name_that_jobs_keep(
    cards: dict[str, Any], reading: tuple[str, ...]
) -> None:
    assert (*reading_of(header(**cards)),) == reading
    assert is_signed(cards) is ("signed" in reading)


@pytest.mark.parametrize(
    ("cards", "floats", "own_scale"),
    [
        ({"BITPIX": -32}, True, True),
        ({"BITPIX": -64}, True, True),
        ({"BITPIX": 16}, False, False),
        ({"BITPIX": 8}, False, False),
        ({"BITPIX": 32}, False, True),
        ({"BITPIX": 32, "BSCALE": 1.0, "BZERO": 0.0}, False, True),
        ({"BITPIX": 32, "BZERO": 1 << 31}, False, True),
        ({"BITPIX": 32, "BZERO": 32768}, False, False),
        ({"BITPIX": 32, "BSCALE": 2}, False, False),
        ({}, False, False),
    ],
)
def test_floats_and_integers_of_32_bits_have_a_range_of_their_own(
    cards: dict[str, Any], floats: bool, own_scale: bool
) -> None:
    assert has_floats(cards) is floats
    assert has_own_scale(header(**cards)) is own_scale
    # The attributes of an XISF file say which range its floating-point samples have.
    assert has_own_scale(header("xisf", **cards)) is (own_scale and not floats)


@pytest.mark.parametrize(
    ("bounds", "expected", "reading"),
    [
        ("", (0.0, 1.0), ()),
        ("0:1", (0.0, 1.0), ()),
        ("0:65535", (0.0, 65535.0), ("bounds 0:65535",)),
        ("-0.5:1e-3", (-0.5, 0.001), ("bounds -0.5:0.001",)),
    ],
)
def test_floats_of_xisf_files_have_bounds(
    bounds: str, expected: tuple[float, float], reading: tuple[str, ...]
) -> None:
    image = header("xisf", bounds, BITPIX=-32)
    assert bounds_of(image) == expected
    assert (*reading_of(image),) == reading
    # A ROWORDER there is that of a FITS file before.
    turned = header("xisf", bounds, BITPIX=-32, ROWORDER="BOTTOM-UP")
    assert (*reading_of(turned),) == reading


def test_other_samples_have_no_bounds() -> None:
    assert bounds_of(header("xisf", "0:65535", BITPIX=16)) == (0.0, 1.0)
    assert bounds_of(header("", "0:65535", BITPIX=-32)) == (0.0, 1.0)
    assert bounds_of(header("", "wrong", BITPIX=16)) == (0.0, 1.0)


@pytest.mark.parametrize(
    "bounds", ["1", "0:1:2", "a:1", "0:b", "1:1", "2:1", "0:inf", "-1.5e308:1.5e308"]
)
def test_wrong_bounds_are_refused(bounds: str) -> None:
    with pytest.raises(FrameError, match=f"has the bounds '{bounds}'; they must be two numbers"):
        bounds_of(header("xisf", bounds, BITPIX=-32))
