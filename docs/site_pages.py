"""What the documentation site has besides the pages of the repository."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["api_page", "dot_of_mermaid", "navigation", "settings_page"]

#: Modules for scripts of your own, and what each is for.
API: Final[Mapping[str, str]] = {
    "calmasters": "Headers of frames, and the table of all frames. `calmasters.SNAKEFILE` is the "
    "path of the workflow, for `snakemake --snakefile` and for `module` of another workflow.",
    "calmasters.frame": "The data model of frames.",
    "calmasters.settings": "The configuration.",
    "calmasters.model.job": "The job file of a master.",
    "calmasters.model.master_record": "The record of a master: the JSON file beside it.",
    "calmasters.images.raw_frame": "The samples of frames.",
    "calmasters.images.master_file": "The samples of masters.",
    "calmasters.engines.native.engine": "The native engine.",
    "calmasters.synthetic.camera": "A model camera, for tests of your own.",
    "calmasters.synthetic.session": "A session of frames of this camera.",
    "calmasters.errors": "Exceptions.",
}

#: Functions of the package itself: autodoc does not see names that are imported on first use.
_FUNCTIONS: Final = ("get_fits_headers", "get_metadata_for_directory", "read_inventory")


# --- navigation -----------------------------------------------------------------------------------


def navigation(docs: Path) -> str:
    """Return tables of contents in MyST: a section for each heading of ``docs/README.md``.

    Parameters
    ----------
    docs : Path
        Folder of the pages.

    Returns
    -------
    str
        Pages that ``docs/README.md`` does not name yet are in a section of their own.
    """
    text = (docs / "README.md").read_text(encoding="utf-8")
    _, *parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    sections = {
        title: re.findall(r"^\| \[[^]]+\]\(([^)#]+\.md)\)", body, re.MULTILINE)
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    }
    sections["Reference"] += ["generated/settings.md", "generated/api.md"]
    named = {(docs / name).resolve() for names in sections.values() for name in names}
    others = [path for path in sorted(docs.glob("*.md")) if path.resolve() not in named]
    sections["More"] = [path.name for path in others if path.name != "README.md"]
    contents = {"Documentation": ["README.md"], **sections}
    return "".join(_contents(title, names) for title, names in contents.items() if names)


def _contents(title: str, names: Iterable[str]) -> str:
    pages = "\n".join(f"/docs/{name.removesuffix('.md')}" for name in names)
    return f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{pages}\n```\n"


# --- settings -------------------------------------------------------------------------------------


def settings_page(schema: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Return the page of all settings, in the order of the schema.

    Parameters
    ----------
    schema : mapping
        ``config/config.schema.yaml``.
    defaults : mapping
        ``config/config.yaml``.

    Returns
    -------
    str
        Markdown: a table of the plain settings, then one of each setting that has parts.
    """
    tables: dict[str, list[str]] = {"": []}
    for key, *cells in _settings(schema, schema, defaults, ""):
        outer = key.partition(".")[0] if "." in key else ""
        row = " | ".join([f"`{key.removeprefix(f'{outer}.')}`", *cells])
        tables.setdefault(outer, []).append(f"| {row} |")
    parts = [
        "# All settings",
        "Every key of the configuration, with its values and its default. "
        "[Settings](../../config/README.md) explains what they are for, and how to change them. "
        "A key with a dot is nested: `bias.sigmaLow` of `integration` is "
        "`integration: {bias: {sigmaLow: …}}`.",
    ]
    for outer, rows in tables.items():
        if outer:
            whole = _resolved(schema["properties"][outer], schema)
            parts += [f"## {outer}", str(whole.get("description", ""))]
        head = ["| key | meaning | values | default |", "|---|---|---|---|"]
        parts.append("\n".join([*head, *rows]))
    return "\n\n".join([*parts, ""])


