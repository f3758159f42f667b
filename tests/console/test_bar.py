from __future__ import annotations

import io
import threading
import time

from calmasters.console.bar import Bar, State, bar_line


def test_the_bar_shows_share_time_and_what_is_at_work() -> None:
    line = bar_line(State(0.5, ["bias", "dark 60 s"]), 71.9, columns=80)
    assert line == "| [############............]  50% 1:11 bias; dark 60 s"


def test_the_bar_is_shorter_than_the_terminal() -> None:
    assert len(bar_line(State(1.0, ["a long name"] * 9), 0, columns=40)) == 39


def test_the_bar_moves_until_it_is_stopped_and_leaves_an_empty_line() -> None:
    stream, shares = io.StringIO(), iter(range(100))
    bar = Bar(stream, threading.RLock(), lambda: State(next(shares) / 100, ["bias"]))
    bar.start()
    deadline = time.monotonic() + 30
    while "   2% " not in stream.getvalue():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    bar.stop()
    shown = stream.getvalue()
    assert shown.endswith("\r\x1b[K")
    assert [text in shown for text in ("   0% ", "   1% ")] == [True, True]
    time.sleep(0.5)
    assert stream.getvalue() == shown
