"""Frames that are not plain: any sample format, any cards, levels that are known exactly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias
from xml.sax.saxutils import quoteattr

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from real_workflow import Workflow

from calmasters.images.master_file import read_image
from calmasters.images.raw_frame import header_of

Pixels: TypeAlias = NDArray[np.float64]
Cards: TypeAlias = Mapping[str, Any]

HEIGHT, WIDTH = 40, 60
ROW, COLUMN = np.mgrid[:HEIGHT, :WIDTH]

#: Cards of a camera that writes everything.
CAMERA: Cards = {"SET-TEMP": -5.0, "CCD-TEMP": -5.0, "GAIN": 26, "OFFSET": 30, "READOUTM": "Fast"}
TYPES: Mapping[str, Cards] = {
    "bias": {"IMAGETYP": "BIAS", "EXPTIME": 0.0},
    "dark": {"IMAGETYP": "DARK", "EXPTIME": 40.0},
    "flat": {"IMAGETYP": "FLAT", "EXPTIME": 3.0, "FILTER": "L"},
}


def pixels(level: float | Pixels, number: int = 0, grain: float = 6.0) -> Pixels:
    """Give frame ``number`` with a grain whose median, and mean of three frames, is exactly 0.

    No two frames are equal.
    """
    start = np.random.default_rng(number // 3).integers(0, 3, ROW.shape)
    return level + grain * ((start + number) % 3 - 1)


def add(
    folder: Path,
    kind: str,
    level: float | Pixels,
    count: int = 6,
    *,
    camera: str = "A",
    samples: str = "uint16",
    start: str = "2026-03-02T20:00:00",
    name: str = "",
    **cards: Any,
) -> None:
    """Write frames, a minute apart; a card of None is left out."""
    for number in range(count):
        moment = datetime.fromisoformat(start) + timedelta(minutes=number)
        header = {"DATE-OBS": moment.isoformat(timespec="milliseconds"), "INSTRUME": camera}
        header |= {**CAMERA, **TYPES[kind], **cards}
        path = folder / f"{name or f'{kind}_{camera}_{start[:13]}'}_{number:03}.fits"
        save(path, pixels(level, number), header, samples)


def save(path: Path, adu: Pixels, cards: Cards, samples: str = "uint16") -> None:
    """Write a FITS frame; ``unit`` stands for floats from 0 to 1."""
    data = (adu / 65535).astype("f4") if samples == "unit" else adu.astype(samples)
    header = fits.Header([(key, value) for key, value in cards.items() if value is not None])
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.PrimaryHDU(data, header).writeto(path)


def save_xisf(path: Path, samples: Pixels, cards: Cards, bounds: str, history: str = "") -> None:
    """Write a XISF frame of floats, with PixInsight's processing history if there is one."""
    words = [
        f'<FITSKeyword name="{key}" comment="" value='
        + quoteattr(f"'{value}'" if isinstance(value, str) else str(value))
        + "/>"
        for key, value in cards.items()
    ]
    if history:
        words += [
            f'<Property id="PixInsight:ProcessingHistory" type="String" value="{history}"/>',
            f'<FITSKeyword name="HISTORY" value="" comment="{history}.enabled: true"/>',
        ]
    start = 8192
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<xisf version="1.0" xmlns="http://www.pixinsight.com/xisf">'
        f'<Image geometry="{WIDTH}:{HEIGHT}:1" sampleFormat="Float32" colorSpace="Gray" '
        f'bounds="{bounds}" location="attachment:{start}:{samples.size * 4}">'
        f"{''.join(words)}</Image></xisf>"
    ).encode()
    head = b"XISF0100" + len(xml).to_bytes(4, "little") + bytes(4) + xml
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head.ljust(start, b"\0") + samples.astype("<f4").tobytes())


@dataclass(frozen=True)
class Master:
    """A master that was made."""

    name: str
    record: Mapping[str, Any]
    header: Cards
    adu: Pixels

    @property
    def frames(self) -> int:
        """Number of frames that it was made of."""
        return int(self.record["frames_used"])

    @property
    def level(self) -> float:
        """Its median in ADU."""
        return float(np.median(self.adu))


@dataclass(frozen=True)
class Made:
    """What a run of ``snakemake masters`` showed, and the masters that are there after it."""

    workflow: Workflow
    lines: list[str]
    masters: list[Master]

    def of(self, kind: str, camera: str = "A") -> list[Master]:
        """Masters of one camera, by name."""
        start, token = f"master{kind.capitalize()}_", f"INSTRUME-{camera}_"
        return [each for each in self.masters if each.name.startswith(start) and token in each.name]

    def counts(self, kind: str, camera: str = "A") -> list[int]:
        """Sorted numbers of frames of such masters."""
        return sorted(master.frames for master in self.of(kind, camera))

    def says(self, *phrases: str) -> bool:
        """Whether one line of the terminal has all these words."""
        return any(all(phrase in line for phrase in phrases) for line in self.lines)

    def expect(self, *phrases: str) -> None:
        """Show the terminal if no line of it has all these words."""
        assert self.says(*phrases), "\n".join([f"no line with {phrases}:", *self.lines])


def make(workflow: Workflow, *arguments: str, succeeds: bool = True) -> Made:
    """Run ``snakemake masters`` once."""
    lines = workflow.show("masters", *arguments, succeeds=succeeds)
    masters = []
    for path in sorted(workflow.output.glob("masters/*/master*.json")):
        image = next(
            path.with_suffix(x) for x in (".xisf", ".fits") if path.with_suffix(x).exists()
        )
        record = json.loads(path.read_text(encoding="utf-8"))
        adu = read_image(image)[0].astype(np.float64) * 65535
        masters.append(Master(path.stem, record, header_of(image).cards, adu))
    return Made(workflow, lines, masters)


def suggested(workflow: Workflow) -> Made:
    """Run again with the settings that the last run suggested."""
    return make(workflow, "--configfile", str(workflow.output / "suggested.yaml"))
