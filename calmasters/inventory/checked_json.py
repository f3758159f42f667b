"""JSON files that show by a checksum whether they are as they were written.

A cache is believed without looking at the frames again. Most damaged JSON is still JSON: another
digit would be another exposure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from calmasters.atomic_files import write_whole

__all__ = ["read_checked", "write_checked"]

_START: Final = re.compile(rb'\{"checksum": "([0-9a-f]{8})", ')


def write_checked(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping, whole or not at all."""
    text = json.dumps(content)[1:]
    write_whole(path, f'{{"checksum": "{crc32(text.encode()):08x}", {text}')


def read_checked(path: Path) -> dict[str, Any]:
    """Read what :func:`write_checked` wrote; nothing if there is no such file, or it is damaged."""
    try:
        text = path.read_bytes()
    except OSError:
        return {}
    start = _START.match(text)
    if not start or int(start[1], 16) != crc32(memoryview(text)[start.end() :]):
        return {}
    # An empty mapping leaves a comma before its end.
    content: dict[str, Any] = json.loads(b"{" + text[start.end() :])
    return content
