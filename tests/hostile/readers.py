"""The readers of files: each with valid files, and what it must do with any other file."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any
from zlib import crc32

import numpy as np
import yaml
from hostile_files import HOSTILE, VALID

from calmasters.comparison.between_engines import EngineComparison
from calmasters.engine_check.cases import default_config
from calmasters.errors import ConfigError, FrameError, RecordError
from calmasters.headers.dialects import read_keywords
from calmasters.headers.image_header import read_header
from calmasters.images.master_file import read_image
from calmasters.images.raw_frame import RawFrame
from calmasters.inventory.checked_json import write_checked
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.scan import scan_frames
from calmasters.inventory.table import inventory_table, read_inventory
from calmasters.model.job import MasterJob, read_head
from calmasters.model.layout import CONTENT_DIGESTS, HEADER_CACHE
from calmasters.model.master_record import MasterRecord, warnings_in
from calmasters.planning.plan_file import Plan, write_plan
from calmasters.planning.planner import decide
from calmasters.quality.estimate import Estimate
from calmasters.quality.quality_record import (
    Finding,
    FrameQuality,
    Histogram,
    Level,
    NightQuality,
    QualityRecord,
    RegionQuality,
)
from calmasters.settings import HeaderRules, Settings
from calmasters.synthetic.camera import Camera
from calmasters.synthetic.session import ObservingSession, write_session

__all__ = ["Reader", "all_readers"]

_TESTS = Path(__file__).parents[1]
_SCHEMA = _TESTS.parent / "config" / "config.schema.yaml"
_STATES = sorted((_TESTS / "data" / "formats").glob("*/record.json"))

_LARGEST = 1 << 16


@dataclass(frozen=True)
class Reader:
    """A reader.

    Attributes
    ----------
    name : str
    kind : str
        What its files are: image, json or text.
    files : sequence of (str, bytes)
        Names and contents, most of them valid.
    read : callable
        Returns True if a file is used, False if it is refused by the reader's own error.
    share : float
        Of all inputs; those that take long have a small one.
    """

    name: str
    kind: str
    files: Sequence[tuple[str, bytes]]
    read: Callable[[Path], bool]
    share: float


def read_or_refuse(path: Path) -> bool:
    """Read a complete file; True if it is a frame, False if it is refused; else raise."""
    try:
        header = read_header(path)
        traits = read_keywords(header.cards, PurePosixPath(path.name), HeaderRules()).traits
    except FrameError:
        return False
    # Each float range has its turn.
    float_range = ("auto", "unit", "adu16")[crc32(path.read_bytes()) % 3]
    try:
        with RawFrame(path, float_range) as frame:
            frame.require_valid_samples()
            samples = frame.read(0, frame.size).samples
        assert samples.min() >= 0
        assert samples.max() <= 1
        assert np.isfinite(samples).all()
        assert traits.geometry is not None or traits.problems
        valid = True
    except FrameError:
        valid = False
    try:
        image, _ = read_image(path)
        assert image.min() >= 0
        assert image.max() <= 1
    except FrameError:
        pass
    return valid


def _images(*endings: str) -> list[tuple[str, bytes]]:
    """Valid files, eight times each, and small hostile files."""
    valid = [file for file in VALID.items() if file[0].endswith(endings)]
    hostile = [(each.name, each.make()) for each in HOSTILE if each.name.endswith(endings)]
    return [*valid * 8, *(file for file in hostile if 0 < len(file[1]) < _LARGEST)]


def _or_refused(read: Callable[[Path], Any]) -> Callable[[Path], bool]:
    """Return whether a file is read, and not refused as a damaged one."""

    def try_it(path: Path) -> bool:
        try:
            read(path)
        except RecordError:
            return False
        return True

    return try_it


def _record(path: Path) -> None:
    read_head(path)
    warnings_in(path)
    record = MasterRecord.read(path)
    assert all(isinstance(frame.size, int) for frame in record.frames)
    json.dumps(record.to_stored(0))
    record.write(path)
    # A number that is none is not equal to itself.
    assert repr(MasterRecord.read(path.with_suffix(".json"))) == repr(record)


def _job(path: Path) -> None:
    job = MasterJob.read(path)
    assert MasterJob.from_json(job.to_json()).made_of == job.made_of


def _plan(path: Path) -> None:
    for planned in Plan.load(path).masters.values():
        assert planned.made_of


def _table(path: Path) -> bool:
    """Read an inventory; pandas has errors of its own for what is no table."""
    try:
        table = read_inventory(path)
    except (ValueError, KeyError):
        return False
    return len(table) > 0


@cache
def _default_config() -> dict[str, Any]:
    return default_config()


def _settings(path: Path) -> bool:
    """Check settings as a run does, once they are YAML."""
    try:
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError):
        return False
    if not isinstance(stored, dict):
        return False
    try:
        Settings.from_config({**_default_config(), **stored}, _SCHEMA)
    except ConfigError:
        return False
    return True


_QUALITY = QualityRecord(
    name="masterBias",
    master="masters/bias/masterBias.xisf",
    type="bias",
    digest="0" * 16,
    verdict=Level.WARNING,
    numbers={"level_adu": 500.0},
    ranges={"level_adu": [None, 900.0]},
    findings=[Finding(Level.WARNING, "found", "cause", "remedy", "level_adu")],
    frames=[FrameQuality("a.fits", "2026-01-15", 500.0, 0.1, None, "")],
    nights=[NightQuality("2026-01-15", 1, {"level_adu": 500.0})],
    histogram=Histogram([1.0, 2.0], [1]),
    regions=[RegionQuality("1", "R", {"gain": Estimate(1.0, 0.1)}, [[1.0, 2.0, True]])],
)


class _Cached:
    """Frames whose headers and digests are in caches: damaged ones must change nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._files = scan_frames(settings)
        self._expected = self._read(settings)

    def _read(self, settings: Settings) -> object:
        frames = HeaderCache(settings).read(self._files, settings.input_dir)
        digests = ContentDigests(settings).add_digests(self._files, settings.input_dir)
        return [asdict(frame.traits) for frame in frames], digests

    def read(self, path: Path) -> bool:
        output = path.parent / "output"
        (output / ".cache").mkdir(parents=True)
        shutil.copy(path, output / (HEADER_CACHE if "headers" in path.name else CONTENT_DIGESTS))
        try:
            assert self._read(replace(self._settings, output_dir=output)) == self._expected
        finally:
            shutil.rmtree(output)
        return True


