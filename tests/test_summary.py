from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from calmasters.plan import decide
from calmasters.settings import Settings
from calmasters.summary import summarize


@pytest.fixture
def sections(
    make_settings: Callable[..., Settings], tmp_path: Path, add_frame: Callable[..., Path]
) -> dict[str, list[str]]:
    """The summary of a night on which little went well, by title."""
    for number in range(3):
        add_frame(f"bias/{number}.fits", "bias", {"DATE-OBS": f"2026-01-15T20:00:0{number}"})
        add_frame(f"flat/{number}.fits", "flat", {"CCD-TEMP": 10.7})
        add_frame(f"light/{number}.fits", "light")
    for number in range(5):
        add_frame(f"gainless/{number}.fits", "dark", {"GAIN": None})
        (tmp_path / "frames" / f"{number}_empty.fits").touch()
    add_frame("dark/0.fits", "dark")
    add_frame("cloudy.fits", "flat")
    decision = decide(make_settings(exclude=["*cloudy*"]))
    found: dict[str, list[str]] = {}
    for line in summarize(decision).splitlines():
        if line and not line.startswith(" "):
            title = found.setdefault(line, [])
        elif line:
            title.append(line.removeprefix("  "))
    return found


def test_the_sections_are_in_the_order_of_use(sections: dict[str, list[str]]) -> None:
    assert list(sections) == [
        *("Frames", "Refused", "Left out", "Masters", "What to shoot next", "Warnings")
    ]


def test_frames_are_counted_by_type_and_status(sections: dict[str, list[str]]) -> None:
    assert [line.split(maxsplit=2) for line in sections["Frames"]] == [
        ["bias", "3", "(3 used)"],
        ["dark", "6", "(6 refused)"],
        ["flat", "3", "(3 used)"],
        ["light", "3", "(3 ignored)"],
        ["unknown", "6", "(1 ignored, 5 refused)"],
    ]


def test_refusals_are_grouped_by_what_would_mend_them(sections: dict[str, list[str]]) -> None:
    remedies = [line for line in sections["Refused"] if not line.startswith(" ")]
    assert [line.split(":")[0] for line in remedies] == ["5 frames", "5 frames", "1 frame"]
    assert any("add GAIN to optional_keywords" in line for line in remedies)
    assert "take at least 3 (minimum_frames)" in remedies[-1]
    assert sum("and 2 more, see inventory.csv" in line for line in sections["Refused"]) == 2
    assert sum("_empty.fits: is not a FITS file" in line for line in sections["Refused"]) == 3


def test_frames_left_out_on_purpose_are_counted_by_reason(
    sections: dict[str, list[str]],
) -> None:
    assert sections["Left out"] == ["3 frames: type light", "1 frame: exclude: *cloudy*"]


def test_masters_are_told_with_what_calibrates_them(sections: dict[str, list[str]]) -> None:
    bias, flat, used, warning = sections["Masters"]
    assert bias.startswith("masterBias_INSTRUME-ATR585M")
    assert flat.endswith(": 3 frames")
    assert used.lstrip().startswith("bias: masterBias_INSTRUME-ATR585M_")
    assert used.endswith("same settings; made in this run")
    assert warning.strip() == "no dark master: there is none at all"


def test_what_is_missing_is_told_with_the_settings_to_shoot_it_with(
    sections: dict[str, list[str]],
) -> None:
    small, lacking = sections["What to shoot next"]
    assert small.startswith("masterDark_EXPOSURE-60.00_")
    assert small.endswith("only 1 frame of this group")
    assert lacking.startswith("dark frames for masterFlat_FILTER-B_")
    settings = lacking.rpartition(": ")[2]
    assert settings == (
        "INSTRUME ATR585M, SET-TEMP -10.0, GAIN 100, OFFSET 150, READOUTM Low Noise"
    )


def test_warnings_of_frames_are_counted(sections: dict[str, list[str]]) -> None:
    assert sections["Warnings"] == ["3 frames: sensor at 10.7 C, set-point -10.0 C"]


def test_what_there_is_nothing_to_say_of_is_left_out(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    for number in range(3):
        add_frame(f"{number}.fits", "bias")
    text = summarize(decide(settings))
    assert [line for line in text.splitlines() if line and line[0] != " "] == ["Frames", "Masters"]
