from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from xisf import XISF

from calmasters import get_fits_headers, get_metadata_for_directory
from calmasters.errors import FrameError


def test_keywords_of_one_file(
    add_frame: Callable[..., Path],
) -> None:
    headers = get_fits_headers(add_frame("x.fits", "flat"))
    assert headers["SET-TEMP"] == -10.0
    assert headers == {
        "TYPE": "flat",
        "INSTRUME": "ATR585M",
        "SET-TEMP": -10.0,
        "GAIN": 100,
        "OFFSET": 150,
        "READOUTM": "Low Noise",
        "DATE": "2026-01-15",
        "FILTER": "B",
        "EXPOSURE": 1.5,
        "TELESCOP": "Refractor 80",
        "FOCALLEN": 384,
    }
    types = {key: type(value) for key, value in headers.items()}
    assert (types["EXPOSURE"], types["GAIN"], types["OFFSET"]) == (float, int, int)


def test_an_error_names_the_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text.fits").write_text("The sky was clear.")
    with pytest.raises(FrameError, match=r"text\.fits is not a FITS file"):
        get_fits_headers(str(tmp_path / "text.fits"))


def test_masters_of_a_library_can_be_filtered(
    tmp_path: Path, add_master: Callable[..., Path]
) -> None:
    wanted = add_master("library/2025/bias.xisf", "bias", {"DATE-OBS": "2025-11-01T20:00:00"})
    add_master("library/other.fits", "bias", {"GAIN": 240})
    add_master("library/dark.fits", "dark")
    add_master("library/.trash/bias.xisf", "bias")
    (tmp_path / "library" / "broken.xisf").write_bytes(b"XISF")
    (tmp_path / "library" / "notes.txt").write_text("GAIN 100")
    foreign = tmp_path / "library" / "foreign.XISF"
    keywords = {"IMAGETYP": "'MASTER BIAS'", "GAIN": "100.", "SET-TEMP": "-10.00", "OFFSET": "150"}
    metadata = {
        "FITSKeywords": {key: [{"value": text, "comment": ""}] for key, text in keywords.items()}
    }
    XISF.write(str(foreign), np.zeros((3, 4, 1), np.float32), image_metadata=metadata)

    flat = {"GAIN": 100, "SET-TEMP": -10.0, "OFFSET": 150}
    found = get_metadata_for_directory(
        str(tmp_path / "library"),
        filter_func=lambda m: (
            m.get("TYPE") == "master bias"
            and m.get("GAIN") == flat["GAIN"]
            and m.get("SET-TEMP") == flat["SET-TEMP"]
            and m.get("OFFSET") == flat["OFFSET"]
        ),
    )
    assert list(found) == [str(wanted), str(foreign)]
    assert found[str(wanted)]["DATE"] == "2025-11-01"
    assert len(get_metadata_for_directory(tmp_path / "library")) == 4


def test_a_missing_directory_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="nowhere is not a directory"):
        get_metadata_for_directory(tmp_path / "nowhere")
