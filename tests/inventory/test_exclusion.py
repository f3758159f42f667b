"""Which frames a pattern of ``exclude`` matches, and what one that matches none may mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from calmasters.frame import Status
from calmasters.inventory.exclusion import Places, below_input
from calmasters.planning.planner import decide
from calmasters.settings import Settings

PATHS = ("Night 1/flat_000.fits", "Night 1/flat_001.fits", "B [1].fits", "x/y/UP.Fits")


@pytest.mark.parametrize(
    "pattern", ["./bias/1.fits", "frames/bias/1.fits", "{}/bias/1.fits", "./*/1.fits"]
)
def test_a_pattern_may_begin_with_the_input_directory(
    make_settings: Callable[..., Settings],
    add_frame: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pattern: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        add_frame(f"bias/{number}.fits", "bias", {"DATE-OBS": f"2026-01-15T20:00:0{number}"})
    root = tmp_path / "frames"
    for input_dir in ("frames", str(root)):
        exclude = [pattern.format(root)]
        decision = decide(make_settings(input_dir=input_dir, exclude=exclude))
        left_out = [p for p, each in decision.verdicts.items() if each.status is Status.IGNORED]
        # Relative to the working directory, it begins with input_dir only where that is relative.
        if not (pattern.startswith("frames") and input_dir != "frames"):
            assert left_out == ["bias/1.fits"]
            assert decision.warnings == ()


def test_a_pattern_that_matches_as_it_is_stays() -> None:
    patterns = ("frames/a.fits", "frames/b.fits", "frames/c.fits", "frames", "./s.fits[2]")
    paths = ["frames/a.fits", "a.fits", "b.fits", "s.fits"]
    assert below_input(patterns, paths, Path("frames")) == (
        *("frames/a.fits", "/b.fits", "frames/c.fits", "frames", "/s.fits[2]"),
    )


@pytest.mark.parametrize(
    ("pattern", "nearest"),
    [
        ("flat_000", "flat_000.*"),
        ("FLAT_000.FITS", "flat_000.fits"),
        ("FLAT_*", "flat_*"),
        ("FLAT_000", "flat_000.*"),
        ("night 1/flat_000.fits", "Night 1/flat_000.fits"),
        ("up.fits", "UP.Fits"),
        ("B [1].fits", "B [[]1].fits"),
        ("/flat_000.fits", "flat_000.fits"),
        ("Night 1\\flat_000.fits", "Night 1/flat_000.fits"),
        ("Night 2/flat_001.fits", "/Night 1/flat_001.fits"),
        ("falt_000.fits", "flat_000.fits"),
        ("Nigth 1", "Night 1"),
        ("flat_002.fits", ""),
        ("Night 2/*", ""),
        ("dark*", ""),
        ("", ""),
    ],
)
def test_the_nearest_pattern_matches(pattern: str, nearest: str) -> None:
    places = Places(PATHS)
    assert places.nearest(pattern) == nearest
    assert not places.match(pattern)
    assert not nearest or places.match(nearest)
