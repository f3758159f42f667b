"""Every known camera with a frame as it writes them: with sections as its source has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from calmasters.frame_layout import Section
from calmasters.headers.fits_cards import ImageHeader
from calmasters.headers.geometry import geometry_of
from calmasters.headers.known_cameras import known_cameras
from calmasters.headers.layouts import FoundLayout, LayoutFinder
from calmasters.settings import LayoutRules

#: INSTRUME, size of the image, binning: kept samples, overscan.
FRAMES: dict[tuple[str, int, int, int], tuple[Section, tuple[Section, ...]]] = {
    ("Apogee Alta", 3085, 2048, 1): (Section(0, 3073, 0, 2048), (Section(3075, 3079, 0, 2048),)),
    ("Apogee USB/Net", 3085, 2048, 1): (
        Section(0, 3073, 0, 2048),
        (Section(3075, 3079, 0, 2048),),
    ),
    ("Apogee Alta", 1542, 1024, 2): (Section(0, 1536, 0, 1024), (Section(1538, 1539, 0, 1024),)),
    ("Apogee Aspen CG16M", 4109, 4096, 1): (Section(0, 4096, 0, 4096), ()),
    ("Apogee Aspen CG16M", 2054, 2048, 2): (Section(0, 2048, 0, 2048), ()),
}


def found(camera: str, width: int, height: int, **cards: Any) -> FoundLayout:
    size = {"NAXIS": 2, "NAXIS1": width, "NAXIS2": height, "BITPIX": 16}
    header = ImageHeader({**size, **cards}, 2880, 5760)
    finder = LayoutFinder(LayoutRules(), known_cameras())
    return finder.find(header, camera, geometry_of(header.cards))


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: "-".join(map(str, frame)))
def test_the_frame_of_a_known_camera_is_cut(frame: tuple[str, int, int, int]) -> None:
    camera, width, height, binning = frame
    result = found(camera, width, height, XBINNING=binning, YBINNING=binning)
    assert result.geometry is not None
    assert result.geometry.layout is not None
    (part,) = result.geometry.layout.parts
    assert (part.data, part.overscan) == FRAMES[frame]
    assert result.source == f"known camera {camera}"
    (warning,) = result.warnings
    assert f"cut as the known camera {camera} writes frames: set cameras" in warning


def test_every_known_camera_has_a_frame_here() -> None:
    assert {frame[0] for frame in FRAMES} == {*known_cameras()}


@pytest.mark.parametrize("camera", known_cameras())
def test_frames_of_another_size_are_plain(camera: str) -> None:
    assert found(camera, 3072, 2048).is_plain
    assert found(camera, 512, 512).is_plain


def test_entries_are_like_those_of_the_configuration_and_have_a_source(schema: Path) -> None:
    whole = yaml.safe_load(schema.read_text(encoding="utf-8"))
    cameras = {**whole["properties"]["cameras"], "$defs": whole["$defs"]}
    for camera, entry in known_cameras().items():
        assert entry["source"]
        plain = {key: value for key, value in entry.items() if key != "source"}
        assert "size" in plain
        jsonschema.validate({camera: plain}, cameras)
