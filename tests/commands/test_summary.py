from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from calmasters.commands.summary import causes_in, records_in, summarize
from calmasters.model.job import LeftOut
from calmasters.model.layout import quality_path
from calmasters.model.master_record import MasterRecord
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.planning.planner import decide
from calmasters.quality.quality_record import Finding, Histogram, Level, QualityRecord
from calmasters.settings import Settings


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
        *("Frames", "Refused", "Settings that make refused frames usable", "Left out"),
        *("Masters", "What to shoot next", "Warnings"),
    ]


def test_frames_are_counted_by_type_and_status(sections: dict[str, list[str]]) -> None:
    assert [line.split(maxsplit=2) for line in sections["Frames"]] == [
        ["bias", "3", "(3 used)"],
        ["dark", "6", "(6 refused)"],
        ["flat", "3", "(3 used)"],
        ["light", "3", "(3 ignored)"],
        ["unknown", "6", "(1 ignored, 5 refused)"],
    ]


def test_refusals_are_grouped_by_remedy(sections: dict[str, list[str]]) -> None:
    remedies = [line for line in sections["Refused"] if not line.startswith(" ")]
    assert [line.split(":")[0] for line in remedies] == ["5 frames", "5 frames", "1 frame"]
    assert any('set assume_keywords: {"ATR585M": {"GAIN": 100}}' in line for line in remedies)
    assert "take at least 3 (minimum_frames)" in remedies[-1]
    assert sum("and 2 more, see inventory.csv" in line for line in sections["Refused"]) == 2
    assert sum("_empty.fits: is not a FITS file" in line for line in sections["Refused"]) == 3


def test_the_settings_that_help_are_shown_as_yaml(sections: dict[str, list[str]]) -> None:
    text = "\n".join(sections["Settings that make refused frames usable"])
    assert yaml.safe_load(text) == {"assume_keywords": {"ATR585M": {"GAIN": 100}}}


def test_what_a_camera_does_not_write_is_reported_once(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    for number in range(6):
        add_frame(f"{number}.fits", "bias", {"INSTRUME": "SBIG ST-7", "GAIN": None, "OFFSET": None})
    sentence = "SBIG ST-7 writes no GAIN and no OFFSET; all its frames count as one setting"
    assert summarize(decide(settings)).count(sentence) == 1


def test_frames_left_out_on_purpose_are_counted_by_reason(
    sections: dict[str, list[str]],
) -> None:
    assert sections["Left out"] == ["3 frames: type light", "1 frame: exclude: *cloudy*"]


def test_masters_are_listed_with_what_calibrates_them(sections: dict[str, list[str]]) -> None:
    bias, small, flat, used, warning, small_too = sections["Masters"]
    assert bias.startswith("bias, ATR585M, -10 °C, gain 100: 3 frames, masters/bias/masterBias_")
    assert flat.startswith("flat B 2026-01-15, ATR585M, -10 °C, gain 100: 3 frames, masters/flat/")
    assert used.lstrip().startswith("bias: bias, ATR585M, -10 °C, gain 100; ")
    assert used.endswith("same settings; made in this run")
    assert warning.strip() == "no dark master: there is none at all"
    assert small == small_too
    assert "of 3 frames the rejection takes up to 2.3 %" in small


def test_what_is_missing_is_listed_with_the_settings_to_shoot_it_with(
    sections: dict[str, list[str]],
) -> None:
    small, lacking = sections["What to shoot next"]
    assert small.startswith("dark 60 s, ATR585M, -10 °C, gain 100: ")
    assert small.endswith("only 1 frame of this group: take at least 3 (minimum_frames)")
    assert lacking == (
        "dark frames with INSTRUME ATR585M, SET-TEMP -10.00, GAIN 100, OFFSET 150, READOUTM Low"
        " Noise, for flat B 2026-01-15, ATR585M, -10 °C, gain 100"
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


def test_flats_whose_dark_lacks_a_keyword_are_listed_with_what_joins_them(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    for number in range(3):
        add_frame(f"dark/{number}.fits", "dark")
        add_frame(f"flat/{number}.fits", "flat", {"READOUTM": None})
    text = summarize(decide(settings))
    (warning,) = (line for line in text.splitlines() if "no dark master matches" in line)
    assert "the nearest, masterDark_EXPOSURE-60.00_" in warning
    assert "READOUTM Low Noise against absent; if they belong together, name the card" in warning


def test_what_the_last_report_found_is_listed_by_cause(
    make_settings: Callable[..., Settings], add_frame: Callable[..., Path]
) -> None:
    for number in range(3):
        add_frame(f"bias/{number}.fits", "bias")
    settings = make_settings()
    decision = decide(settings)
    assert causes_in(decision, settings) == []
    (job,) = decision.jobs
    finding = Finding(Level.ERROR, "read noise: 60 e-", "electrical interference", "try a cable")
    record = QualityRecord(
        *(job.name, job.master, "bias", "d", Level.ERROR, {}, {}, [finding], [], []),
        histogram=Histogram([0.0, 1.0], [1]),
    )
    path = settings.output_dir / quality_path(job.name)
    path.parent.mkdir(parents=True)
    path.write_text(record.to_json(), encoding="utf-8")
    text = summarize(decision, causes_in(decision, settings))
    name = decision.short_names[job.master]
    assert "Found by the last report\n" in text
    assert f"  {name}: read noise: 60 e-; electrical interference: try a cable\n" in text


def test_what_the_engine_found_is_listed_with_the_master(
    make_settings: Callable[..., Settings],
    add_frame: Callable[..., Path],
    write_record: Callable[..., MasterRecord],
) -> None:
    for number in range(15):
        add_frame(f"bias/{number:02}.fits", "bias", {"DATE-OBS": f"2026-01-15T20:00:{number:02}"})
    settings = make_settings()
    decision = decide(settings)
    (job,) = decision.jobs
    bad = tuple(LeftOut(frame.path, "every pixel is 0") for frame in job.frames[:5])
    warning = MasterWarning(WarningKind.SAMPLES, "2 samples were not finite")
    record = write_record(job, settings.output_dir / job.master, warnings=(warning,), left_out=bad)
    assert record.left_out
    text = summarize(decision, records=records_in(decision, settings))
    assert f"{decision.short_names[job.master]}: 10 frames, {job.master}\n" in text
    assert "    2 samples were not finite\n" in text
    assert "    left out: bias/02.fits: every pixel is 0\n" in text
    assert f"    left out: 2 more, see {job.record}\n" in text
    # A master that is to be made again is not what its record says.
    add_frame("bias/15.fits", "bias", {"DATE-OBS": "2026-01-15T20:00:15"})
    assert records_in(decide(settings), settings) == {}
