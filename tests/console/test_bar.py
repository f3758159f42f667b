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


def on_the_line(text: str) -> str:
    """What a terminal shows on its line that knows no control character but the carriage return."""
    line: list[str] = []
    for written in text.split("\r"):
        line[: len(written)] = written
    return "".join(line).rstrip()


def test_a_shorter_bar_leaves_nothing_of_a_longer_one() -> None:
    stream, states = io.StringIO(), [State(0.5, ["a long name"]), State(0.5, ["bias"])]
    bar = Bar(stream, threading.RLock(), lambda: states[0] if len(states) == 1 else states.pop(0))
    bar.start()
    deadline = time.monotonic() + 30
    while not on_the_line(stream.getvalue()).endswith(" bias"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "name" not in on_the_line(stream.getvalue())
    bar.stop()


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
    assert shown.replace("\r", "").isprintable()
    assert on_the_line(shown) == ""
    assert [text in shown for text in ("   0% ", "   1% ")] == [True, True]
    time.sleep(0.5)
    assert stream.getvalue() == shown
