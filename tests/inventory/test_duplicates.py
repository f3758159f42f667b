from __future__ import annotations

import bz2
import gzip
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from calmasters.commands.summary import summarize
from calmasters.frame import Frame, Status
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.scan import ScannedFile
from calmasters.inventory.verdicts import mark_duplicates
from calmasters.planning.planner import decide
from calmasters.settings import Settings

AddFrame = Callable[..., Path]


def date(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds))


def used(settings: Settings) -> list[str]:
    verdicts = decide(settings).verdicts.items()
    return sorted(path for path, verdict in verdicts if verdict.status is Status.USED)


@pytest.fixture
def frames(settings: Settings, add_frame: AddFrame) -> list[Path]:
    """Three biases with equal headers and different pixels."""
    paths = [add_frame(f"{name}.fits") for name in "abc"]
    for path in paths:
        date(path, 1000)
    return paths


def test_frames_with_equal_headers_and_different_pixels_are_not_copies(
    settings: Settings, frames: list[Path]
) -> None:
    assert used(settings) == ["a.fits", "b.fits", "c.fits"]


def test_a_copy_is_used_once_and_the_plan_names_the_original(
    settings: Settings, frames: list[Path]
) -> None:
    shutil.copy(frames[1], frames[1].with_name("again.fits"))
    decision = decide(settings)
    verdict = decision.verdicts["again.fits"]
    assert (verdict.status, verdict.reason) == (Status.IGNORED, "is a copy of b.fits")
    (job,) = decision.jobs
    assert [frame.path for frame in job.frames] == ["a.fits", "b.fits", "c.fits"]
    assert [(frame.path, frame.reason) for frame in job.left_out] == [
        ("again.fits", "is a copy of b.fits")
    ]


def test_copies_are_counted_together_in_the_summary(settings: Settings, frames: list[Path]) -> None:
    for number in range(2):
        shutil.copy(frames[number], frames[number].with_name(f"again {number}.fits"))
    assert "2 frames: copies of other frames" in summarize(decide(settings))


def test_the_oldest_file_is_the_original_then_the_first_by_path(
    settings: Settings, frames: list[Path]
) -> None:
    older = Path(shutil.copy(frames[0], frames[0].with_name("z.fits")))
    date(older, 999)
    shutil.copy2(frames[1], frames[1].with_name("a copy.fits"))
    assert used(settings) == ["a copy.fits", "c.fits", "z.fits"]


@pytest.fixture
def dark(add_frame: AddFrame) -> Path:
    """A dark of 60 s with noise."""
    return with_noise(add_frame("60 s.fits", "dark", {"EXPTIME": 60.0}), seed=1)


def with_noise(path: Path, seed: int) -> Path:
    """Give a frame 60x50 pixels with noise."""
    pixels = np.random.default_rng(seed).integers(0, 1000, (50, 60)).astype(np.uint16)
    header = fits.getheader(path)
    fits.writeto(path, pixels, header, overwrite=True)
    return path


@pytest.mark.parametrize("more", [{}, {f"NOTE{n}": "x" * 60 for n in range(40)}])
def test_frames_with_the_pixels_and_time_of_others_but_other_keywords_are_refused(
    settings: Settings,
    add_frame: AddFrame,
    frames: list[Path],
    dark: Path,
    more: dict[str, str],
) -> None:
    with_noise(add_frame("120 s.fits", "dark", more | {"EXPTIME": 120.0}), seed=1)
    decision = decide(settings)
    for path, other, difference in (
        ("60 s.fits", "120 s.fits", "EXPOSURE 60.00 instead of 120.00"),
        ("120 s.fits", "60 s.fits", "EXPOSURE 120.00 instead of 60.00"),
    ):
        verdict = decision.verdicts[path]
        assert verdict.status is Status.REFUSED
        assert verdict.reason == f"has the pixels and the time of {other}, but {difference}"
    assert "2 frames: frames with equal pixels and times have different headers" in summarize(
        decision
    )
    assert used(settings) == ["a.fits", "b.fits", "c.fits"]


def test_frames_of_one_time_with_other_pixels_are_not_refused(
    settings: Settings, add_frame: AddFrame, dark: Path
) -> None:
    with_noise(add_frame("120 s.fits", "dark", {"EXPTIME": 120.0}), seed=2)
    reasons = {verdict.reason for verdict in decide(settings).verdicts.values()}
    assert reasons == {"only 1 frame of this group: take at least 3 (minimum_frames)"}


@pytest.mark.skipif(os.name == "nt", reason="links need a special permission there")
def test_a_hard_link_is_a_copy(settings: Settings, frames: list[Path]) -> None:
    os.link(frames[0], frames[0].with_name("d.fits"))
    assert used(settings) == ["a.fits", "b.fits", "c.fits"]


