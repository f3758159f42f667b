"""Pictures of masters: stretched, small, and known to be blank where nothing can be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_content import image_of

from calmasters.reporting.pictures import (
    Pictures,
    auto_stretch,
    is_blank,
    sections,
    write_pictures,
)


def test_the_stretch_maps_the_median_to_a_quarter() -> None:
    image = image_of((200, 300))
    stretched = auto_stretch(image)
    assert np.median(stretched) == pytest.approx(0.25 * 255, abs=1)
    order = np.argsort(image, axis=None)
    assert (np.diff(stretched.ravel()[order].astype(int)) >= 0).all()


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_constant_image_is_stretched(level: float) -> None:
    assert auto_stretch(np.full((8, 8), level, np.float32)).shape == (8, 8)


def test_sections_are_pixels_of_the_master() -> None:
    image = np.random.default_rng(1).integers(0, 255, (1500, 2000), np.uint8)
    mosaic = sections(image)
    np.testing.assert_array_equal(mosaic[:200, :200], image[:200, :200])
    np.testing.assert_array_equal(mosaic[-200:, -200:], image[-200:, -200:])
    np.testing.assert_array_equal(mosaic[202:402, 202:402], image[650:850, 900:1100])


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_previews_are_small_enough_for_a_page(tmp_path: Path) -> None:
    pictures = Pictures.of(tmp_path, "m.1")
    pictures.full.parent.mkdir()
    write_pictures(image_of((1200, 2000)), pictures)
    assert pictures.full == tmp_path / "quality" / "m.1.jpg"
    sizes = {path.name: size_of(path) for path in pictures.full.parent.iterdir()}
    assert sizes["m.1.jpg"] == (2000, 1200)
    assert sizes["m.1_overview.webp"] == (667, 400)
    assert sizes["m.1_sections.webp"] == (604, 604)
    assert sizes["m.1_structure.webp"] == (500, 300)
    assert sum(path.stat().st_size for path in tmp_path.glob("quality/*.webp")) < 300_000


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_a_constant_master_has_blank_pictures(tmp_path: Path, level: float) -> None:
    pictures = Pictures.of(tmp_path, "constant")
    pictures.full.parent.mkdir()
    write_pictures(np.full((40, 60), level, np.float32), pictures)
    assert is_blank(pictures.overview)
    assert is_blank(pictures.structure)


def test_structures_are_blank_until_they_can_be_seen(tmp_path: Path) -> None:
    pictures = Pictures.of(tmp_path, "flat")
    pictures.full.parent.mkdir()
    for depth, blank in ((0.0005, True), (0.01, False)):
        image = np.full((200, 300), 0.4, np.float32)
        image[80:120, 130:170] *= 1 - depth
        write_pictures(image, pictures)
        assert is_blank(pictures.structure) is blank
        assert not is_blank(pictures.overview)
