"""A progress bar for a whole run, on the last line of the terminal."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TextIO

__all__ = ["Bar", "State", "bar_line"]

_INTERVAL_S: Final = 0.2
_WIDTH: Final = 24
_SPINNER: Final = "|/-\\"


class State(NamedTuple):
    """What the bar shows.

    Attributes
    ----------
    share : float
        Of the run, from 0 to 1.
    doing : sequence of str
        What is at work now.
    """

    share: float
    doing: Sequence[str]


def bar_line(state: State, seconds: float, columns: int, spinner: str = "|") -> str:
    """Write the bar as text no longer than the terminal is wide.

    Parameters
    ----------
    state : State
    seconds : float
        Since the run started.
    columns : int
        Width of the terminal.
    spinner : str
        One character that changes from picture to picture.
    """
    full = int(_WIDTH * state.share)
    minutes, rest = divmod(int(seconds), 60)
    bar = f"{'#' * full}{'.' * (_WIDTH - full)}"
    text = f"{spinner} [{bar}] {state.share:4.0%} {minutes}:{rest:02} {'; '.join(state.doing)}"
    return text[: columns - 1]


class Bar:
    """Draws the bar five times a second, until it is stopped.

    Parameters
    ----------
    stream : TextIO
        A terminal.
    lock : threading.RLock
        Held while something is written to the terminal.
    state : callable
        Gives the state to be shown.
    """

    def __init__(self, stream: TextIO, lock: threading.RLock, state: Callable[[], State]) -> None:
        self._stream, self._lock, self._state = stream, lock, state
        self._started_s = time.monotonic()
        self._width = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._draw, daemon=True)

    def start(self) -> None:
        """Begin to draw."""
        self._thread.start()

    def erase(self) -> None:
        """Remove the bar before a line of text; the caller holds the lock."""
        # Blanks, no control sequence: the older consoles of Windows print those as text.
        self._stream.write(f"\r{' ' * self._width}\r")
        self._width = 0

    def stop(self) -> None:
        """Remove the bar for good."""
        self._stopped.set()
        with self._lock:
            self.erase()
            self._stream.flush()

    def _draw(self) -> None:
        pictures = 0
        while not self._stopped.wait(_INTERVAL_S):
            spinner = _SPINNER[pictures % len(_SPINNER)]
            pictures += 1
            seconds, columns = (
                time.monotonic() - self._started_s,
                shutil.get_terminal_size().columns,
            )
            with self._lock:
                if not self._stopped.is_set():
                    line = bar_line(self._state(), seconds, columns, spinner)
                    self._stream.write(f"\r{line:<{self._width}}")
                    self._stream.flush()
                    self._width = len(line)
