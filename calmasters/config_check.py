"""Check a configuration, and report every mistake with its key and what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from datetime import timedelta, timezone, tzinfo
from functools import cache, reduce
from itertools import chain
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from calmasters.errors import ConfigError

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

__all__ = [
    "check_config",
    "fill_defaults",
    "has_settings",
    "parse_zone",
    "read_yaml",
    "translated",
    "typed_config",
]

#: The default of ``types_from``, with which an old ``folder_types`` counts.
_TYPES_FROM: Final = ("header", "folder")


def fill_defaults(config: dict[str, Any], defaults: Path) -> None:
    """Add the settings that a configuration lacks, also inside of those that it has.

    Parameters
    ----------
    config : dict
        Any subset of ``config.yaml``; changed in place.
    defaults : Path
        The complete ``config.yaml``.
    """
    _fill(config, read_yaml(defaults))


def _fill(config: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    for key, value in defaults.items():
        if isinstance(value, Mapping) and isinstance(config.get(key), dict):
            _fill(config[key], value)
        else:
            config.setdefault(key, value)


def has_settings(file: Path) -> bool:
    """Return whether a file has a setting that is active; Snakemake takes no file without any.

    Raises
    ------
    ConfigError
        If it cannot be read as settings: Snakemake names neither the file nor the line.
    """
    import yaml

    remedy = "correct it, or put # before it (a setting is a line such as minimum_frames: 5)"
    try:
        content = read_yaml(file)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(
            f"{file}{line}: is not YAML ({error.problem or error.context}); the fault is there or "
            f"in the line before: {remedy}"
        ) from error
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{file}: cannot be read as YAML in UTF-8 ({error}): correct it, and save it as UTF-8"
        ) from error
    if not isinstance(content, dict | None):
        document = yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)
        start = document.start_mark.line + 1 if document else 1
        raise ConfigError(f"{file}, line {start}: is no setting: {remedy}")
    return bool(content)


def read_yaml(path: Path) -> Any:
    """Read a YAML file."""
    # Imported here: ``--help`` does not need it.
    import yaml

    # The parser in C, which nearly every build has, is ten times faster, and every run needs it.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), loader)


def translated(config: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Replace old keys of a configuration by the present ones.

    Parameters
    ----------
    config : mapping
        All keys of ``config.yaml``, merged; it may have old keys.

    Returns
    -------
    config : dict
        Without the old keys.
    messages : tuple of str
        For each old key what it was replaced by, to be shown to the user.
    """
    config = dict(config)
    # --config folder_types=true gives a text.
    old = str(config.get("folder_types")).lower()
    if old not in ("true", "false"):
        return config, ()
    del config["folder_types"]
    if tuple(config.get("types_from", ())) == _TYPES_FROM:
        config["types_from"] = ["header", "folder"] if old == "true" else ["header"]
    setting = f"types_from: [{', '.join(config['types_from'])}]"
    return config, (f"folder_types: {old} is an old setting; write {setting} instead of it",)


def check_config(config: Mapping[str, Any], schema: Path) -> None:
    """Check a complete configuration.

    Parameters
    ----------
    config : mapping
        All keys of ``config.yaml``: defaults, the user's file and ``--config`` merged.
    schema : Path
        ``config.schema.yaml``.

    Raises
    ------
    ConfigError
        Lists every mistake with its key and, for an unknown key, the most similar valid one.
    """
    if mistakes := [*_mistakes(config, schema)]:
        raise ConfigError("\n  ".join(["the configuration is not valid:", *mistakes]))


@cache
def _validator(schema: Path) -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(read_yaml(schema))


def _mistakes(config: Mapping[str, Any], schema: Path) -> Iterator[str]:
    """List violations of the schema; if there are none, settings that contradict each other."""
    errors = sorted(_validator(schema).iter_errors(config), key=lambda e: e.json_path)
    for error in errors:
        yield from _schema_mistakes(error)
    if errors:
        return
    if "EXPOSURE" not in config["required_keywords"]["dark"]:
        yield (
            "required_keywords.dark: EXPOSURE is missing; darks of different exposures must "
            "not be averaged: add EXPOSURE to the list"
        )
    for keyword in ("DATE", "FILTER"):
        if keyword in config["master_match_keywords"]:
            yield (
                f"master_match_keywords: {keyword} is not allowed, because one bias or dark master "
                f"is used for flats of any date and filter: remove {keyword} from the list"
            )
    yield from _assumption_mistakes(config)
    yield from _value_mistakes(config)
    if config["night"]["timezone"] != "auto":
        try:
            parse_zone(config["night"]["timezone"])
        except ConfigError as error:
            yield str(error)


