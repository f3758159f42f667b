"""The master before this one, of the same setting: where it is, and what changed since."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from calmasters.atomic_files import put_in_place, remove, replacing
from calmasters.errors import CalmastersError, RecordError
from calmasters.frame import FrameType
from calmasters.headers.fits_cards import number_of
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import read_image
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.scan import scan_library
from calmasters.model.job import MasterJob
from calmasters.model.layout import MEASURED, PREVIOUS_MASTERS, record_path
from calmasters.model.master_record import MasterRecord
from calmasters.quality.changes import Changes, Sketch, compare
from calmasters.quality.judgement import check_ranges, worst_level
from calmasters.quality.quality_record import Finding, Level, QualityRecord, Range
from calmasters.quality.sample import Float32
from calmasters.quality.trend import has_setting
from calmasters.settings import Settings

__all__ = ["MeasuredMaster", "keep", "with_changes"]

#: Numbers that hold the noise of one frame; the first one that a master has.
_NOISE: Final = ("noise_adu", "read_noise_adu")

_REBUILT: Final = "the version of it before"


@dataclass(frozen=True)
class MeasuredMaster:
    """A master with its numbers, to be compared with the one before.

    Attributes
    ----------
    job : MasterJob
    image : (height, width) array of float32
        In [0, 1].
    quality : QualityRecord
    settings : Settings
    night_before : Path or None
        The master of the night before, with the same settings.
    """

    job: MasterJob
    image: Float32
    quality: QualityRecord
    settings: Settings
    night_before: Path | None = None

    @cached_property
    def sketch(self) -> Sketch:
        """What is kept of it."""
        numbers = self.quality.numbers
        noise = next((numbers[name] for name in _NOISE if name in numbers), 0.0)
        return Sketch.of(
            self.image,
            self.job.type,
            self.job.geometry,
            self.quality.digest,
            round(numbers["frames"]),
            noise,
        )

    @property
    def kept(self) -> tuple[Path, Path]:
        """Where sketches are: of this master as it was measured last, and of another version."""
        path = self.settings.output_dir / MEASURED / f"{self.job.name}.npz"
        return path, path.with_name(f"{path.stem}.before.npz")


def with_changes(measured: MeasuredMaster) -> tuple[QualityRecord, Changes | None]:
    """Add what changed since the master before to the numbers of a master.

    Returns
    -------
    quality : QualityRecord
        As it was, if there is no master before.
    changes : Changes or None
    """
    quality, now = measured.quality, measured.sketch
    for name, before in _earlier(measured, now):
        changes = compare(
            now, before, measured.job.type, mosaic=measured.job.geometry.bayerpat is not None
        )
        if changes:
            return _judged(measured, name, changes), changes
    return quality, None


def _judged(measured: MeasuredMaster, name: str, changes: Changes) -> QualityRecord:
    quality, numbers = measured.quality, dict(changes.numbers())
    configured = measured.settings.quality.ranges[quality.type]
    ranges: Mapping[str, Range] = {each: configured[each] for each in numbers if each in configured}
    # A camera may change: that is to be known, but does not make this master bad.
    found = [
        replace(finding, level=Level.WARNING, found=f"compared with {name}: {finding.found}")
        for finding in check_ranges(numbers, ranges)
    ]
    if changes.dust and changes.dust.share:
        share, depth = (100 * each for each in changes.dust)
        text = f"dust moved since {name}: {share:.2g} % of the area, up to {depth:.2g} %"
        found.append(Finding(Level.NOTE, text, number="dust_moved_percent"))
    findings = [*quality.findings, *found]
    return replace(
        quality,
        numbers={**quality.numbers, **numbers},
        ranges={**quality.ranges, **ranges},
        findings=findings,
        verdict=worst_level(findings),
        previous=name,
    )


def keep(measured: MeasuredMaster) -> None:
    """Keep the sketch of a master that was measured; that of another version of it stays, too."""
    path, before = measured.kept
    now, last = measured.sketch, Sketch.load(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if last and last.digest != now.digest:
        put_in_place(path, before)
    else:
        remove(path)
    with replacing(path) as file:
        now.save(file)


def _earlier(measured: MeasuredMaster, now: Sketch) -> Iterator[tuple[str, Sketch]]:
    """Return masters before this one with their names, the nearest first."""
    for path in measured.kept:
        sketch = Sketch.load(path)
        if sketch and sketch.digest != now.digest:
            yield _REBUILT, sketch
    saved = measured.settings.output_dir / PREVIOUS_MASTERS / measured.job.master
    if saved.is_file() and (sketch := _read(saved, measured, now)) and sketch.digest != now.digest:
        yield _REBUILT, sketch
    if measured.night_before and (sketch := _read(measured.night_before, measured, now)):
        yield measured.night_before.stem, sketch
    if measured.job.type is not FrameType.FLAT:
        for path in _in_library(measured):
            if sketch := _read(path, measured, now):
                yield path.as_posix(), sketch


def _read(path: Path, measured: MeasuredMaster, now: Sketch) -> Sketch | None:
    """Make the sketch of a master's file; None if it cannot be compared."""
    try:
        image, _ = read_image(path)
        frames, digest = _combined(path)
    except (OSError, CalmastersError):
        return None
    geometry = measured.job.geometry
    if image.shape != (geometry.height, geometry.width):
        return None
    made = (measured.job.type, geometry, digest, frames or now.frames, now.noise_adu)
    sketch = Sketch.of(image, *made)
    if measured.job.type is not FrameType.FLAT:
        return sketch
    # Shot noise rises with the square root of the level.
    levels = [max(1.0, float(np.median(each.rows))) for each in (sketch, now)]
    return replace(sketch, noise_adu=now.noise_adu * math.sqrt(levels[0] / levels[1]))


def _combined(path: Path) -> tuple[int, str]:
    """Return the number of frames of a master, 0 if unknown, and the digest of its job."""
    try:
        record = MasterRecord.read(Path(record_path(str(path))))
        return len(record.frames), record.made_of.digest
    except (OSError, RecordError):
        return round(number_of(read_cards(path).get("NCOMBINE")) or 0), ""


def _in_library(measured: MeasuredMaster) -> Iterator[Path]:
    """Return masters of the library with the same setting, the newest first."""
    settings = measured.settings
    if not (settings.library.bias or settings.library.dark):
        return
    try:
        frames = HeaderCache(settings).read(scan_library(settings), Path())
    except CalmastersError:
        return
    alike = [frame for frame in frames if has_setting(frame, measured.job)]
    for frame in sorted(alike, key=lambda each: str(each.keywords["DATE"]), reverse=True):
        yield Path(frame.path)
