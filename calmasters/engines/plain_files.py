"""Frames as plain files, for programs that cannot read them, or would read them in another way."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from calmasters.engines.job_frames import open_frame_of
from calmasters.frame import needs_copy, split_plane
from calmasters.headers.fits_cards import Card
from calmasters.images.master_file import write_master
from calmasters.images.plain_copy import write_plain_copy
from calmasters.model.job import FrameFile, MasterJob

__all__ = ["is_rewritten", "plain_files", "plain_name"]


def is_rewritten(job: MasterJob, file: FrameFile) -> bool:
    """Return whether a frame of a job is written as a plain file.

    It is where it has a layout (overscan, amplifiers), is a camera raw or one of a series.
    """
    return job.geometry.layout is not None or needs_copy(file.path)


def plain_name(job: MasterJob, number: int, file: FrameFile) -> str:
    """Return the name of the file of a frame: its number, and its own name in plain characters."""
    stem = re.sub(r"[^\w.-]", "_", Path(split_plane(file.path)[0]).stem, flags=re.ASCII)
    return f"{number + 1:05}_{stem}.{'xisf' if job.geometry.layout else 'fits'}"


@contextmanager
def plain_files(
    job: MasterJob, files: Sequence[FrameFile], input_dir: Path, folder: Path
) -> Iterator[int]:
    """Write the frames of a job that need it to a folder, and finally remove it.

    Frames that are put together from parts become floats; of others the samples are copied.

    Yields
    ------
    int
        Number of samples that were NaN or infinite and were replaced by 0.
    """
    shutil.rmtree(folder, ignore_errors=True)
    not_finite = 0
    try:
        for number, file in enumerate(files):
            if not is_rewritten(job, file):
                continue
            folder.mkdir(parents=True, exist_ok=True)
            source, target = input_dir / file.path, folder / plain_name(job, number, file)
            if job.geometry.layout:
                not_finite += _write_assembled(job, source, target)
            else:
                write_plain_copy(source, target, job.recipe.frame_range)
        yield not_finite
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_assembled(job: MasterJob, source: Path, target: Path) -> int:
    pattern = job.geometry.bayerpat
    with open_frame_of(job, source) as frame:
        strip = frame.read(0, frame.size)
    image = strip.samples.reshape(frame.height, frame.width)
    write_master(target, image, [Card("BAYERPAT", pattern)] if pattern else [])
    return strip.not_finite
