"""Frames with an overscan or several amplifiers as plain files, for programs that need files."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from calmasters.engines.job_frames import open_frame_of
from calmasters.headers.fits_cards import Card
from calmasters.images.master_file import write_master
from calmasters.model.job import FrameFile, MasterJob

__all__ = ["assembled_files", "assembled_name"]


def assembled_name(number: int, file: FrameFile) -> str:
    """Return the name of the file of a frame: its number, and its own name in plain characters."""
    stem = re.sub(r"[^\w.-]", "_", Path(file.path).stem, flags=re.ASCII)
    return f"{number + 1:05}_{stem}.xisf"


@contextmanager
def assembled_files(
    job: MasterJob, files: Sequence[FrameFile], input_dir: Path, folder: Path
) -> Iterator[int]:
    """Write frames of a job with a layout to a folder, and finally remove it.

    Yields
    ------
    int
        Number of samples that were NaN or infinite and were replaced by 0.
    """
    shutil.rmtree(folder, ignore_errors=True)
    if job.geometry.layout is None:
        yield 0
        return
    pattern = job.geometry.bayerpat
    cards = [Card("BAYERPAT", pattern)] if pattern else []
    not_finite = 0
    folder.mkdir(parents=True)
    try:
        for number, file in enumerate(files):
            with open_frame_of(job, input_dir / file.path) as frame:
                strip = frame.read(0, frame.size)
            image = strip.samples.reshape(frame.height, frame.width)
            write_master(folder / assembled_name(number, file), image, cards)
            not_finite += strip.not_finite
        yield not_finite
    finally:
        shutil.rmtree(folder, ignore_errors=True)
