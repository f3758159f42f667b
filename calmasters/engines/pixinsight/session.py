"""One PixInsight for the masters of one run: begun by the run, asked by the jobs of its masters."""

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
from calmasters.engines.subprocesses import ended_by_sigterm
from calmasters.errors import EngineError
from calmasters.settings import PixInsight

__all__ = ["Session", "begin", "joined"]

#: The environment variable that tells the jobs of a run: host, port, token.
_VARIABLE: Final = "CALMASTERS_PIXINSIGHT"
#: Seconds in which PixInsight is ended for certain.
_LEAVE_S: Final = 20.0


def begin(log: Path) -> subprocess.Popen[str]:
    """Begin a session for this process and all that it starts.

    PixInsight is not started before it is asked for. It is kept by a process of its own
    (:mod:`.supervisor`), which ends when this one does.

    Parameters
    ----------
    log : Path
        Takes what PixInsight prints; not written before there is one.

    Returns
    -------
    Popen
        The supervisor. Its ``communicate`` ends the session and returns when all of it has ended.
    """
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "calmasters.engines.pixinsight.supervisor", log.absolute()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # What ends all that a terminal runs must not end the supervisor: it would end nobody else.
        start_new_session=sys.platform != "win32",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    assert supervisor.stdout
    os.environ[_VARIABLE] = f"{socket.gethostname()} {supervisor.stdout.readline().strip()}"
    return supervisor


class Session:
    """A connection to the supervisor of this run's PixInsight.

    Parameters
    ----------
    connection : socket
    token : str
        Which the supervisor requires.
    """

    def __init__(self, connection: socket.socket, token: str) -> None:
        self._connection = connection
        self._token = token

    def make(self, task: Task, options: PixInsight) -> str | None:
        """Have a master made; see :meth:`.instance.Instance.make`.

        Raises
        ------
        EngineError
            If PixInsight cannot be started, or its supervisor has died.
        """
        binary = str(options.binary) if options.binary else None
        question = {
            "token": self._token,
            "job": task.job,
            "options": {**asdict(options), "binary": binary},
        }
        try:
            answer = self._ask(json.dumps(question))
        except (OSError, ValueError) as error:
            raise EngineError(
                "the process that keeps PixInsight for the masters of this run has died; run again"
            ) from error
        if "error" in answer:
            raise EngineError(answer["error"])
        ending: str | None = answer["ending"]
        return ending

    def _ask(self, question: str) -> dict[str, Any]:
        self._connection.sendall(f"{question}\n".encode("ascii"))
        with self._connection.makefile("r", encoding="ascii") as stream:
            answer: dict[str, Any] = json.loads(stream.readline())
        return answer

    def leave(self) -> None:
        """Break off, and return when PixInsight does not work for us any more."""
        with suppress(OSError):
            # Who is not served yet would wait for the masters of others.
            self._connection.settimeout(_LEAVE_S)
            self._connection.shutdown(socket.SHUT_WR)
            while self._connection.recv(4096):
                pass


@contextmanager
def joined() -> Iterator[Session | None]:
    """Join the session of this run: None where there is none, or not on this machine."""
    host, port, token = (os.environ.get(_VARIABLE, "").split() + [""] * 3)[:3]
    connection = None
    if host == socket.gethostname() and port:
        with suppress(OSError):
            connection = socket.create_connection(("127.0.0.1", int(port)))
    if connection is None:
        yield None
        return
    session = Session(connection, token)
    with connection, ended_by_sigterm():
        try:
            yield session
        finally:
            session.leave()
