"""The process that supervises the PixInsight of one run.

``python -m calmasters.engines.pixinsight.supervisor LOG`` prints the port and the token of its
server, and makes requested masters in sequence. It ends, and PixInsight with it, when its standard
input ends: that is when the process that started it ends, even if that was killed.
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
from calmasters.engines.subprocesses import ended_by_signals
from calmasters.errors import CalmastersError
from calmasters.settings import PixInsight

__all__ = ["Supervisor", "main"]

#: Seconds after which an idle PixInsight is ended, to free its memory.
_IDLE_S: Final = 600.0
#: Seconds in which a waiting PixInsight must take a job; it checks twenty times a second.
_ANSWER_S: Final = 30.0
#: Seconds between two checks of an idle PixInsight.
_CHECK_S: Final = 0.5
#: Seconds in which a connected client must send its request.
_REQUEST_S: Final = 10.0


class Supervisor:
    """Starts, replaces and ends PixInsight as it is needed.

    Parameters
    ----------
    log : Path
        Receives the output of PixInsight; created when that starts.
    idle_s : float
        Seconds without a request after which PixInsight is ended.
    answer_s : float
        Seconds in which a PixInsight that has made masters must take the next.
    """

    def __init__(self, log: Path, idle_s: float = _IDLE_S, answer_s: float = _ANSWER_S) -> None:
        self._log = log
        self._mode: Literal["wb", "ab"] = "wb"
        self._answer_s = answer_s
        self._idle_s = idle_s
        self._instance: Instance | None = None
        self._resources = ExitStack()
        self._last_request = time.monotonic()

    def make(self, task: Task, options: PixInsight, is_wanted: Callable[[], bool]) -> str | None:
        """Make a master; see :meth:`.instance.Instance.make`.

        A failure in a PixInsight that has made other masters can be a consequence of these, so the
        task is repeated once in a new one.
        """
        is_new = self._instance is None
        ending = self._attempt(task, options, is_wanted)
        if not is_new and is_wanted() and task.status().state != "completed":
            self.end()
            ending = self._attempt(task, options, is_wanted)
        if self._instance and self._instance.requests >= options.jobs_per_session:
            self.stop()
        self._last_request = time.monotonic()
        return ending

    def _attempt(
        self, task: Task, options: PixInsight, is_wanted: Callable[[], bool]
    ) -> str | None:
        if self._instance is None:
            self._instance = self._start(options)
        timeouts = Timeouts(60 * options.timeout_minutes, self._answer_s)
        ending = self._instance.make(task, timeouts, is_wanted)
        if not task.status().is_final:
            self.end()
        return ending

    def _start(self, options: PixInsight) -> Instance:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opening:
            log = opening.enter_context(self._log.open(self._mode))
            instance = opening.enter_context(running(options, log))
            self._mode, self._resources = "ab", opening.pop_all()
        return instance

    def maintain(self) -> None:
        """Send a heartbeat to an idle PixInsight; end it after a long idle time."""
        if self._instance is None:
            return
        self._instance.send_heartbeat()
        if time.monotonic() - self._last_request > self._idle_s or not self._instance.is_running:
            self.stop()

    def stop(self) -> None:
        """End PixInsight, if it runs, after giving it time to exit by itself."""
        if self._instance:
            self._instance.request_exit()
        self.end()

    def end(self) -> None:
        """End PixInsight, if it runs, with all its processes."""
        self._instance = None
        self._resources.close()


def _serve(
    server: socket.socket, token: str, supervisor: Supervisor, is_over: Callable[[], bool]
) -> None:
    """Answer clients one by one until ``is_over``."""
    server.settimeout(_CHECK_S)
    while not is_over():
        try:
            client, _ = server.accept()
        except TimeoutError:
            supervisor.maintain()
            continue
        with client:
            client.settimeout(_REQUEST_S)
            _answer(client, token, supervisor, is_over)


def _answer(
    client: socket.socket, token: str, supervisor: Supervisor, is_over: Callable[[], bool]
) -> None:
    """Answer one client; ignore clients without the token and those that disconnect."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        with client.makefile("r", encoding="ascii") as stream:
            request = json.loads(stream.readline())
        if not hmac.compare_digest(request.pop("token"), token):
            return

        def is_wanted() -> bool:
            return not is_over() and not _has_disconnected(client)

        answer = _make_master(request, supervisor, is_wanted)
        if is_wanted():
            client.sendall(f"{json.dumps(answer)}\n".encode("ascii"))


def _make_master(
    request: Mapping[str, Any], supervisor: Supervisor, is_wanted: Callable[[], bool]
) -> dict[str, str | None]:
    """Make the requested master; return how PixInsight ended, or why it did not start."""
    task = Task(request["job"])
    options = PixInsight.from_config(request["options"])
    try:
        return {"ending": supervisor.make(task, options, is_wanted)}
    except (CalmastersError, OSError) as error:
        return {"error": str(error)}


def _has_disconnected(client: socket.socket) -> bool:
    """Whether a client has disconnected; it sends nothing else after its request."""
    return bool(select.select([client], [], [], 0)[0])


def _await_end_of_input(ended: Event) -> None:
    # Not sys.stdin: a thread that is blocked in it would keep the process from ending.
    while os.read(0, 1):
        pass
    ended.set()


def main() -> None:
    """Supervise PixInsight until the standard input ends."""
    token, ended = secrets.token_hex(), Event()
    Thread(target=_await_end_of_input, args=[ended], daemon=True).start()
    supervisor = Supervisor(Path(sys.argv[1]))
    with socket.create_server(("127.0.0.1", 0)) as server, ended_by_signals():
        print(server.getsockname()[1], token, flush=True)
        try:
            _serve(server, token, supervisor, ended.is_set)
            supervisor.stop()
        finally:
            supervisor.end()


if __name__ == "__main__":
    main()
