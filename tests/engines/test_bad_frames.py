"""Frames that are bad are left out, and log, record and header list them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from calmasters.engines.native.engine import NativeEngine
from calmasters.errors import EngineError
from calmasters.frame import FrameType
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import read_image
from calmasters.model.job import FrameFile, MasterJob
from calmasters.model.master_record import MasterStatistics
from calmasters.settings import BadFrames

SHAPE = (64, 64)


def codes(n: int = 5) -> np.ndarray:
    return np.random.default_rng(7).integers(400, 600, (n, *SHAPE)).astype(np.uint16)


def make(site, job: MasterJob, rules: BadFrames | None = None) -> MasterStatistics:
    engine = NativeEngine(1, rules)
    return engine.make(job, site.input_dir, site.output_dir, site.output, site.log)


def same_size(path: Path, content: bytes) -> None:
    path.write_bytes(content.ljust(path.stat().st_size, b"\0"))


def damage_tiles(path: Path) -> None:
    """Overwrite the end of a compressed image, as a bad copy does; its header is valid."""
    hdu = fits.CompImageHDU(codes(1)[0])
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
    content = path.read_bytes()
    path.write_bytes(content[:5800] + bytes(len(content) - 5800))


def empty_end(path: Path) -> None:
    """Leave out the last block, as a copy that stopped in a file of its full size."""
    same_size(path, path.read_bytes()[:-2880])


def write(image: np.ndarray) -> Callable[[Path], None]:
    return lambda path: fits.writeto(path, image, overwrite=True)


BAD = {
    "damaged tiles": (damage_tiles, "cannot be unpacked"),
    "no FITS": (lambda path: same_size(path, b"X"), "is not a FITS file"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:6000]), "truncated, 6000"),
    "empty end": (empty_end, "the end of the file is empty"),
    "black": (write(np.zeros(SHAPE, np.uint16)), "every pixel is 0"),
    "white": (write(np.full(SHAPE, 65535, np.uint16)), "every pixel is saturated"),
    "white of 12 bits": (write(np.full(SHAPE, 65520, np.uint16)), "every pixel is saturated"),
    "no number": (write(np.full(SHAPE, np.nan, np.float32)), "every pixel is NaN or infinite"),
    "beyond ADU": (write(np.full(SHAPE, 70_000, np.float32)), "samples from 70000 to 70000"),
    "negative": (write(np.full(SHAPE, -32_000, np.int16)), "samples from -32000 to -32000"),
    "32 bits": (write(np.full(SHAPE, 70_000, np.int32)), "samples from 70000 to 70000"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_frame_is_left_out_and_listed_in_log_json_and_header(site, fault: str) -> None:
    damage, expected = BAD[fault]
    frames = site.write(codes())
    bad = site.input_dir / frames[2].path
    damage(bad)
    frames[2] = frames[2]._replace(size=bad.stat().st_size)
    job = site.job(frames, SHAPE)
    made = make(site, job)

    good = [frame for frame in frames if frame.path != bad.name]
    assert [frame.path for frame in made.frames] == [frame.path for frame in good]
    (left_out,) = made.left_out
    assert left_out.path == bad.name
    assert expected in left_out.reason
    assert f"left out: {bad.name}: {left_out.reason}" in site.log.read_text()
    record = json.loads(site.output.with_suffix(".json").read_text())
    assert record["left_out"] == [{"path": bad.name, "reason": left_out.reason, "outlier": False}]
    assert (record["frames_used"], record["digest"]) == (4, job.digest)
    assert read_cards(site.output)["NCOMBINE"] == 4
    assert f"left out: {bad.name}".encode() in site.output.read_bytes()[:9999]


def test_the_master_equals_that_of_the_good_frames(site) -> None:
    frames = site.write(codes())
    bad = site.write_one(np.zeros(SHAPE, np.uint16), "black.fits", {})
    make(site, site.job([bad, *frames], SHAPE, FrameType.FLAT))
    with_bad = read_image(site.output)[0]
    make(site, site.job(frames, SHAPE, FrameType.FLAT))
    np.testing.assert_array_equal(with_bad, read_image(site.output)[0])


def test_a_flat_without_a_level_is_left_out(site) -> None:
    images = codes()
    images[2] = np.where(np.arange(64) % 2, 0, 65535)
    made = make(site, site.job(site.write(images), SHAPE, FrameType.FLAT))
    (left_out,) = made.left_out
    assert left_out.path == "frame002.fits"
    assert "cannot be normalized" in left_out.reason
    assert len(made.frames) == 4


def frames_with_black_ones(site, bad: int, n: int = 5) -> list[FrameFile]:
    images = codes(n)
    images[:bad] = 0
    return site.write(images)


def failure(site, job: MasterJob, rules: BadFrames) -> str:
    with pytest.raises(EngineError) as caught:
        make(site, job, rules)
    assert not list(site.output.parent.glob("*"))
    return str(caught.value)


def test_too_few_frames_left_are_refused_with_every_reason(site) -> None:
    job = site.job(frames_with_black_ones(site, 2), SHAPE)
    make(site, job, BadFrames(minimum_frames=3))
    site.output.unlink()
    site.output.with_suffix(".json").unlink()
    message = failure(site, job, BadFrames(minimum_frames=4))
    assert "3 of 5 frames are good, and minimum_frames is 4" in message
    # One cause is one line, whatever the number of its frames.
    assert "\n  frame000.fits and 1 more: every pixel is 0" in message
    assert message.count("\n") == 1


def test_no_frame_is_left_out_with_on_bad_frame_fail(site) -> None:
    message = failure(site, site.job(frames_with_black_ones(site, 1), SHAPE), BadFrames(skip=False))
    assert "on_bad_frame is fail" in message
    assert "frame000.fits: every pixel is 0" in message