def _session(root: Path) -> Settings:
    """Plan a small session, so that all files of a run but masters are there."""
    kinds = {"bias": 4, "darks": 4, "flats": 4, "nights": 1, "lights": 1, "broken": 1}
    session = ObservingSession(
        camera=Camera(width=24, height=16), dark_exposures_s=(60.0,), **kinds
    )
    write_session(root / "frames", session)
    folders = {"input_dir": str(root / "frames"), "output_dir": str(root / "output")}
    settings = Settings.from_config({**default_config(), **folders})
    headers, digests = HeaderCache(settings), ContentDigests(settings)
    decision = decide(settings, headers, digests)
    headers.save()
    # Only digests of files that were written long enough ago are saved.
    digested = digests.add_digests(scan_frames(settings), settings.input_dir)
    stored = {
        (settings.input_dir / file.path).as_posix(): [
            *(file.content, file.size, file.mtime_ns, file.ctime_ns, file.inode)
        ]
        for file in digested
    }
    write_checked(settings.output_dir / CONTENT_DIGESTS, stored)
    write_plan(settings.output_dir / "plan.json", decision, {})
    for job in decision.jobs:
        (settings.output_dir / f"job-{job.type}.json").write_text(job.to_json(), encoding="utf-8")
    table = inventory_table(decision.frames, decision.verdicts)
    table.to_csv(settings.output_dir / "inventory.csv", errors="surrogateescape")
    return settings


@cache
def all_readers() -> Sequence[Reader]:
    """Return all readers; their valid files are those of a small session."""
    folder = Path(tempfile.mkdtemp(prefix="calmasters-fuzz-"))
    settings = _session(folder)
    output = settings.output_dir

    def files(*patterns: str) -> list[tuple[str, bytes]]:
        found = [path for pattern in patterns for path in sorted(output.glob(pattern))]
        return [(path.name, path.read_bytes()) for path in found]

    caches = _Cached(settings)
    comparison = {"version": 1, "engines": ["native", "siril"], "created": "", "masters": []}
    config = [(name, {name: value}) for name, value in default_config().items()]
    return (
        Reader("FITS", "image", _images(".fits"), read_or_refuse, 30),
        Reader("FITS, gzip or bzip2", "image", _images(".gz", ".bz2"), read_or_refuse, 10),
        Reader("FITS, tiles", "image", _images(".fz"), read_or_refuse, 1),
        Reader("XISF", "image", _images(".xisf"), read_or_refuse, 30),
        Reader(
            "record",
            "json",
            [(path.name, path.read_bytes()) for path in _STATES],
            _or_refused(_record),
            30,
        ),
        Reader("job file", "json", files("job-*.json"), _or_refused(_job), 20),
        Reader("plan", "json", files("plan.json"), _or_refused(_plan), 20),
        Reader(
            "quality record",
            "json",
            [("quality.json", _QUALITY.to_json().encode())],
            _or_refused(QualityRecord.read),
            20,
        ),
        Reader(
            "comparison",
            "json",
            [("compare.json", json.dumps(comparison).encode())],
            _or_refused(EngineComparison.read),
            5,
        ),
        Reader("header cache", "json", files(HEADER_CACHE), caches.read, 0.3),
        Reader("content digests", "json", files(CONTENT_DIGESTS), caches.read, 0.3),
        Reader("inventory", "text", files("inventory.csv"), _table, 1),
        Reader(
            "settings",
            "json",
            [(f"{name}.yaml", json.dumps(value).encode()) for name, value in config],
            _settings,
            0.2,
        ),
    )