class RecordingDigests(ContentDigests):
    """Records which files were digested."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.paths: list[str] = []

    def add_digests(self, files: Iterable[ScannedFile], root: Path) -> list[ScannedFile]:
        files = list(files)
        self.paths += [file.path for file in files]
        return super().add_digests(files, root)


def test_only_files_with_equal_middle_bytes_are_read_completely(
    settings: Settings, frames: list[Path]
) -> None:
    shutil.copy(frames[0], frames[0].with_name("d.fits"))
    recording = RecordingDigests(settings)
    decide(settings, digests=recording)
    assert recording.paths == ["a.fits", "d.fits"]


def test_a_copy_makes_no_master_stale(settings: Settings, frames: list[Path]) -> None:
    (before,) = decide(settings).jobs
    shutil.copy(frames[0], frames[0].with_name("0.fits"))
    (after,) = decide(settings).jobs
    assert after.digest == before.digest


# --- packed twins ---------------------------------------------------------------------------------


def tiled(path: Path) -> None:
    image, header = fits.getdata(path), fits.getheader(path)
    hdu = fits.CompImageHDU(image, header, compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path.with_name(f"{path.name}.fz"))


def zipped(path: Path) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))


def bzipped(path: Path) -> None:
    path.with_name(f"{path.name}.bz2").write_bytes(bz2.compress(path.read_bytes()))


@pytest.mark.parametrize("pack", [tiled, zipped, bzipped])
def test_a_frame_and_its_packed_twin_count_once(
    settings: Settings, frames: list[Path], pack: Callable[[Path], None]
) -> None:
    for path in frames:
        pack(path)
        date(max(path.parent.glob(f"{path.name}.*")), 10)  # older than the plain file
    assert used(settings) == ["a.fits", "b.fits", "c.fits"]
    (twin,) = frames[0].parent.glob("a.fits.*")
    assert decide(settings).verdicts[twin.name].reason == "is a copy of a.fits"


def test_of_several_packed_twins_one_is_used(settings: Settings, frames: list[Path]) -> None:
    for path in frames:
        zipped(path)
        bzipped(path)
        path.unlink()
    assert used(settings) == ["a.fits.bz2", "b.fits.bz2", "c.fits.bz2"]


def test_a_packed_frame_of_another_folder_or_header_is_no_twin(
    settings: Settings, frames: list[Path], add_frame: AddFrame
) -> None:
    for path in frames:
        zipped(path)
        add_frame(path.name, cards={"DATE-OBS": "2026-01-15T22:00:00"})
    other = frames[0].parent / "other" / "a.fits.gz"
    other.parent.mkdir()
    (frames[0].parent / "a.fits.gz").rename(other)
    assert len(used(settings)) == 6


@pytest.mark.parametrize("time", ["2026-01-15T20:00:00", None])
def test_a_packed_twin_may_be_in_another_folder_if_the_header_has_a_time(
    settings: Settings, add_frame: AddFrame, time: str | None
) -> None:
    for name in "abc":
        path = add_frame(f"plain/{name}.fits", cards={"DATE-OBS": time, "DATE-LOC": time})
        other = add_frame(f"fz/{name}.fits", cards={"DATE-OBS": time, "DATE-LOC": time})
        tiled(other)
        other.unlink()
        assert path.exists()
    assert len(used(settings)) == (3 if time else 6)


def test_the_twin_of_a_damaged_frame_is_used(settings: Settings, frames: list[Path]) -> None:
    zipped(frames[0])
    os.truncate(frames[0], 2890)
    assert used(settings) == ["a.fits.gz", "b.fits", "c.fits"]


def test_copies_of_a_packed_twin_are_copies_of_the_plain_frame(
    settings: Settings, frames: list[Path]
) -> None:
    zipped(frames[0])
    packed = frames[0].with_name("a.fits.gz")
    (frames[0].parent / "again").mkdir()
    shutil.copy(packed, frames[0].parent / "again" / packed.name)
    verdicts = decide(settings).verdicts
    for path in ("a.fits.gz", "again/a.fits.gz"):
        assert verdicts[path].reason == "is a copy of a.fits"


def test_a_camera_raw_and_the_dng_made_of_it_count_once(
    settings: Settings, make_frame: Callable[..., Frame]
) -> None:
    frames = [
        make_frame(path=path, size=size)
        for size, path in enumerate(("1/a.CR2", "1/a.dng", "1/b.dng", "2/A.DNG"))
    ]
    files = [ScannedFile(*frame[:3]) for frame in frames]
    marked = mark_duplicates(frames, files, settings, ContentDigests(settings))
    assert [frame.copy_of for frame in marked] == [None, "1/a.CR2", None, "1/a.CR2"]
