"""Check a configuration: every mistake in it, with its key and what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta, timezone, tzinfo
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from calmasters.errors import ConfigError

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

__all__ = ["check_config", "parse_zone"]


def check_config(config: Mapping[str, Any], schema: Path) -> None:
    """Check a whole configuration.

    Parameters
    ----------
    config : mapping
        All of ``config.yaml``: defaults, the user's file and ``--config`` merged.
    schema : Path
        ``config.schema.yaml``.

    Raises
    ------
    ConfigError
        With every mistake found, the key each is in, and the nearest valid key.
    """
    if mistakes := [*_mistakes(config, schema)]:
        raise ConfigError("\n  ".join(["the configuration has mistakes:", *mistakes]))


def _mistakes(config: Mapping[str, Any], schema: Path) -> Iterator[str]:
    """Find what the schema forbids and what only makes sense together."""
    import yaml
    from jsonschema import Draft202012Validator

    # The parser in C, which nearly every build has, is ten times as fast: each run waits for it.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loaded = yaml.load(schema.read_text(encoding="utf-8"), loader)
    errors = sorted(Draft202012Validator(loaded).iter_errors(config), key=lambda e: e.json_path)
    for error in errors:
        yield from _explained(error)
    if errors:
        return
    if "EXPOSURE" not in config["required_keywords"]["dark"]:
        yield (
            "required_keywords.dark: EXPOSURE is missing; darks of different exposure "
            "must not be averaged: add EXPOSURE to the list"
        )
    for keyword in ("DATE", "FILTER"):
        if keyword in config["master_match_keywords"]:
            yield (
                f"master_match_keywords: {keyword} must not be in it; a bias or dark serves flats "
                f"of any date and filter: take {keyword} out"
            )
    if config["night"]["timezone"] != "auto":
        try:
            parse_zone(config["night"]["timezone"])
        except ConfigError as error:
            yield str(error)


def _explained(error: ValidationError) -> Iterator[str]:
    where = error.json_path.removeprefix("$").removeprefix(".")
    if error.validator != "additionalProperties":
        yield f"{where or 'top level'}: {error.message}"
        return
    known = list(cast("Mapping[str, Any]", error.schema)["properties"])
    for key in cast("Mapping[str, Any]", error.instance):
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
            yield f"{where}{'.' if where else ''}{key}: there is no such key; {hint}"


@cache
def parse_zone(text: str) -> tzinfo:
    """Read a time zone: an IANA name ('Europe/Berlin') or an offset ('+02:00').

    Raises
    ------
    ConfigError
        If it is neither.
    """
    try:
        if offset := re.fullmatch(r"([-+])(\d{1,2}):?(\d{2})?", text):
            minutes = int(offset[2]) * 60 + int(offset[3] or 0)
            return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"night.timezone: '{text}' is no time zone; "
            "expected auto, an IANA name such as Europe/Berlin, or an offset such as +02:00"
        ) from error
