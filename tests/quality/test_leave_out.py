"""Frames that stand out, as a configuration that leaves out exactly these."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from calmasters.quality.leave_out import (
    OddFrame,
    exclude_exactly,
    new_entries,
    odd_frames,
    write_leave_out,
)
from calmasters.quality.quality_record import FrameQuality, Histogram, Level, QualityRecord

BRIGHT, NOISY = OddFrame("Dark/a.fits", "its level is 700 ADU"), OddFrame("b.fits", "noise")


def record(frames: int, odd: int, name: str = "masterDark") -> QualityRecord:
    listed = [
        FrameQuality(f"{name}/{place}.fits", "", 600.0, None, None, "it differs" * (place < odd))
        for place in range(frames)
    ]
    return QualityRecord(
        *(name, "m.xisf", "dark", "d", Level.GOOD, {}, {}, [], listed, []), Histogram([], [])
    )


def write(path: Path, *frames: OddFrame, exclude: tuple[str, ...] = ()) -> list[str] | None:
    write_leave_out(path, frames, [], exclude)
    if not path.exists():
        return None
    stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert [*stored] == ["exclude"]
    listed: list[str] = stored["exclude"]
    return listed


def test_frames_that_stand_out_are_listed_with_their_copies() -> None:
    frames, kept = odd_frames([record(6, 1)], {"masterDark/0.fits": ["copy.fits"]}, 3)
    assert frames == [
        OddFrame("masterDark/0.fits", "it differs (masterDark)"),
        OddFrame("copy.fits", "is a copy of masterDark/0.fits"),
    ]
    assert not kept


@pytest.mark.parametrize(("frames", "odd"), [(4, 2), (9, 5)])
def test_a_master_is_not_left_without_frames(frames: int, odd: int) -> None:
    listed, kept = odd_frames([record(frames, odd), record(6, 0, "masterBias")], {}, 3)
    assert not listed
    assert len(kept) == 1
    assert f"{odd} of {frames} frames differ" in kept[0]


def test_a_pattern_is_taken_literally() -> None:
    assert exclude_exactly("a [1]*?.fits") == "/a [[]1][*][?].fits"
    # A byte that is no text, as Python reads it from a folder.
    assert exclude_exactly("a\udcff.fits") == "/a?.fits"


def test_what_is_excluded_already_stays_excluded(tmp_path: Path) -> None:
    path = tmp_path / "out B" / "leave_out.yaml"
    path.parent.mkdir()
    listed = write(path, BRIGHT, exclude=("*cloudy*",))
    assert listed == ["*cloudy*", "/Dark/a.fits"]
    text = path.read_text(encoding="utf-8")
    assert '"/Dark/a.fits"  # its level is 700 ADU' in text
    assert f"snakemake masters --configfile '{path}'" in text


def test_any_name_is_read_back_as_it_is(tmp_path: Path) -> None:
    names = ["quote'\".fits", "back\\slash.fits", "ünï # : {x}.fits", "emoji🌌.fits", "- a.fits"]
    listed = write(tmp_path / "f.yaml", *(OddFrame(name, "why\nso: # x") for name in names))
    assert listed == [f"/{name}" for name in names]


def test_without_odd_frames_there_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "leave_out.yaml"
    assert write(path) is None
    write(path, BRIGHT)
    assert write(path) is None


def test_a_file_that_is_in_use_stays_with_its_reasons(tmp_path: Path) -> None:
    path = tmp_path / "leave_out.yaml"
    write(path, BRIGHT)
    in_use = (exclude_exactly(BRIGHT.path),)
    assert write(path, exclude=in_use) == [*in_use]
    assert new_entries(path, in_use) == 0
    assert write(path, NOISY, exclude=in_use) == [*in_use, "/b.fits"]
    assert new_entries(path, in_use) == 1
    assert "its level is 700 ADU" in path.read_text(encoding="utf-8")


def test_a_line_that_was_made_a_comment_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "leave_out.yaml"
    write(path, BRIGHT, NOISY)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('  - "/b', '#  - "/b'), encoding="utf-8")
    assert write(path, BRIGHT, NOISY) == ["/Dark/a.fits"]
    assert new_entries(path, ()) == 1
    assert '# - "/b.fits"  # noise' in path.read_text(encoding="utf-8")
