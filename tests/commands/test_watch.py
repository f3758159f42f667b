from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calmasters.commands.watch import quiet_after


def test_what_has_changed_waits_until_nothing_changes() -> None:
    spans = [set(), {"a"}, {"a"}, {"b"}, set(), set(), {"c"}, set()]
    seen: list[int] = []
    moments = iter(range(len(spans)))
    ready = quiet_after(spans[moment] for moment in moments if seen.append(moment) is None)
    assert [seen[-1] for _ in ready] == [4, 7]


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Start the watch on a folder; every run adds a line with the sizes of the frames."""
    runs: list[subprocess.Popen[bytes]] = []

    def start(folder: Path, afterwards: str = "") -> Path:
        notes = tmp_path / "notes.txt"
        note = (
            "import pathlib, sys; sizes = [p.stat().st_size for p in "
            "sorted(pathlib.Path(sys.argv[1]).rglob('*.fits'))]; "
            "open(sys.argv[2], 'a').write(f'{sizes}\\n'); " + afterwards
        )
        command = [sys.executable, "-c", note, str(folder), str(notes)]
        watch = (
            "from calmasters.commands.watch import run_after_arrivals; "
            f"run_after_arrivals({[str(folder)]!r}, {command!r}, quiet_s=1)"
        )
        runs.append(subprocess.Popen([sys.executable, "-c", watch]))
        return notes

    yield start
    for run in runs:
        if sys.platform == "win32":
            run.kill()
            run.wait()
        else:
            run.send_signal(signal.SIGINT)
            # Where it interrupts a run, this watch has nobody who catches it.
            assert run.wait(20) in (0, -signal.SIGINT)


def lines(notes: Path, count: int) -> list[str]:
    """Wait for as many runs."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = notes.read_text().splitlines() if notes.exists() else []
        if len(found) >= count:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{count} runs were expected, there were {found}")


def test_a_frame_that_is_being_written_is_waited_for(
    tmp_path: Path, watching: Callable[..., Path]
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    notes = watching(folder)
    assert lines(notes, 1) == ["[]"]
    with (folder / "a.fits").open("wb") as file:
        for _ in range(10):
            file.write(bytes(2880))
            file.flush()
            time.sleep(0.3)
    assert lines(notes, 2) == ["[]", "[28800]"]
    (folder / "notes.txt").write_text("no frame")
    (folder / "b.fits").write_bytes(bytes(5760))
    assert lines(notes, 3)[-1] == "[28800, 5760]"


def test_a_folder_that_is_moved_in_is_seen(tmp_path: Path, watching: Callable[..., Path]) -> None:
    folder, outside = tmp_path / "frames", tmp_path / "night"
    folder.mkdir()
    (outside / "inner").mkdir(parents=True)
    (outside / "inner" / "a.fits").write_bytes(bytes(2880))
    notes = watching(folder)
    lines(notes, 1)
    time.sleep(2.5)  # the first span without a change is over
    outside.rename(folder / "night")
    assert lines(notes, 2) == ["[]", "[2880]"]
    (folder / "empty").mkdir()
    time.sleep(2.5)
    assert lines(notes, 2) == ["[]", "[2880]"]


def test_what_arrives_during_the_first_run_is_seen(
    tmp_path: Path, watching: Callable[..., Path]
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    notes = watching(folder, "(p := pathlib.Path(sys.argv[1], 'a.fits')).exists() or p.touch()")
    assert lines(notes, 2) == ["[]", "[0]"]
