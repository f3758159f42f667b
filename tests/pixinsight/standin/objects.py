"""JavaScript objects of PixInsight in Python, with checks of all names and types."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar


class ScriptError(Exception):
    """Becomes an exception in the script."""

    kind = "Error"


class ScriptTypeError(ScriptError):
    """A property that does not exist, a value of the wrong type."""

    kind = "TypeError"


class UndefinedType:
    def __repr__(self) -> str:
        return "undefined"


UNDEFINED = UndefinedType()


class Int64(int):
    """A number of 64 bits: in V8 a BigInt, which no parameter accepts."""


class Remote:
    """An object of scripts; subclasses list the members that can be read, written and called."""

    readable: ClassVar[frozenset[str]] = frozenset()
    writable: ClassVar[dict[str, type | tuple[type, ...]]] = {}
    methods: ClassVar[frozenset[str]] = frozenset()

    def get(self, name: str) -> Any:
        if name in self.methods:
            return Method(name)
        if name in self.readable or name in self.writable:
            return getattr(self, name)
        return UNDEFINED

    def set(self, name: str, value: Any) -> None:
        if name not in self.writable:
            raise ScriptTypeError(f"{type(self).__name__} has no writable property '{name}'")
        expect(value, self.writable[name], f"{type(self).__name__}.{name}")
        setattr(self, name, value)

    def has(self, name: str) -> bool:
        return name in self.readable or name in self.writable or name in self.methods

    def call(self, name: str, *values: Any) -> Any:
        if name not in self.methods:
            raise ScriptTypeError(f"{type(self).__name__} has no method '{name}'")
        try:
            return getattr(self, name)(*values)
        except (OSError, TypeError) as error:
            raise ScriptError(f"{type(self).__name__}.{name}: {error}") from error


class Method:
    def __init__(self, name: str) -> None:
        self.name = name


class Class(Remote):
    """A constructor, with its static methods and properties."""

    def __init__(self, construct: Callable[..., Remote], statics: Remote | None = None) -> None:
        self.construct = construct
        self.statics = statics or Remote()

    def get(self, name: str) -> Any:
        return self.statics.get(name)

    def has(self, name: str) -> bool:
        return self.statics.has(name)

    def set(self, name: str, value: Any) -> None:
        raise ScriptTypeError(f"a constructor's property '{name}' cannot be set")

    def call(self, name: str, *values: Any) -> Any:
        return self.statics.call(name, *values)


def expect(value: Any, kind: type | tuple[type, ...], what: str) -> None:
    """Raise ScriptTypeError for a value of another type; booleans and NaN are not numbers."""
    wanted = kind if isinstance(kind, tuple) else (kind,)
    is_wanted = type(value) in wanted or (float in wanted and type(value) is int)
    if isinstance(value, float) and math.isnan(value):
        is_wanted = False
    if not is_wanted and not any(issubclass(k, Remote) and isinstance(value, k) for k in wanted):
        raise ScriptTypeError(f"{what}: invalid argument type, {value!r} given")
