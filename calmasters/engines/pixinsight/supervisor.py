"""The process that supervises the PixInsight of one run.

``python -m calmasters.engines.pixinsight.supervisor LOG`` prints where it can be asked, a port and
a token to connect with, and makes the masters it is asked for one after the other. It ends, and
PixInsight with it, when its standard input does: at the death of the process that started it,
whatever that died of.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import select
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final, Literal

from calmasters.engines.pixinsight.instance import Instance, Timeouts, running
from calmasters.engines.pixinsight.task import Task
from calmasters.engines.subprocesses import ended_by_sigterm
from calmasters.errors import CalmastersError
from calmasters.settings import PixInsight

__all__ = ["Supervisor", "main"]

#: Seconds after which a PixInsight that nobody asks for anything is let go; others want its memory.
_IDLE_S: Final = 600.0
#: Seconds in which a PixInsight that waits for a job takes it; it looks twenty times a second.
_ANSWER_S: Final = 30.0
#: Seconds between two looks at an idle PixInsight.
_LOOK_S: Final = 0.5
#: Seconds in which a question must have come, once somebody has begun to ask.
_QUESTION_S: Final = 10.0


class Supervisor:
    """Keeps a PixInsight running while it is needed: starts, replaces and ends it.

    Parameters
    ----------
    log : Path
        Takes what PixInsight prints; not written before there is one.
    idle_s : float
        How long it stays without being asked for a master.
    answer_s : float
        How long it may take to begin one, if it has made others.
    """

    def __init__(self, log: Path, idle_s: float = _IDLE_S, answer_s: float = _ANSWER_S) -> None:
        self._log = log
        self._mode: Literal["wb", "ab"] = "wb"
        self._answer_s = answer_s
        self._idle_s = idle_s
        self._instance: Instance | None = None
        self._holding = ExitStack()
        self._last_asked = time.monotonic()

    def make(self, task: Task, options: PixInsight, is_wanted: Callable[[], bool]) -> str | None:
        """Have a master made; see :meth:`.instance.Instance.make`.

        What goes wrong in a PixInsight that has made other masters may be their fault: such a
        task is tried once more in a new one.
        """
        is_new = self._instance is None
        ending = self._attempt(task, options, is_wanted)
        if not is_new and is_wanted() and task.status().state != "completed":
            self.end()
            ending = self._attempt(task, options, is_wanted)
        if self._instance and self._instance.asked >= options.jobs_per_session:
            self.let_go()
        self._last_asked = time.monotonic()
        return ending

    def _attempt(
        self, task: Task, options: PixInsight, is_wanted: Callable[[], bool]
    ) -> str | None:
        if self._instance is None:
            self._instance = self._started(options)
        timeouts = Timeouts(60 * options.timeout_minutes, self._answer_s)
        ending = self._instance.make(task, timeouts, is_wanted)
        if not task.status().is_final:
            self.end()
        return ending

    def _started(self, options: PixInsight) -> Instance:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opening:
            log = opening.enter_context(self._log.open(self._mode))
            instance = opening.enter_context(running(options, log))
            self._mode, self._holding = "ab", opening.pop_all()
        return instance

    def look_after(self) -> None:
        """Do between masters what has to be done."""
        if self._instance is None:
            return
        self._instance.beat()
        if time.monotonic() - self._last_asked > self._idle_s or not self._instance.is_running:
            self.let_go()

    def let_go(self) -> None:
        """End PixInsight, if there is one, when it has left by itself or had the time to."""
        if self._instance:
            self._instance.leave()
        self.end()

    def end(self) -> None:
        """End PixInsight, if there is one, with all its processes."""
        self._instance = None
        self._holding.close()


def _serve(
    server: socket.socket, token: str, supervisor: Supervisor, is_over: Callable[[], bool]
) -> None:
    """Answer one after the other until it is over."""
    server.settimeout(_LOOK_S)
    while not is_over():
        try:
            client, _ = server.accept()
        except TimeoutError:
            supervisor.look_after()
            continue
        with client:
            client.settimeout(_QUESTION_S)
            _answer(client, token, supervisor, is_over)


def _answer(
    client: socket.socket, token: str, supervisor: Supervisor, is_over: Callable[[], bool]
) -> None:
    """Answer one question; strangers are not heard, and who breaks off is not waited for."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        with client.makefile("r", encoding="ascii") as stream:
            question = json.loads(stream.readline())
        if not hmac.compare_digest(question.pop("token"), token):
            return

        def is_wanted() -> bool:
            return not is_over() and not _has_left(client)

        answer = _made(question, supervisor, is_wanted)
        if is_wanted():
            client.sendall(f"{json.dumps(answer)}\n".encode("ascii"))


def _made(
    question: Mapping[str, Any], supervisor: Supervisor, is_wanted: Callable[[], bool]
) -> dict[str, str | None]:
    """Have the master made that is asked for: how PixInsight ended, or why it did not start."""
    task = Task(question["job"])
    options = PixInsight.from_config(question["options"])
    try:
        return {"ending": supervisor.make(task, options, is_wanted)}
    except (CalmastersError, OSError) as error:
        return {"error": str(error)}


def _has_left(client: socket.socket) -> bool:
    """Whether who asked has gone: it says nothing more, so there is only an end to read."""
    return bool(select.select([client], [], [], 0)[0])


def _await_end_of_input(ended: Event) -> None:
    # Not sys.stdin: a thread that waits in it would not let the process end.
    while os.read(0, 1):
        pass
    ended.set()


def main() -> None:
    """Keep a PixInsight until the standard input ends."""
    token, ended = secrets.token_hex(), Event()
    Thread(target=_await_end_of_input, args=[ended], daemon=True).start()
    supervisor = Supervisor(Path(sys.argv[1]))
    with socket.create_server(("127.0.0.1", 0)) as server, ended_by_sigterm():
        print(server.getsockname()[1], token, flush=True)
        try:
            _serve(server, token, supervisor, ended.is_set)
            supervisor.let_go()
        finally:
            supervisor.end()


if __name__ == "__main__":
    main()
