"""One PixInsight for all masters of a run: started by the run, used by the jobs of its masters."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from calmasters.engines.pixinsight.task import Task
from calmasters.engines.subprocesses import ended_by_signals
from calmasters.errors import EngineError
from calmasters.settings import PixInsight

__all__ = ["SupervisorConnection", "begin", "connected"]

#: The environment variable for the jobs of a run: host, port and token of the supervisor.
_VARIABLE: Final = "CALMASTERS_PIXINSIGHT"
#: Seconds after which PixInsight has certainly been ended.
_CLOSE_S: Final = 20.0


def begin(log: Path) -> subprocess.Popen[str]:
    """Begin a session for this process and all processes that it starts.

    PixInsight is started with the first master. Its supervisor is a separate process
    (:mod:`.supervisor`), which ends when this one does.

    Parameters
    ----------
    log : Path
        Receives the output of PixInsight; created when that starts.

    Returns
    -------
    Popen
        The supervisor. Its ``communicate`` ends the session, and returns when all processes have
        ended.
    """
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "calmasters.engines.pixinsight.supervisor", log.absolute()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A signal to all processes of a terminal must not end the supervisor before PixInsight.
        start_new_session=sys.platform != "win32",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    assert supervisor.stdout
    os.environ[_VARIABLE] = f"{socket.gethostname()} {supervisor.stdout.readline().strip()}"
    return supervisor


class SupervisorConnection:
    """A connection to the supervisor of this run's PixInsight.

    Parameters
    ----------
    connection : socket
    token : str
        The token that the supervisor requires.
    """

    def __init__(self, connection: socket.socket, token: str) -> None:
        self._connection = connection
        self._token = token

    def make(self, task: Task, options: PixInsight) -> str | None:
        """Make a master; see :meth:`.instance.Instance.make`.

        Raises
        ------
        EngineError
            If PixInsight cannot be started, or its supervisor does not answer.
        """
        binary = str(options.binary) if options.binary else None
        request = {
            "token": self._token,
            "job": task.job,
            "options": {**asdict(options), "binary": binary},
        }
        try:
            answer = self._send(json.dumps(request))
        except (OSError, ValueError) as error:
            raise EngineError(
                "the process that supervises PixInsight for this run does not answer; run again"
            ) from error
        if "error" in answer:
            raise EngineError(answer["error"])
        ending: str | None = answer["ending"]
        return ending

    def _send(self, request: str) -> dict[str, Any]:
        self._connection.sendall(f"{request}\n".encode("ascii"))
        with self._connection.makefile("r", encoding="ascii") as stream:
            answer: dict[str, Any] = json.loads(stream.readline())
        return answer

    def close(self) -> None:
        """Cancel the request, and return when PixInsight no longer works on it."""
        with suppress(OSError):
            # Without a time limit, a queued request would wait for the masters of other jobs.
            self._connection.settimeout(_CLOSE_S)
            self._connection.shutdown(socket.SHUT_WR)
            while self._connection.recv(4096):
                pass


@contextmanager
def connected() -> Iterator[SupervisorConnection | None]:
    """Connect to the session of this run; None if there is none on this machine."""
    host, port, token = (os.environ.get(_VARIABLE, "").split() + [""] * 3)[:3]
    connection = None
    if host == socket.gethostname() and port:
        with suppress(OSError):
            connection = socket.create_connection(("127.0.0.1", int(port)))
    if connection is None:
        yield None
        return
    supervisor = SupervisorConnection(connection, token)
    with connection, ended_by_signals():
        try:
            yield supervisor
        finally:
            supervisor.close()
