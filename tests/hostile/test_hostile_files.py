"""What no camera writes is refused in words, in little time and memory, and nothing else is."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hostile_files import BOMBS, HOSTILE, SOUND, Hostile

from calmasters.errors import FrameError
from calmasters.grouping import judge
from calmasters.images import RawFrame
from calmasters.inventory import HeaderCache, scan_frames
from calmasters.settings import Settings

#: Far above what reading takes, far below what the bombs would.
SECONDS, BYTES = 10.0, 40_000_000


@pytest.fixture
def frames(settings: Settings) -> Path:
    settings.input_dir.mkdir()
    return settings.input_dir


def refusal(settings: Settings) -> str:
    """Why the inventory refuses the only frame of input_dir; empty where it does not."""
    cache = HeaderCache(settings)
    (frame,) = cache.read(scan_frames(settings), settings.input_dir)
    verdict = judge(frame, settings)
    return verdict.reason if verdict else ""


def unpacking_error(path: Path) -> str:
    try:
        with RawFrame(path) as frame:
            frame.read(0, frame.size)
    except FrameError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("hostile", [*HOSTILE, *BOMBS], ids=lambda hostile: hostile.name)
def test_a_hostile_file_is_refused_in_words(
    frames: Path, settings: Settings, hostile: Hostile
) -> None:
    path = frames / hostile.name
    path.write_bytes(hostile.make())
    started = time.perf_counter()
    tracemalloc.start()
    try:
        found = refusal(settings), unpacking_error(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - started < SECONDS
    assert peak < BYTES
    assert hostile.says in found[hostile.unpacking]
    assert bool(found[0]) != hostile.unpacking


@pytest.mark.parametrize("name", SOUND)
def test_the_same_file_without_the_fault_is_used(
    frames: Path, settings: Settings, name: str
) -> None:
    (frames / name).write_bytes(SOUND[name])
    assert refusal(settings) == ""
    with RawFrame(frames / name) as frame:
        samples = frame.read(0, frame.size).samples
    assert len(np.unique(samples)) > 60
