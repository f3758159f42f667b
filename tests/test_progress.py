from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from calmasters.progress import PROGRESS_FOLDER, JobProgress, progress, read_shares

SLOW = """
import time
from calmasters.progress import progress
for _ in progress(range(15), "reading headers"):
    time.sleep(0.1)
print("done")
"""


def test_all_items_come_in_order() -> None:
    assert list(progress(iter([3, 1, 2]), "reading")) == [3, 1, 2]


def test_nothing_is_shown_without_a_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", SLOW], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("done\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX")
def test_a_terminal_shows_the_progress_of_a_long_loop() -> None:
    import os
    import pty
    import termios

    theirs, ours = pty.openpty()
    termios.tcsetwinsize(ours, (24, 80))
    subprocess.run([sys.executable, "-c", SLOW], stdout=subprocess.DEVNULL, stderr=ours, check=True)
    os.set_blocking(theirs, False)
    shown = os.read(theirs, 1 << 16).decode()
    for end in (ours, theirs):
        os.close(end)
    assert "reading headers" in shown
    assert "/15" in shown


def test_a_job_says_how_far_it_is_through_its_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROGRESS_FOLDER, str(tmp_path))
    job, seen = JobProgress(), []
    job.begin("masters/flat/é.xisf", stages=2)
    for _ in range(2):
        for _ in job.stage(range(2)):
            (share,) = read_shares(tmp_path)
            seen.append(share.share)
            time.sleep(0.25)
    assert seen == [0.0, 0.25, 0.5, 0.75]
    assert share.what == "masters/flat/é.xisf"


def test_a_job_writes_its_file_at_most_five_times_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROGRESS_FOLDER, str(tmp_path))
    job = JobProgress()
    job.begin("bias")
    assert len([*job.stage(range(1000))]) == 1000
    (share,) = read_shares(tmp_path)
    assert share.share < 1


def test_a_folder_that_is_gone_or_a_damaged_file_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROGRESS_FOLDER, str(tmp_path / "gone"))
    assert [*progress([1, 2], "reading headers")] == [1, 2]
    (tmp_path / "1").write_text("not a number")
    assert read_shares(tmp_path) == []
