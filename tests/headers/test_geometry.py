"""Size, binning, Bayer pattern and position of an image, as cards of many programs give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from calmasters.headers.fits_cards import CardValue
from calmasters.headers.geometry import IMAGE_CARDS, geometry_of, image_problems

PLAIN = {"NAXIS": 2, "NAXIS1": 56, "NAXIS2": 40, "BITPIX": 16}


@pytest.mark.parametrize(
    ("cards", "binning"),
    [
        ({}, (1, 1)),
        ({"XBINNING": 2, "YBINNING": 3}, (2, 3)),
        ({"CCDXBIN": 2, "CCDYBIN": 3}, (2, 3)),
        ({"BINX": 2, "BINY": 3}, (2, 3)),
        ({"HBIN": 2, "VBIN": 3}, (2, 3)),
        ({"BINNING": "2x3"}, (2, 3)),
        ({"CCDSUM": "2 3"}, (2, 3)),
        ({"XBINNING": 4, "BINNING": "2x3"}, (4, 3)),
        ({"XBINNING": 4, "CCDSUM": "2 3"}, (4, 3)),
        ({"XBINNING": 2}, (2, 2)),
        ({"CCDXBIN": 2.0}, (2, 2)),
        ({"BINNING": 2}, (2, 2)),
        ({"BINNING": "2*3"}, (2, 3)),
        ({"XBINNING": 0}, (1, 1)),
        ({"XBINNING": "none"}, (1, 1)),
    ],
)
def test_binning_is_read_from_the_cards_of_any_program(
    cards: dict[str, Any], binning: tuple[int, int]
) -> None:
    geometry = geometry_of({**PLAIN, **cards})
    assert geometry is not None
    assert (geometry.xbinning, geometry.ybinning) == binning


@pytest.mark.parametrize("card", ["BAYERPAT", "COLORTYP", "CFAIMAGE", "MOSAIC"])
@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GBRG", "GRBG"])
def test_a_bayer_pattern_is_read(card: str, pattern: str) -> None:
    geometry = geometry_of({**PLAIN, card: f" {pattern.lower()} "})
    assert geometry is not None
    assert geometry.bayerpat == pattern


@pytest.mark.parametrize("text", ["MONO", "", "RGB", True])
def test_other_texts_are_no_bayer_pattern(text: CardValue) -> None:
    geometry = geometry_of({**PLAIN, "BAYERPAT": text})
    assert geometry is not None
    assert geometry.bayerpat is None


@pytest.mark.parametrize(
    ("cards", "origin"),
    [
        ({}, (None, None)),
        *(
            ({x: 8, y: 6}, (8, 6))
            for x, y in (
                ("XORGSUBF", "YORGSUBF"),
                ("ROIX", "ROIY"),
                ("ROI_X", "ROI_Y"),
                ("STARTX", "STARTY"),
                ("XSTART", "YSTART"),
            )
        ),
        ({"ESO DET WIN1 STRX": 9, "ESO DET WIN1 STRY": 13}, (4, 4)),
        ({"DETSEC": "[9:120,13:132]"}, (4, 4)),
        ({"DETSEC": "[120:10,132:14]"}, (4, 4)),
        ({"CCDSEC": "[9:120,13:132]"}, (4, 4)),
        ({"SUBRECT": "9, 120, 132, 13"}, (4, 4)),
        ({"DETSEC": "[1:112,1:120]", "SUBRECT": "9, 120, 132, 13"}, (0, 0)),
        ({"DETSEC": "everything"}, (None, None)),
        ({"LTV1": -8.0, "LTV2": -6.4}, (8, 6)),
        ({"LTV1": 8, "LTV2": 6}, (0, 0)),
    ],
)
def test_the_position_on_the_sensor_is_in_binned_pixels_from_0(
    cards: dict[str, Any], origin: tuple[int | None, int | None]
) -> None:
    """Cards of programs give it in binned pixels from 0; sections in unbinned ones from 1."""
    geometry = geometry_of({**PLAIN, "XBINNING": 2, "YBINNING": 3, **cards})
    assert geometry is not None
    assert (geometry.xorigin, geometry.yorigin) == origin


@pytest.mark.parametrize("size", [(0, 40), (56, 0), (-56, 40), (56.0, 40), ("56", 40), (True, 40)])
def test_an_image_without_two_whole_axes_has_no_geometry(size: tuple[Any, Any]) -> None:
    cards = {**PLAIN, "NAXIS1": size[0], "NAXIS2": size[1]}
    assert geometry_of(cards) is None
    (problem,) = image_problems(cards, None)
    assert problem == "contains no two-dimensional image (NAXIS 2); exclude it"


@pytest.mark.parametrize(
    ("cards", "problem"),
    [
        ({}, ""),
        ({"NAXIS": 3, "NAXIS3": 1}, ""),
        ({"NAXIS": 1}, "contains no two-dimensional image (NAXIS 1)"),
        ({"NAXIS": 5}, "contains no two-dimensional image (NAXIS 5)"),
        ({"NAXIS": 4, "NAXIS3": 1, "NAXIS4": 1}, "contains no two-dimensional image (NAXIS 4)"),
        ({"NAXIS": 3, "NAXIS3": 0}, "is a colour image of 0 planes"),
        ({"NAXIS": 3, "NAXIS3": 3}, "is a colour image of 3 planes"),
        ({"NAXIS": 3, "NAXIS3": 2}, "is a series of 2 frames"),
        *(({"BITPIX": bits}, "") for bits in (8, 16, 32, -32, -64)),
        *(
            ({"BITPIX": bits}, f"has an unknown sample format (BITPIX {bits})")
            for bits in (64, -16, 0, "16")
        ),
        ({"BZERO": 32768, "BSCALE": 1.0}, ""),
        ({"BZERO": "a"}, "is damaged: BZERO is a, which is not a number"),
        ({"BSCALE": "b"}, "is damaged: BSCALE is b, which is not a number"),
    ],
)
def test_what_is_no_raw_frame_is_said(cards: dict[str, Any], problem: str) -> None:
    found = [*image_problems({**PLAIN, **cards}, geometry_of({**PLAIN, **cards}))]
    assert len(found) == bool(problem)
    assert "".join(found).startswith(problem)


class NotedCards(Mapping[str, CardValue]):
    """Cards that note which of them were asked for."""

    def __init__(self, cards: Mapping[str, CardValue]) -> None:
        self._cards = cards
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> CardValue:
        self.asked.add(name)
        return self._cards[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._cards)

    def __len__(self) -> int:
        return len(self._cards)


def test_every_card_that_is_read_is_named_among_them() -> None:
    """Frames with equal values of these cards are read once."""
    cards = NotedCards({**PLAIN, "NAXIS": 3, "NAXIS3": 3})
    assert [*image_problems(cards, geometry_of(cards))]
    assert cards.asked == {*IMAGE_CARDS}
