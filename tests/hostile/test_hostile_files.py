"""Hostile files are refused with a reason, in limited time and memory; valid files are used."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hostile_files import BOMBS, HOSTILE, VALID, Hostile, padded, plain

from calmasters.errors import FrameError
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import write_master
from calmasters.images.raw_frame import RawFrame
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.scan import scan_frames
from calmasters.inventory.verdicts import check_frame
from calmasters.model.master_record import header_cards
from calmasters.planning.naming import LONGEST_NAME
from calmasters.planning.planner import decide
from calmasters.settings import Settings

#: Far above the needs of normal files, far below those of bombs.
SECONDS, BYTES = 10.0, 40_000_000


@pytest.fixture
def frames(settings: Settings) -> Path:
    settings.input_dir.mkdir()
    return settings.input_dir


def refusal(settings: Settings) -> str:
    """Why the inventory refuses the only frame of input_dir; empty if it does not."""
    cache = HeaderCache(settings)
    (frame,) = cache.read(scan_frames(settings), settings.input_dir)
    verdict = check_frame(frame, settings)
    return verdict.reason if verdict else ""


def unpacking_error(path: Path) -> str:
    try:
        with RawFrame(path) as frame:
            frame.read(0, frame.size)
    except FrameError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("hostile", [*HOSTILE, *BOMBS], ids=lambda hostile: hostile.name)
def test_a_hostile_file_is_refused_with_a_reason(
    frames: Path, settings: Settings, hostile: Hostile
) -> None:
    path = frames / hostile.name
    path.write_bytes(hostile.make())
    started = time.perf_counter()
    tracemalloc.start()
    try:
        messages = refusal(settings), unpacking_error(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - started < SECONDS
    assert peak < BYTES
    assert hostile.message in messages[hostile.unpacking]
    assert bool(messages[0]) != hostile.unpacking


@pytest.mark.parametrize("name", VALID)
def test_the_same_file_without_the_fault_is_used(
    frames: Path, settings: Settings, name: str
) -> None:
    (frames / name).write_bytes(VALID[name])
    assert refusal(settings) == ""
    with RawFrame(frames / name) as frame:
        samples = frame.read(0, frame.size).samples
    assert len(np.unique(samples)) > 60


@pytest.mark.parametrize("ending", ["xisf", "fits"])
def test_a_value_of_100_kb_is_kept_and_the_name_of_the_master_is_short(
    frames: Path, settings: Settings, ending: str
) -> None:
    lines = [b"INSTRUME= 'camera&'", *[b"CONTINUE  '" + b"x" * 66 + b"&'"] * 1500]
    head = plain(INSTRUME=None)
    head = head[: head.index(b"END     ")]
    content = head + b"".join(line.ljust(80) for line in (*lines, b"END"))
    for number in range(3):
        pixels = np.full(64, number, ">i2").tobytes()
        file = content.ljust(-(-len(content) // 2880) * 2880) + padded(pixels)
        (frames / f"{number}.fits").write_bytes(file)
    (job,) = decide(settings).jobs
    assert len(str(job.keywords["INSTRUME"])) > 99_000
    assert len(job.name) <= LONGEST_NAME
    master = settings.input_dir / f"master.{ending}"
    write_master(master, np.full((8, 8), 0.5, np.float32), header_cards(job))
    assert read_cards(master)["INSTRUME"] == job.keywords["INSTRUME"]
