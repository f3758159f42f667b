"""What the files contain that others read, with the versions of their formats, in ``tests/data``.

``python tests/model/formats.py`` writes it again. Only what was added may change without a version.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from calmasters.frame import FrameType, Geometry
from calmasters.frame_layout import FrameLayout, FramePart, Section
from calmasters.inventory import header_cache
from calmasters.inventory.table import COLUMNS
from calmasters.model.formats import FORMATS, RECORD, WRITTEN_KEYWORDS
from calmasters.model.job import FrameFile, LeftOut, MasterJob, Recipe, UsedMaster
from calmasters.model.master_record import MasterRecord, header_cards
from calmasters.model.typed_json import members_of
from calmasters.reporting.metrics import metrics_table
from calmasters.settings import Calibration, Integration

__all__ = ["described", "differences", "stored"]

_TESTS = Path(__file__).parents[1]
FORMATS_FILE = _TESTS / "data" / "formats.json"
_PACKAGE = _TESTS.parent / "calmasters"
#: What decides the content of the header cache.
_READING_HEADERS = (
    *sorted((_PACKAGE / "headers").rglob("*.py")),
    *sorted((_PACKAGE / "headers").rglob("*.yaml")),
    *(_PACKAGE / name for name in ("frame.py", "frame_layout.py", "inventory/header_cache.py")),
)


def described() -> dict[str, dict[str, Any]]:
    """Describe each format: its version, and what is in it."""
    metrics = [*metrics_table([], ["INSTRUME"])]
    return {
        "record": {"version": RECORD, "content": dict(_members("", MasterRecord))},
        "inventory": {"version": FORMATS["inventory.csv"], "content": [*COLUMNS]},
        "metrics": {"version": FORMATS["quality/metrics.csv"], "content": metrics},
        "keywords": {"version": WRITTEN_KEYWORDS, "content": _written_keywords()},
        "header cache": {"version": header_cache._FORMAT, "code": _code(*_READING_HEADERS)},
    }


def stored() -> Mapping[str, Mapping[str, Any]]:
    """Read the description."""
    read: Mapping[str, Mapping[str, Any]] = json.loads(FORMATS_FILE.read_text(encoding="utf-8"))
    return read


def differences(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Say what is no longer in a format, though its version is the same."""
    if before["version"] != now["version"]:
        return
    if before.get("code") != now.get("code"):
        yield f"{name}: the code that decides it has changed"
    old, new = before.get("content", ()), now.get("content", ())
    if isinstance(old, dict):
        changed = [key for key in old if new.get(key) != old[key]]
    else:
        changed = [key for key in old if key not in new]
    yield from (f"{name}: {key} is gone, or another" for key in changed)


def _members(where: str, kind: Any) -> Iterator[tuple[str, str]]:
    """Yield each member of a dataclass, and of those inside, with its type."""
    for member, hint in members_of(kind).items():
        inner = [each for each in (hint, *get_args(hint)) if _has_members(each)]
        yield f"{where}{member}", _text(hint)
        for each in inner:
            yield from _members(f"{where}{member}.", each)


def _text(hint: Any) -> str:
    """Write a type, the same in every version of Python."""
    if hint is NoneType:
        return "null"
    inner = [_text(each) for each in get_args(hint) if each is not Ellipsis]
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(inner)
    name = getattr(get_origin(hint) or hint, "__name__", str(hint))
    return f"{name} of {', '.join(inner)}" if inner else str(name)


def _has_members(kind: Any) -> bool:
    return is_dataclass(kind) or hasattr(kind, "_fields")


def _written_keywords() -> list[str]:
    """Collect the keywords of masters of all kinds."""
    overscan = (Section(8, 10, 0, 6),)
    one = FramePart(Section(0, 8, 0, 6), overscan=overscan)
    two = (
        FramePart(Section(0, 4, 0, 6), overscan=overscan, name="1"),
        FramePart(Section(4, 8, 0, 6), x=4, flip_x=True, overscan=overscan, name="2"),
    )
    flat = MasterJob(
        name="masterFlat",
        type=FrameType.FLAT,
        keywords={"INSTRUME": "Camera", "FILTER": "B", "DATE": "2026-01-15", "SET-TEMP": -10.0},
        geometry=Geometry(8, 6, 2, 2, "RGGB", 3, 4, FrameLayout.of(8, 6, (one,), "median")),
        frames=(FrameFile("a.fits", 1, 1, read_as="bottom-up"), FrameFile("b.fits", 1, 1)),
        header={"EXPTIME": 1.0, "EXPOSURE": 1.0, "EXPMIN": 1.0, "EXPMAX": 1.1, "TELESCOP": "T"},
        recipe=Recipe("native", 1, Integration(), Calibration(outputPedestal=9), "unit", "fits"),
        bias=UsedMaster("bias.fits", "run", ""),
        dark=UsedMaster("dark.fits", "library", ""),
        left_out=(LeftOut("c.fits", "damaged"),),
    )
    layout = FrameLayout.of(8, 6, two, "median")
    bias = replace(flat, type=FrameType.BIAS, geometry=replace(flat.geometry, layout=layout))
    written = {card.keyword: None for job in (flat, bias) for card in header_cards(job)}
    return [*written]


def _code(*files: Path) -> str:
    """Digest code without docstrings and lines of comments."""
    digest = hashlib.sha256()
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        if file.suffix == ".py":
            for first, last in _docstrings("\n".join(lines)):
                lines[first - 1 : last] = [""] * (last - first + 1)
        kept = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
        digest.update("\n".join(kept).encode())
    return digest.hexdigest()[:16]


def _docstrings(text: str) -> Iterator[tuple[int, int]]:
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str()) as constant):
                yield constant.lineno, constant.end_lineno or constant.lineno


def main() -> int:
    """Write the description, if what has changed needs no version or has one."""
    now = described()
    before = stored() if FORMATS_FILE.exists() else {}
    faults = [
        text
        for name in now
        if name in before
        for text in differences(name, before[name], now[name])
    ]
    # Whether other code reads headers otherwise, only a person knows.
    serious = [text for text in faults if "code" not in text]
    print("\n".join(faults))
    if serious:
        print("Raise the version first: calmasters/model/formats.py")
        return 1
    FORMATS_FILE.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
