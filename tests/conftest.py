"""Shared fixtures: the configuration, settings for a temporary directory, frames and masters."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias
from zlib import crc32

import hypothesis
import numpy as np
import pytest
import yaml

from calmasters.frame import Frame, FrameType, Geometry, Traits, Value
from calmasters.headers.fits_cards import Card
from calmasters.images.master_file import write_master
from calmasters.model.job import MasterJob
from calmasters.model.master_record import FrameStatistics, MasterRecord, MasterStatistics
from calmasters.settings import Settings
from calmasters.synthetic.camera import Camera, write_frame
from calmasters.synthetic.session import Shot, nina_header

CONFIG = Path(__file__).parents[1] / "config"
SCHEMA = CONFIG / "config.schema.yaml"

# Every run uses the same examples, and no clock decides, also on slow and on busy machines.
hypothesis.settings.register_profile(
    "same",
    derandomize=True,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("same")

# A background process of a shell ignores SIGINT, and its children would too: restore the default.
signal.signal(signal.SIGINT, signal.default_int_handler)

MakeSettings: TypeAlias = Callable[..., Settings]
MakeFrame: TypeAlias = Callable[..., Frame]
AddFile: TypeAlias = Callable[..., Path]
WriteRecord: TypeAlias = Callable[..., MasterRecord]
WriteBounded: TypeAlias = Callable[[Path, np.ndarray, str, Mapping[str, Value]], None]

#: Header keywords of a frame of any type.
_KEYWORDS: Mapping[str, Value] = {
    "INSTRUME": "ATR585M",
    "SET-TEMP": -10.0,
    "GAIN": 100,
    "OFFSET": 150,
    "READOUTM": "Low Noise",
    "DATE": "2026-01-15",
}
_TRAITS = {field.name for field in fields(Traits)}
_EXPOSURES: Mapping[str, float] = {"bias": 0.0, "dark": 60.0, "flat": 1.5, "light": 300.0}


@pytest.fixture(scope="session")
def schema() -> Path:
    return SCHEMA


@cache
def _defaults() -> dict[str, Any]:
    text = (CONFIG / "config.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.fixture
def config() -> dict[str, Any]:
    """A copy of the repository's configuration that a test may change."""
    return deepcopy(_defaults())


@pytest.fixture
def make_settings(tmp_path: Path, config: dict[str, Any], schema: Path) -> MakeSettings:
    """Settings for frames/ and output/ below ``tmp_path``; keyword arguments override keys."""

    def make(**overrides: Any) -> Settings:
        merged = deepcopy(config)
        merged["input_dir"] = str(tmp_path / "frames")
        merged["output_dir"] = str(tmp_path / "output")
        for key, value in overrides.items():
            both = isinstance(value, dict) and isinstance(merged[key], dict)
            merged[key] = {**merged[key], **value} if both else value
        return Settings.from_config(merged, schema)

    return make


@cache
def _default_settings() -> Settings:
    return Settings.from_config(_defaults(), SCHEMA)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The default settings, for frames/ and output/ below ``tmp_path``."""
    return replace(
        _default_settings(), input_dir=tmp_path / "frames", output_dir=tmp_path / "output"
    )


@pytest.fixture
def make_frame() -> MakeFrame:
    """A frame of the inventory, without a file; keywords given as None are absent."""

    def make(
        kind: str = "bias",
        number: int = 1,
        keywords: Mapping[str, Value | None] | None = None,
        **fields: Any,
    ) -> Frame:
        filters = {"FILTER": "B"} if kind == "flat" else {}
        given: dict[str, Value | None] = {
            "TYPE": kind,
            **_KEYWORDS,
            **filters,
            "EXPOSURE": _EXPOSURES.get(kind, 0.0),
        }
        given |= dict(keywords or {})
        frame: dict[str, Any] = {
            "path": f"{kind}/{number:04d}.fits",
            "size": 1000,
            "mtime_ns": 1_700_000_000_000_000_000 + number,
            "date_obs": f"2026-01-15T21:00:{number:02d}",
        }
        traits: dict[str, Any] = {
            "keywords": {key: value for key, value in given.items() if value is not None},
            "geometry": Geometry(4, 3),
        }
        traits |= {name: fields.pop(name) for name in _TRAITS & fields.keys()}
        return Frame(**(frame | fields), traits=Traits(**traits))

    return make


@pytest.fixture
def add_frame(tmp_path: Path) -> AddFile:
    """Write a frame of 4x3 pixels below frames/, as N.I.N.A. does; None leaves a card out."""

    def add(
        path: str, kind: str = "bias", cards: Mapping[str, Value | bool | None] | None = None
    ) -> Path:
        shot = Shot(
            FrameType(kind),
            datetime(2026, 1, 15, 21, tzinfo=timezone(timedelta(hours=1))),
            _EXPOSURES[kind],
            filter="B" if kind == "flat" else None,
        )
        file = tmp_path / "frames" / path
        header = nina_header(Camera(), shot) | dict(cards or {})
        # The level depends on the path, so that files are not copies of each other.
        level = 600 + crc32(path.encode("utf-8", "surrogateescape")) % 10_000
        write_frame(file, np.full((3, 4), level, np.uint16), header)
        return file

    return add


@pytest.fixture
def add_master(tmp_path: Path) -> AddFile:
    """Write a master of 4x3 pixels; None leaves a card out."""

    def add(path: Path | str, kind: str, cards: Mapping[str, Value | None] | None = None) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        header = {
            "IMAGETYP": f"Master {kind.capitalize()}",
            **{key: value for key, value in _KEYWORDS.items() if key != "DATE"},
            "EXPTIME": _EXPOSURES[kind],
            **dict(cards or {}),
        }
        image = np.full((3, 4), 0.01, np.float32)
        write_master(
            file, image, [Card(key, value) for key, value in header.items() if value is not None]
        )
        return file

    return add


@pytest.fixture
def write_bounded() -> WriteBounded:
    """Write floating-point samples as XISF with any bounds, and further cards."""

    def write(path: Path, samples: np.ndarray, bounds: str, cards: Mapping[str, Value]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_master(
            path, samples.astype(np.float32), [Card(key, value) for key, value in cards.items()]
        )
        content = path.read_bytes()
        length = int.from_bytes(content[8:12], "little")
        xml = content[16 : 16 + length].replace(b'bounds="0:1"', f'bounds="{bounds}"'.encode())
        head = content[:8] + len(xml).to_bytes(4, "little") + bytes(4) + xml
        start = len(content) - samples.size * 4
        path.write_bytes(head.ljust(start, b"\0") + content[start:])

    return write


@pytest.fixture
def write_record() -> WriteRecord:
    """Write the record next to a master as an engine does; keyword arguments change statistics."""

    def write(job: MasterJob, master: Path, **changes: Any) -> MasterRecord:
        statistics = MasterStatistics(
            frames=tuple(FrameStatistics(frame.path, 0, 100) for frame in job.frames),
            mean=0.5,
            median=0.5,
            minimum=0.0,
            maximum=1.0,
            noise=1e-3,
            seconds=1.0,
            versions={"python": "3.11"},
        )
        master.parent.mkdir(parents=True, exist_ok=True)
        if not master.exists():
            master.write_text("pixels")
        record = MasterRecord.of(job, replace(statistics, **changes))
        record.write(master)
        return record

    return write
