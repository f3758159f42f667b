from __future__ import annotations

import pytest

from calmasters.frame import FrameType, Geometry, Value, format_value


@pytest.mark.parametrize(
    ("keyword", "value", "text"),
    [
        ("SET-TEMP", -10, "-10.00"),
        ("SET-TEMP", -0.001, "0.00"),
        ("CCD-TEMP", -9.956, "-9.96"),
        ("EXPOSURE", 300, "300.00"),
        ("EXPOSURE", 1.5, "1.50"),
        ("EXPOSURE", 0.0015, "0.0015"),
        ("EXPOSURE", 0.000032, "0.000032"),
        ("EXPOSURE", 1.0000000001, "1.00"),
        ("EXPOSURE", 0.0, "0.00"),
        ("GAIN", 100, "100"),
        ("GAIN", 100.0, "100"),
        ("GAIN", 0.46, "0.46"),
        ("GAIN", "High", "High"),
        ("FILTER", "1.50", "1.50"),
    ],
)
def test_equal_values_are_written_the_same(keyword: str, value: Value, text: str) -> None:
    assert format_value(keyword, value) == text


def test_a_geometry_as_text() -> None:
    assert str(Geometry(3840, 2160, 2, 1, "RGGB")) == "3840x2160 binned 2x1 RGGB"
    assert str(Geometry(4, 3)) == "4x3 binned 1x1"


def test_masters_have_the_imagetyp_of_other_programs() -> None:
    assert FrameType.FLAT.master_name == "Master Flat"
