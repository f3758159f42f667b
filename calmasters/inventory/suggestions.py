"""The settings that would make refused frames usable, ready to paste."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from calmasters.atomic_files import write_whole
from calmasters.errors import shell_words
from calmasters.frame import Status, Verdict
from calmasters.settings import Settings

__all__ = ["combined_settings", "settings_as_yaml", "suggested_settings", "write_suggestions"]


def combined_settings(first: Any, second: Any) -> Any:
    """Add settings to others: mappings key by key, lists element by element.

    A list that has elements of the other one gives their order, too.

    >>> combined_settings({"a": {"b": 1}, "c": ["x"]}, {"a": {"d": 2}, "c": ["y"]})
    {'a': {'b': 1, 'd': 2}, 'c': ['x', 'y']}
    >>> combined_settings(["header", "folder"], ["folder", "header"])
    ['folder', 'header']
    """
    if isinstance(second, Mapping):
        first = first or {}
        added = {key: combined_settings(first.get(key), value) for key, value in second.items()}
        return {**{key: _plain(value) for key, value in first.items()}, **added}
    if isinstance(second, list | tuple):
        first = first or ()
        parts = (*first, *second) if set(second).isdisjoint(first) else (*second, *first)
        return [*dict.fromkeys(parts)]
    return second


def _plain(value: Any) -> Any:
    """Convert a frozen value of the settings to what YAML has: mappings and lists."""
    return value if isinstance(value, str | int | float) else combined_settings(None, value)


def suggested_settings(verdicts: Iterable[Verdict], settings: Settings) -> dict[str, Any]:
    """Return the settings that would make refused frames usable; empty if none would.

    Parameters
    ----------
    verdicts : iterable of Verdict
    settings : Settings
        The current ones. Each key that is suggested has its current values, too, because a
        configuration file replaces lists.
    """
    # Frames share verdicts.
    distinct = {
        id(verdict.settings): verdict.settings
        for verdict in verdicts
        if verdict.status is Status.REFUSED
    }
    additions: dict[str, Any] = reduce(combined_settings, distinct.values(), {})
    return {
        key: combined_settings(getattr(settings, key, None), value)
        for key, value in sorted(additions.items())
    }


def settings_as_yaml(suggested: Mapping[str, Any]) -> str:
    """Write settings as a part of ``config.yaml``."""
    import yaml

    return yaml.safe_dump(
        dict(suggested), sort_keys=False, allow_unicode=True, default_flow_style=None, width=1000
    )


def write_suggestions(
    path: Path, suggested: Mapping[str, Any], verdicts: Iterable[Verdict], settings: Settings
) -> None:
    """Write suggested settings to a file for ``--configfile``; without any, remove the file.

    Settings of the file that are in effect stay in it: this run, or the next one, may have been
    started with it.

    Parameters
    ----------
    path : Path
    suggested : mapping of str to object
        As :func:`suggested_settings` returns them.
    verdicts : iterable of Verdict
        Their remedies become comments.
    settings : Settings
        The current ones.
    """
    in_use = {
        key: value
        for key, value in _stored(path).items()
        if combined_settings(getattr(settings, key, None), value)
        == _plain(getattr(settings, key, None))
    }
    content = combined_settings(in_use, suggested)
    if not content:
        path.unlink(missing_ok=True)
        return
    remedies = Counter(
        verdict.remedy
        for verdict in verdicts
        if verdict.settings and verdict.status is Status.REFUSED
    )
    lines = [
        "Settings that make refused frames usable. Read the reasons, keep what is true, then run:",
        f"snakemake masters --configfile {shell_words([str(path)])}",
        *(
            f"{count} {'frame' if count == 1 else 'frames'}: {remedy}"
            for remedy, count in remedies.most_common()
        ),
        *(f"{key}: in use now" for key in in_use if key not in suggested),
    ]
    # Characters that YAML rejects may be in names of cameras.
    comments = "".join(
        f"# {''.join(char if char.isprintable() else '?' for char in line)}\n" for line in lines
    )
    write_whole(path, comments + settings_as_yaml(content))


def _stored(path: Path) -> dict[str, Any]:
    import yaml

    try:
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return stored if isinstance(stored, dict) else {}