def _assumption_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    lists = (*config["required_keywords"].values(), config["optional_keywords"])
    known = {*chain(*lists), *config["master_match_keywords"]}
    for camera, values in config["assume_keywords"].items():
        for keyword, value in values.items():
            where = f"assume_keywords.{camera or repr('')}.{keyword}"
            if keyword in ("TYPE", "DATE", "EXPOSURE"):
                yield f"{where}: differs from frame to frame; name folders {keyword}_value"
            elif keyword not in known:
                near = difflib.get_close_matches(keyword, known, n=1, cutoff=0.5)
                hint = f"did you mean '{near[0]}'?" if near else "add it to required_keywords"
                yield f"{where}: no list of keywords has {keyword}; {hint}"
            elif value == "VALUE":
                yield f"{where}: VALUE stands for a value; write the one of your frames"


def _value_mistakes(config: Mapping[str, Any]) -> Iterator[str]:
    """List patterns that are not valid, and spellings that stand for two values."""
    for keyword, pattern in config["keyword_patterns"].items():
        try:
            re.compile(pattern)
        except re.error as error:
            yield (
                f"keyword_patterns.{keyword}: '{pattern}' is not a regular expression ({error}); "
                "put a backslash before each character that stands for itself, such as ( or +"
            )
    for keyword, values in config["value_aliases"].items():
        owners: dict[str, str] = {}
        for value, spellings in values.items():
            for spelling in (str(each).casefold() for each in (value, *spellings)):
                if owners.setdefault(spelling, value) != value:
                    yield (
                        f"value_aliases.{keyword}: '{spelling}' is listed for "
                        f"{owners[spelling]} and {value}; remove it from one of them"
                    )


def typed_config(config: Mapping[str, Any], schema: Path) -> dict[str, Any]:
    """Return a configuration in which texts are numbers or booleans where these are expected.

    Snakemake passes all values inside of ``{}`` and ``[]`` as texts:
    ``--config 'integration={flat: {sigmaHigh: 2.5}}'``.

    Parameters
    ----------
    config : mapping
        All keys of ``config.yaml``.
    schema : Path
        ``config.schema.yaml``.
    """
    typed = deepcopy(dict(config))
    validator = _validator(schema)
    for error in [*validator.iter_errors(typed)]:
        value = _parsed(error.instance)
        # A value that stays wrong stays as it was given, for the message.
        if len(error.absolute_path) > 1 and validator.evolve(schema=error.schema).is_valid(value):
            *keys, last = error.absolute_path
            reduce(getitem, keys, typed)[last] = value
    return typed


def _parsed(value: object) -> object:
    """Read a text as YAML: a number, true, false or null; anything else stays as it is."""
    import yaml

    with suppress(yaml.YAMLError):
        return yaml.safe_load(value) if isinstance(value, str) else value
    return value


def _schema_mistakes(error: ValidationError) -> Iterator[str]:
    where = error.json_path.removeprefix("$").removeprefix(".")
    if error.validator != "additionalProperties":
        yield f"{where or 'top level'}: {_expectation(error)}"
        return
    known = list(cast("Mapping[str, Any]", error.schema)["properties"])
    for key in cast("Mapping[str, Any]", error.instance):
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
            yield f"{where}{'.' if where else ''}{key}: unknown key; {hint}"


def _expectation(error: ValidationError) -> str:
    """Return what was found and expected; about a wrong type, in other words than Python's."""
    if error.validator != "type" or "string" not in str(error.validator_value):
        return error.message
    if error.instance is None:
        return "is empty, expected a text"
    if isinstance(error.instance, int | float):
        # A folder may be named 2026.
        return f"{error.instance} is a number, expected a text: write ./{error.instance} for a path"
    return error.message


@cache
def parse_zone(text: str) -> tzinfo:
    """Read a time zone: an IANA name ('Europe/Berlin') or an offset ('+02:00').

    Raises
    ------
    ConfigError
        If the text is neither.
    """
    try:
        if offset := re.fullmatch(r"([-+])(\d{1,2}):?(\d{2})?", text):
            minutes = int(offset[2]) * 60 + int(offset[3] or 0)
            return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"night.timezone: '{text}' is not a time zone; "
            "expected auto, an IANA name such as Europe/Berlin, or an offset such as +02:00"
        ) from error