def _settings(
    part: Mapping[str, Any], schema: Mapping[str, Any], defaults: Any, prefix: str
) -> Iterator[tuple[str, str, str, str]]:
    for key, found in part.get("properties", {}).items():
        own = _resolved(found, schema)
        inner = defaults.get(key) if isinstance(defaults, Mapping) else None
        if own.get("properties"):
            yield from _settings(own, schema, inner, f"{prefix}{key}.")
        else:
            known = isinstance(defaults, Mapping) and key in defaults
            text = str(own.get("description", "")).replace("|", "\\|")
            default = _code(inner) if known else ""
            yield f"{prefix}{key}", text, _values(own, schema), default


def _resolved(part: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return dict(part)
    target: Any = schema
    for name in part["$ref"].removeprefix("#/").split("/"):
        target = target[name]
    return {**_resolved(target, schema), **{k: v for k, v in part.items() if k != "$ref"}}


_TYPES: Final = {
    "string": "text",
    "integer": "whole number",
    "array": "list",
    "object": "mapping",
    "boolean": "true or false",
    "null": "null",
}


def _values(part: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "enum" in part:
        return ", ".join(_code(value) for value in part["enum"])
    if choices := part.get("anyOf") or part.get("oneOf"):
        return " or ".join(filter(None, (_values(_resolved(c, schema), schema) for c in choices)))
    types = part.get("type", [])
    types = [types] if isinstance(types, str) else types
    text = " or ".join(_TYPES.get(name, name) for name in types)
    items = _resolved(part.get("items", {}), schema)
    if "array" in types and "enum" in items:
        text += f" of {_values(items, schema)}"
    return f"{text} {_limits(part)}".strip()


def _limits(part: Mapping[str, Any]) -> str:
    found = {
        "at least": part.get("minimum"),
        "above": part.get("exclusiveMinimum"),
        "at most": part.get("maximum"),
        "below": part.get("exclusiveMaximum"),
    }
    return ", ".join(f"{word} {limit}" for word, limit in found.items() if limit is not None)


def _code(value: object) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return f"`{text}`".replace("|", "\\|")


# --- API ------------------------------------------------------------------------------------------


def api_page() -> str:
    """Return the page of the Python API, filled in by autodoc.

    Returns
    -------
    str
        Markdown with directives of MyST.
    """
    parts = [
        "# Python API",
        "The names of the package `calmasters` itself are meant for your scripts. The other "
        "modules are those that the workflow uses; they may change in any version.",
    ]
    for module, text in API.items():
        names = _FUNCTIONS if module == "calmasters" else ()
        lines = [f".. autofunction:: {module}.{name}" for name in names]
        directives = "\n".join(lines or [f".. automodule:: {module}"])
        parts += [f"## {module}", text, f"```{{eval-rst}}\n{directives}\n```"]
    return "\n\n".join([*parts, ""])


# --- pictures -------------------------------------------------------------------------------------


def dot_of_mermaid(lines: Iterable[str]) -> list[str]:
    """Translate a flowchart of plain arrows from Mermaid to Graphviz.

    Parameters
    ----------
    lines : iterable of str
        ``flowchart LR``, then arrows ``a --> b``.

    Returns
    -------
    list of str
        The lines of a graph for ``dot``.

    Raises
    ------
    ValueError
        If a line is something else.
    """
    head, *arrows = (line.strip() for line in lines if line.strip())
    if head != "flowchart LR":
        raise ValueError(f"a picture of the documentation begins with 'flowchart LR', not '{head}'")
    if odd := [line for line in arrows if not re.fullmatch(r"\w+ --> \w+", line)]:
        raise ValueError(
            f"a picture of the documentation has arrows 'a --> b' only, not '{odd[0]}'"
        )
    return [
        "digraph {",
        'rankdir=LR; node [shape=box, style=rounded, fontname="sans-serif"];',
        *(line.replace("-->", "->") + ";" for line in arrows),
        "}",
    ]
