from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from calmasters.commands.summary import summarize
from calmasters.frame import Status
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.scan import ScannedFile
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
