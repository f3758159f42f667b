"""The program that :func:`warm_python.warm_python` gives: it imports little, as it starts often."""

import json
import os
import socket
import sys

#: What the server answers: start a Python of your own; the program has started. Its exit code
#: follows, or nothing if it was killed.
START_ANOTHER, STARTED = b"a", b"s"
KILLED = 137

#: Bytes of the length of a request.
LENGTH = 8


def ask(address: str, python: str, *words: str) -> int:
    """Let the server run Python with these words; else run it here."""
    if words and (words[:2] == ("-m", "snakemake") or not words[0].startswith("-")):
        folder = os.getcwd()  # noqa: PTH109 - pathlib takes longer than all else here
        request = {"words": words, "folder": folder, "environment": {**os.environ}}
        content = json.dumps(request).encode()
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(address)
            socket.send_fds(server, [len(content).to_bytes(LENGTH, "big")], [0, 1, 2])
            server.sendall(content)
            answer = server.recv(1)
            if answer == STARTED:
                code = server.recv(1)
                return code[0] if code else KILLED
            assert answer == START_ANOTHER, "the server of the tests has ended"
    return os.execv(python, [python, *words])


if __name__ == "__main__":
    sys.exit(ask(*sys.argv[1:]))
