"""Read JSON into the types that dataclasses declare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["members_of", "read_as"]

_T = TypeVar("_T")


def read_as(kind: type[_T], stored: Any, where: str = "") -> _T:
    """Return what JSON stands for.

    Parameters
    ----------
    kind : type
        A dataclass, a named tuple (a list in JSON), an enumeration, a plain type; mappings,
        sequences and unions of them. Members that a dataclass does not have are ignored: a later
        version may write more.
    stored : object
        What ``json.loads`` has returned.
    where : str
        Its place, for messages.

    Raises
    ------
    TypeError, ValueError
        If it is not of this type, with the place.
    """
    result: _T = _read(kind, stored, where)
    return result


def members_of(kind: Any) -> dict[str, Any]:
    """Return the members of a dataclass or a named tuple, by name, with their types."""
    return dict(_hints(kind))


def _read(kind: Any, stored: Any, where: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return stored
    if origin in (Union, UnionType):
        return _read_one_of(inner, stored, where)
    if origin is tuple or origin is Sequence:
        _require(list, stored, where)
        return tuple(_read(inner[0], each, f"{where}[{at}]") for at, each in enumerate(stored))
    if origin is Mapping:
        _require(dict, stored, where)
        return {key: _read(inner[1], each, f"{where}.{key}") for key, each in stored.items()}
    if is_dataclass(kind):
        return _read_dataclass(kind, stored, where)
    if hasattr(kind, "_fields"):
        _require(list, stored, where)
        types = _hints(kind).values()
        return kind(
            *(_read(each, value, where) for each, value in zip(types, stored, strict=False))
        )
    if issubclass(kind, Enum):
        return kind(stored)
    if kind is float:
        _require((int, float), stored, where)
        return stored
    _require(kind, stored, where)
    return stored


def _read_one_of(kinds: Sequence[Any], stored: Any, where: str) -> Any:
    for kind in kinds:
        with suppress(TypeError, ValueError):
            return _read(kind, stored, where)
    known = " or ".join(_name(kind) for kind in kinds)
    raise TypeError(f"{where or 'content'}: {_shown(stored)}, expected {known}")


def _read_dataclass(kind: Any, stored: Any, where: str) -> Any:
    _require(dict, stored, where)
    hints, values = _hints(kind), {}
    for name, needed in _fields(kind):
        if name in stored:
            values[name] = _read(hints[name], stored[name], f"{where}.{name}" if where else name)
        elif needed:
            raise ValueError(f"{where or 'content'}: there is no {name}")
    return kind(**values)


@cache
def _fields(kind: Any) -> Sequence[tuple[str, bool]]:
    """Return the names of the fields, and whether each is needed."""
    return tuple(
        (each.name, each.default is MISSING and each.default_factory is MISSING)
        for each in fields(kind)
    )


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _require(kind: Any, stored: Any, where: str) -> None:
    # In Python, true and false are whole numbers, too.
    is_wrong_truth = isinstance(stored, bool) and kind is not bool
    if is_wrong_truth or not isinstance(stored, kind):
        raise TypeError(f"{where or 'content'}: {_shown(stored)}, expected {_name(kind)}")


def _shown(stored: Any) -> str:
    text = repr(stored)
    return text if len(text) < 40 else f"{text[:36]}…"


def _name(kind: Any) -> str:
    if isinstance(kind, tuple):
        return "a number"
    words = {
        str: "text",
        dict: "an object",
        list: "a list",
        NoneType: "null",
        int: "a whole number",
    }
    return words.get(kind, getattr(kind, "__name__", str(kind)))
