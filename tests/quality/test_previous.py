"""Which master is the one before, and what the record says of the change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calmasters.frame import FrameType, Geometry, Value
from calmasters.headers.fits_cards import Card
from calmasters.images.master_file import write_master
from calmasters.model.job import MasterJob, Recipe
from calmasters.model.layout import PREVIOUS_MASTERS
from calmasters.quality.camera import previous_night
from calmasters.quality.previous import MeasuredMaster, keep, with_changes
from calmasters.quality.quality_record import Histogram, Level, QualityRecord
from calmasters.quality.sample import ADU, Float32
from calmasters.settings import Integration, Settings

SHAPE = (192, 256)
NOISE, FRAMES = 5.0, 9


def image(seed: int, level: float = 600.0, noise: float = NOISE) -> Float32:
    random = np.random.default_rng(seed)
    return (random.normal(level, noise / FRAMES**0.5, SHAPE) / ADU).astype(np.float32)


def with_spots(flat: Float32, row: int) -> Float32:
    changed = flat.copy()
    changed[row : row + 32, 64:96] *= 0.95
    return changed


def job_of(kind: FrameType, **keywords: Value) -> MasterJob:
    recipe = Recipe("native", 1, Integration(), None, "unit", "xisf")
    given: dict[str, Value] = {"TYPE": kind.value, "INSTRUME": "A", **keywords}
    return MasterJob(f"master_{kind}", kind, given, Geometry(*SHAPE[::-1]), (), {}, recipe)


def measured(
    settings: Settings, pixels: Float32, digest: str, kind: FrameType = FrameType.DARK, **more: Any
) -> MeasuredMaster:
    numbers = {"frames": float(FRAMES), "noise_adu": NOISE if kind is FrameType.DARK else 200.0}
    quality = QualityRecord(
        *("m", "m.xisf", kind.value, digest, Level.GOOD, numbers, {}, [], [], []), Histogram([], [])
    )
    return MeasuredMaster(job_of(kind), pixels, quality, settings, **more)


def write(path: Path, pixels: Float32, *cards: Card) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_master(path, pixels, [Card("IMAGETYP", "Master Dark"), *cards])
    return path


def test_a_rebuilt_master_is_compared_with_the_version_that_was_measured(
    settings: Settings,
) -> None:
    first = measured(settings, image(1), "first")
    assert with_changes(first) == (first.quality, None)
    keep(first)
    # The same master again: there is still none before.
    assert with_changes(first) == (first.quality, None)
    keep(first)
    second = measured(settings, image(2), "second")
    for _ in range(2):  # measured again, it is compared with the same one
        quality, changes = with_changes(second)
        keep(second)
        assert changes
        assert quality.previous == "the version of it before"
        assert quality.numbers["changed_percent"] < 0.05
        assert quality.verdict is Level.GOOD
        assert quality.numbers["change_adu"] == pytest.approx(0, abs=0.1)


def test_many_changed_pixels_are_a_warning_with_the_name_of_the_master_before(
    settings: Settings,
) -> None:
    keep(measured(settings, image(1), "first"))
    changed = image(2)
    changed[:, ::20] += np.float32(50 / ADU)
    quality, _ = with_changes(measured(settings, changed, "second"))
    (finding,) = quality.findings
    assert finding.level is Level.WARNING
    assert finding.number == "changed_percent"
    assert finding.found.startswith("compared with the version of it before: pixels that changed")
    assert quality.ranges["changed_percent"] == (None, 1)
    assert quality.verdict is Level.WARNING


def test_a_version_that_is_saved_for_this_run_counts_where_none_was_measured(
    settings: Settings,
) -> None:
    now = measured(settings, image(2), "second")
    saved = settings.output_dir / PREVIOUS_MASTERS / now.job.master
    write(saved, image(1, level=620.0), Card("NCOMBINE", FRAMES))
    quality, _ = with_changes(now)
    assert quality.previous == "the version of it before"
    assert quality.numbers["change_adu"] == pytest.approx(-20, abs=0.5)


def test_a_flat_is_compared_with_that_of_the_night_before(
    settings: Settings, tmp_path: Path
) -> None:
    before = write(tmp_path / "masterFlat_2026-01-15.xisf", with_spots(image(1, 30e3, 200), 16))
    now = with_spots(image(2, 20e3, 163), 120)
    quality, changes = with_changes(
        measured(settings, now, "d", FrameType.FLAT, night_before=before)
    )
    assert changes
    assert quality.previous == "masterFlat_2026-01-15"
    assert quality.numbers["dust_moved_percent"] == pytest.approx(
        100 * 2 * 32 * 32 / (SHAPE[0] * SHAPE[1]), rel=0.3
    )
    assert quality.numbers["dust_moved_depth_percent"] == pytest.approx(5, abs=1)
    (finding,) = quality.findings
    assert finding.level is Level.NOTE
    assert finding.found.startswith("dust moved since masterFlat_2026-01-15: ")
    assert quality.verdict is Level.GOOD
    assert "change_adu" not in quality.numbers


def test_the_newest_master_of_the_library_with_the_same_setting_counts(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    library = tmp_path / "library"
    for night, camera, level in (
        ("2025-01-01", "A", 500.0),
        ("2025-06-01", "A", 590.0),
        ("2025-12-01", "B", 800.0),
    ):
        cards = (
            Card("INSTRUME", camera),
            Card("NIGHT", night),
            Card("DATE-LOC", f"{night}T20:00:00"),
        )
        write(library / f"{camera}{night}.xisf", image(1, level), *cards, Card("NCOMBINE", FRAMES))
    settings = make_settings(library={"bias": [], "dark": [str(library)]})
    quality, _ = with_changes(measured(settings, image(2), "d"))
    assert quality.previous == (library / "A2025-06-01.xisf").as_posix()
    assert quality.numbers["change_adu"] == pytest.approx(10, abs=0.5)


def test_a_master_of_another_size_is_passed_over(settings: Settings, tmp_path: Path) -> None:
    before = write(tmp_path / "small.xisf", image(1)[:50])
    now = measured(settings, image(2), "d", night_before=before)
    assert with_changes(now) == (now.quality, None)
    damaged = tmp_path / "damaged.xisf"
    damaged.write_bytes(b"XISF0100")
    now = replace(now, night_before=damaged)
    assert with_changes(now) == (now.quality, None)


def test_the_night_before_has_the_same_settings() -> None:
    nights = [
        replace(job_of(FrameType.FLAT, FILTER=filter_, DATE=night), name=f"{filter_}{night}")
        for filter_ in ("B", "V")
        for night in ("2026-01-14", "2026-01-16", "2026-01-15")
    ]
    names = {job.name: (before := previous_night(job, nights)) and before.name for job in nights}
    assert names == {
        "B2026-01-14": None,
        "B2026-01-15": "B2026-01-14",
        "B2026-01-16": "B2026-01-15",
        "V2026-01-14": None,
        "V2026-01-15": "V2026-01-14",
        "V2026-01-16": "V2026-01-15",
    }
    assert previous_night(job_of(FrameType.BIAS), nights) is None
