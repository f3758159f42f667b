"""From files to masters: frames of unusual scale, sign or row order are combined rightly or named.

A master bias is right at 510 ADU, a master flat at 24,490.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from astropy.io import fits

from calmasters.engines.native.engine import NativeEngine
from calmasters.frame import Status
from calmasters.images.master_file import read_image
from calmasters.planning.planner import Decision, decide
from calmasters.settings import Settings

SHAPE = (24, 32)
#: A gradient along the columns, so that rows in another order are seen.
SLOPE = np.linspace(0.8, 1.2, SHAPE[0])[:, None]
CARDS = {
    "INSTRUME": "Camera",
    "SET-TEMP": -10.0,
    "GAIN": 100,
    "OFFSET": 50,
    "READOUTM": "Low Noise",
}

Convert: TypeAlias = Callable[[np.ndarray], np.ndarray]


class Frames:
    """Writes bias and flat frames below ``frames``."""

    def __init__(self, root: Path) -> None:
        self.root, self._random, self._count = root, np.random.default_rng(5), 0

    def pixels(self, kind: str) -> np.ndarray:
        level = 510 if kind == "bias" else 25_000
        return np.rint(level * SLOPE + self._random.normal(0, 5, SHAPE))

    def cards(self, kind: str) -> dict[str, Any]:
        self._count += 1
        of_flats = {"FILTER": "Ha", "EXPTIME": 2.0} if kind == "flat" else {"EXPTIME": 0.0}
        time = f"2026-01-15T20:{self._count // 60:02}:{self._count % 60:02}"
        return {**CARDS, "IMAGETYP": kind.upper(), "DATE-OBS": time, **of_flats}

    def write(self, kind: str, convert: Convert, count: int = 5, **cards: Any) -> None:
        self.root.mkdir(exist_ok=True)
        for _ in range(count):
            header = fits.Header({**self.cards(kind), **cards})
            image = fits.PrimaryHDU(np.ascontiguousarray(convert(self.pixels(kind))), header)
            image.writeto(self.root / f"{self._count:03}.fits")


@pytest.fixture
def frames(tmp_path: Path) -> Frames:
    return Frames(tmp_path / "frames")


def levels(settings: Settings) -> Iterator[tuple[str, int, float]]:
    """Make all masters; give the type, the number of frames and the level in ADU of each."""
    for job in decide(settings).jobs:
        output = settings.output_dir / job.master
        log = settings.output_dir / f"{job.type}.log"
        made = NativeEngine(1).make(job, settings.input_dir, settings.output_dir, output, log)
        image = read_image(output)[0] * 65535
        # The rows are in order: the top is darker.
        assert image[:4].mean() < 0.9 * image[-4:].mean()
        yield job.type.value, len(made.frames), float(np.median(image))


def refused(decision: Decision) -> set[str]:
    verdicts = decision.verdicts.values()
    return {each.reason for each in verdicts if each.status is Status.REFUSED}


PLAIN: Convert = lambda pixels: pixels.astype(np.uint16)  # noqa: E731
SIGNED: Convert = lambda pixels: pixels.astype(np.int16)  # noqa: E731
FLOAT_ADU: Convert = lambda pixels: pixels.astype(np.float32)  # noqa: E731
FLOAT_UNIT: Convert = lambda pixels: (pixels / 65535).astype(np.float32)  # noqa: E731

#: Kinds of frames, with cards, that are mixed with plain ones.
KINDS: dict[str, tuple[Convert, dict[str, str]]] = {
    "signed": (SIGNED, {}),
    "int32": (lambda pixels: pixels.astype(np.int32), {}),
    "uint32": (lambda pixels: pixels.astype(np.uint32), {}),
    "uint32 in its full range": (
        lambda pixels: (pixels.astype(np.uint64) * 65537).astype(np.uint32),
        {},
    ),
    "floats in ADU": (FLOAT_ADU, {}),
    "doubles in ADU": (lambda pixels: pixels.astype(np.float64), {}),
    "floats": (FLOAT_UNIT, {}),
    "bottom-up": (lambda pixels: PLAIN(pixels[::-1]), {"ROWORDER": "BOTTOM-UP"}),
    "bottom-up, signed": (lambda pixels: SIGNED(pixels[::-1]), {"ROWORDER": "bottom-up"}),
}


@pytest.mark.parametrize("beside_plain", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_frames_of_each_kind_alone_and_beside_plain_ones_are_combined(
    settings: Settings, frames: Frames, name: str, beside_plain: bool
) -> None:
    convert, cards = KINDS[name]
    for kind in ("bias", "flat"):
        frames.write(kind, convert, **cards)
        if beside_plain:
            frames.write(kind, PLAIN)
    expected = [("bias", 510), ("flat", 24_490)]
    count = 10 if beside_plain else 5
    for (kind, made_of, level), (type_, adu) in zip(levels(settings), expected, strict=True):
        assert (kind, made_of) == (type_, count)
        assert level == pytest.approx(adu, rel=5e-3)


@pytest.mark.parametrize("float_range", ["auto", "adu16", "unit"])
@pytest.mark.parametrize("master_format", ["xisf", "fits"])
@pytest.mark.parametrize("name", ["floats in ADU", "floats", "plain"])
def test_masters_have_their_own_range(
    make_settings: Callable[..., Settings],
    frames: Frames,
    name: str,
    float_range: str,
    master_format: str,
) -> None:
    convert = {"plain": PLAIN, "floats": FLOAT_UNIT, "floats in ADU": FLOAT_ADU}[name]
    settings = make_settings(float_range=float_range, master_format=master_format)
    for kind in ("bias", "flat"):
        frames.write(kind, convert)
    if (name, float_range) in {("floats in ADU", "unit"), ("floats", "adu16")}:
        assert {"set float_range: auto" in reason for reason in refused(decide(settings))} <= {True}
        assert decide(settings).suggested == {"float_range": "auto"}
        return
    assert [
        round(level / adu, 2)
        for (*_, level), adu in zip(levels(settings), (510, 24_490), strict=True)
    ] == [1.0, 1.0]


def test_floats_of_both_ranges_make_one_master(settings: Settings, frames: Frames) -> None:
    frames.write("bias", FLOAT_ADU, 3)
    frames.write("bias", FLOAT_UNIT, 4)
    ((_, count, level),) = levels(settings)
    assert (count, round(level / 510, 2)) == (7, 1.0)


@pytest.mark.parametrize(("bounds", "scale"), [("0:65535", 1), ("0:1", 65535), ("-65535:0", 1)])
def test_the_bounds_of_xisf_are_read(
    settings: Settings,
    frames: Frames,
    write_bounded: Callable[..., None],
    bounds: str,
    scale: float,
) -> None:
    low = float(bounds.partition(":")[0])
    for number in range(5):
        samples = low + frames.pixels("bias") / scale
        write_bounded(frames.root / f"{number}.xisf", samples, bounds, frames.cards("bias"))
    ((_, count, level),) = levels(settings)
    assert (count, round(level / 510, 2)) == (5, 1.0)


def test_a_frame_that_contradicts_its_own_scale_is_left_out(
    settings: Settings, frames: Frames
) -> None:
    frames.write("bias", FLOAT_UNIT, 4)
    path = sorted(frames.root.iterdir())[1]
    image = np.full((200, 100), 0.01, np.float32)
    with fits.open(path) as file:
        header = file[0].header
    for each in frames.root.iterdir():
        fits.writeto(each, image, fits.getheader(each), overwrite=True)
    image[0, 0] = 40_000  # far from the strip that the inventory reads
    fits.writeto(path, image, header, overwrite=True)
    (job,) = decide(settings).jobs
    assert len(job.frames) == 4
    output = settings.output_dir / job.master
    made = NativeEngine(1).make(
        job, settings.input_dir, settings.output_dir, output, settings.output_dir / "log"
    )
    (left_out,) = made.left_out
    assert left_out.path == path.name
    assert "to 40000 where 0 to 1 was expected" in left_out.reason
