from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from xisf import XISF

from calmasters.errors import FrameError
from calmasters.headers.fits_cards import Card
from calmasters.images.master_file import read_image, write_master

CARDS = [
    Card("IMAGETYP", "Master Bias", "type of image"),
    Card("INSTRUME", 'O\'Brien <&> "QHY"', "camera"),
    Card("GAIN", 100, "gain"),
    Card("CCD-TEMP", -9.75, "[degC]"),
    Card("COOLED", True, "a logical"),
    Card("HISTORY", "sigmaLow: 4.0"),
    Card("HISTORY", "sigmaHigh: 3.0"),
]
IMAGE = np.linspace(0, 1, 42, dtype=np.float32).reshape(6, 7)


def test_a_missing_file_is_a_frame_error(tmp_path: Path) -> None:
    with pytest.raises(FrameError):
        read_image(tmp_path / "missing.fits")
    with pytest.raises(FrameError):
        read_image(tmp_path / "missing.xisf")


def test_a_damaged_xisf_is_a_frame_error(tmp_path: Path) -> None:
    (tmp_path / "m.xisf").write_bytes(b"XISF0100" + bytes(100))
    with pytest.raises(FrameError, match="cannot be read as XISF"):
        read_image(tmp_path / "m.xisf")


@pytest.mark.parametrize("name", ["m.xisf", "m.fits"])
def test_a_master_is_read_back_to_the_bit(tmp_path: Path, name: str) -> None:
    write_master(tmp_path / name, IMAGE, CARDS)
    image, not_finite = read_image(tmp_path / name)
    np.testing.assert_array_equal(image, IMAGE)
    assert image.dtype == np.float32
    assert not_finite == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_xisf_masters_of_other_sample_formats_are_read(tmp_path: Path, dtype: type) -> None:
    unity = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    pixels = (IMAGE * unity).astype(dtype)
    XISF.write(str(tmp_path / "m.xisf"), pixels[:, :, None], codec="zlib")
    image, _ = read_image(tmp_path / "m.xisf")
    np.testing.assert_array_equal(image, (pixels / np.float64(unity)).astype(np.float32))


def test_a_colour_xisf_is_refused(tmp_path: Path) -> None:
    XISF.write(str(tmp_path / "m.xisf"), np.zeros((4, 5, 3), np.float32))
    with pytest.raises(FrameError, match="5 x 4 x 3"):
        read_image(tmp_path / "m.xisf")


def test_xisf_has_every_card_in_order_with_its_fits_quotes(tmp_path: Path) -> None:
    write_master(tmp_path / "m.xisf", IMAGE, CARDS)
    file = XISF(str(tmp_path / "m.xisf"))
    keywords = file.get_images_metadata()[0]["FITSKeywords"]
    assert list(keywords) == [*dict.fromkeys(card.keyword for card in CARDS)]
    assert keywords["GAIN"] == [{"value": "100", "comment": "gain"}]
    assert [k["comment"] for k in keywords["HISTORY"]] == ["sigmaLow: 4.0", "sigmaHigh: 3.0"]
    raw = (tmp_path / "m.xisf").read_bytes()
    assert b"""name="IMAGETYP" value="'Master Bias'" """ in raw
    assert b"O''Brien &lt;&amp;&gt; &quot;QHY&quot;" in raw
    assert b"""name="COOLED" value="T" """ in raw
    assert file.get_images_metadata()[0]["geometry"] == (7, 6, 1)
    assert "XISF:CreationTime" in file.get_file_metadata()


def test_xisf_with_a_header_longer_than_a_block_keeps_its_pixels(tmp_path: Path) -> None:
    cards = [*CARDS, *(Card("HISTORY", f"frame {i}: " + "x" * 60) for i in range(400))]
    write_master(tmp_path / "m.xisf", IMAGE, cards)
    np.testing.assert_array_equal(XISF(str(tmp_path / "m.xisf")).read_image(0)[:, :, 0], IMAGE)


def test_fits_has_every_card_in_order(tmp_path: Path) -> None:
    write_master(tmp_path / "m.fits", IMAGE, CARDS)
    with fits.open(tmp_path / "m.fits") as hdus:
        header = hdus[0].header
        np.testing.assert_array_equal(hdus[0].data, IMAGE)
    kept = [card for card in header.cards if card.keyword in {c.keyword for c in CARDS}]
    assert [(card.keyword, card.value) for card in kept] == [(c.keyword, c.value) for c in CARDS]
    assert header["BITPIX"] == -32


def test_a_master_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        write_master(tmp_path / "m.xisf", IMAGE, [None])  # type: ignore[list-item]
    assert not list(tmp_path.iterdir())
