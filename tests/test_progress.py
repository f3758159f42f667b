from __future__ import annotations

import subprocess
import sys

import pytest

from calmasters.progress import progress

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
