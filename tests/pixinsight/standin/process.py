"""Process instances: sealed, and checked against the published table of parameters."""

from __future__ import annotations

import copy
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from standin.objects import UNDEFINED, Class, Int64, Method, Remote, ScriptTypeError, expect

TYPES = {"bool": bool, "string": str, "int": int, "uint": int, "real": float, "enum": int}
DEFAULTS = {"bool": False, "string": "", "int": 0, "uint": 0, "real": 0.0, "enum": 0}


@cache
def table(process: str) -> dict[str, dict[str, Any]]:
    """Return the parameters of a process by name."""
    path = Path(__file__).with_name("parameters.json")
    return {row["id"]: row for row in json.loads(path.read_text(encoding="utf-8"))[process]}


def constants(process: str) -> dict[str, int]:
    """Return the items of all enumerations of a process."""
    enums = [row["items"] for row in table(process).values() if row["type"] == "enum"]
    return {name: number for items in enums for name, number in items.items() if number is not None}


class Process(Remote):
    """An instance of a process."""

    methods = frozenset({"executeGlobal", "canExecuteGlobal", "validate"})

    def __init__(self, core: Any, process: str) -> None:
        self.core = core
        self.process = process
        self.rows = {
            name: row
            for name, row in table(process).items()
            if core.version >= tuple(map(int, row.get("since", "0").split(".")))
        }
        self.values = {
            name: [] if row["type"] == "table" else row.get("default", DEFAULTS[row["type"]])
            for name, row in self.rows.items()
        }
        self.explicit: dict[str, Any] = {}

    def named(self, name: str) -> str:
        """Return the name of the parameter with this name or alias."""
        return next((key for key, row in self.rows.items() if row.get("alias") == name), name)

    def get(self, name: str) -> Any:
        if name in self.methods:
            return Method(name)
        value = copy.deepcopy(self.values.get(self.named(name), UNDEFINED))
        is_count = self.rows.get(self.named(name), {}).get("type") == "uint"
        return Int64(value) if is_count else value

    def has(self, name: str) -> bool:
        return self.named(name) in self.rows or name in self.methods

    def set(self, name: str, value: Any) -> None:
        name = self.named(name)
        if name not in self.rows:
            raise ScriptTypeError(f"{self.process} has no parameter '{name}'")
        if self.rows[name].get("readOnly"):
            raise ScriptTypeError(f"{self.process}.{name} is read-only")
        check(value, self.rows[name], f"{self.process}.{name}")
        self.values[name] = self.explicit[name] = value

    def item(self, name: str) -> str:
        """Return the name of the current item of an enumeration."""
        items = self.rows[name]["items"]
        return next(key for key, number in items.items() if number == self.values[name])

    def canExecuteGlobal(self) -> bool:  # noqa: N802
        return True

    def validate(self) -> bool:
        return True

    def executeGlobal(self) -> bool:  # noqa: N802
        return bool(self.core.execute(self))


def check(value: Any, row: dict[str, Any], what: str) -> None:
    """Raise ScriptTypeError for a value that a parameter does not accept."""
    if row["type"] == "table":
        check_table(value, row, what)
        return
    expect(value, TYPES[row["type"]], what)
    if row["type"] == "enum" and value not in row["items"].values():
        raise ScriptTypeError(f"{what}: {value} is no item of this enumeration")
    low, high = row.get("min"), row.get("max")
    if (low is not None and value < low) or (high is not None and value > high):
        raise ScriptTypeError(f"{what}: {value} is out of range [{low}, {high}]")


def check_table(value: Any, row: dict[str, Any], what: str) -> None:
    expect(value, list, what)
    for cells in value:
        expect(cells, list, f"{what}: a row")
        if len(cells) != len(row["columns"]):
            raise ScriptTypeError(
                f"{what}: a row has {len(cells)} cells, not {len(row['columns'])}"
            )
        for cell, column in zip(cells, row["columns"], strict=True):
            check(cell, column, f"{what}.{column['id']}")


class Constants(Remote):
    """A process's constants: on the prototype in one engine, on the constructor in the other."""

    def __init__(self, process: str) -> None:
        self.items = constants(process)

    def get(self, name: str) -> Any:
        return self.items.get(name, UNDEFINED)

    def has(self, name: str) -> bool:
        return name in self.items


class Prototype(Remote):
    """The statics of a process in the old engine: only the prototype."""

    def __init__(self, process: str) -> None:
        self.prototype = Constants(process)

    def get(self, name: str) -> Any:
        return self.prototype if name == "prototype" else UNDEFINED


class V8Statics(Constants):
    """The statics of a process in V8: the constants; the prototype has none."""

    def get(self, name: str) -> Any:
        return Remote() if name == "prototype" else super().get(name)


def process_class(core: Any, process: str) -> Class:
    statics = Prototype(process) if core.is_legacy else V8Statics(process)
    return Class(lambda: Process(core, process), statics)


def abort() -> None:
    """End like an access violation: without exceptions and exit handlers."""
    os._exit(139)
