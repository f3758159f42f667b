"""The tables of parameters in ``docs/pixinsight.md`` are what the scripts set."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from jobs_for_pixinsight import Site, make_job
from standin.process import table

from calmasters.frame import FrameType
from calmasters.model.job import MasterJob

DOCS: Final = Path(__file__).parents[2] / "docs" / "pixinsight.md"

#: Set by every script to the files of its job.
FILES: Final = {
    *("images", "targetFrames", "masterBiasPath", "masterDarkPath", "outputDirectory"),
}
HINTS: Final = (
    "fits-keywords normalize only-first-image raw cfa use-roworder-keywords signed-is-physical"
)

#: What the examples of ap-create-master set otherwise than PixInsight's default; a pair is bias or
#: dark, and flat. ``imageType`` is 1 for bias, 2 for dark.
EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "ImageIntegration": {
        "inputHints": HINTS,
        "overrideImageType": True,
        "imageType": ("1, 2", 3),
        "weightMode": "DontCare",
        "normalization": ("NoNormalization", "Multiplicative"),
        "rejection": "WinsorizedSigmaClip",
        "rejectionNormalization": ("NoRejectionNormalization", "EqualizeFluxes"),
        "linearFitHigh": 3.5,
        "rangeClipLow": False,
        "generateRejectionMaps": False,
        "useCache": False,
        "evaluateSNR": False,
        "truncateOnOutOfRange": True,
    },
    "ImageCalibration": {
        "inputHints": HINTS,
        "enableCFA": False,
        "masterFlatEnabled": False,
        "calibrateBias": True,
        "calibrateDark": True,
        "evaluateNoise": False,
        "evaluateSignal": False,
    },
}


def text_of(process: str, name: str, value: Any) -> str:
    """Return a value as the documentation has it."""
    row = table(process)[name]
    if row["type"] == "enum" and isinstance(value, int):
        value = next(item for item, number in row["items"].items() if number == value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else str(value) or "none"


def default_of(process: str, name: str) -> str:
    return text_of(process, name, table(process)[name].get("default", ""))


@pytest.fixture
def scripts_set(
    site: Site, flat_with_masters: Callable[..., MasterJob]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """What the scripts of a bias, a dark and a flat set: for each process, by parameter."""
    site.program.behave(version="1.9.4")
    kinds: dict[str, dict[str, list[str]]] = {}
    flat = flat_with_masters(FrameType.BIAS, FrameType.DARK)
    other = replace(site, folder=site.folder / "other")
    scripts = [other.script(make_job(other, kind)) for kind in (FrameType.BIAS, FrameType.DARK)]
    for script in (*scripts, site.script(flat)):
        for run in site.program.run_script(script).journal["executed"]:
            process = run["process"]
            for name, value in run["set"].items():
                if name not in FILES:
                    text = text_of(process, name, value)
                    kinds.setdefault(process, {}).setdefault(name, []).append(text)
    return {
        process: {name: tuple(values) for name, values in by_name.items()}
        for process, by_name in kinds.items()
    }


def rows_in_docs(process: str) -> dict[str, list[str]]:
    section = re.search(rf"^### {process}$(.*?)(?=^##)", DOCS.read_text("utf-8"), re.S | re.M)
    assert section
    lines = re.findall(r"^\| `(\w+)` \| (.*) \|$", section[1], re.M)
    return {name: [cell.strip().strip("`") for cell in row.split(" | ")] for name, row in lines}


@pytest.mark.parametrize("process", ["ImageIntegration", "ImageCalibration"])
def test_the_documented_parameters_are_those_that_scripts_set(
    scripts_set: dict[str, dict[str, tuple[str, ...]]], process: str
) -> None:
    rows, expected, examples = rows_in_docs(process), {}, EXAMPLES[process]
    for name, values in scripts_set[process].items():
        default = default_of(process, name)
        example = examples.get(name, default)
        of_example = [
            text_of(process, name, value)
            for value in (example if isinstance(example, tuple) else (example,))
        ]
        ours = [", ".join(dict.fromkeys(values[:-1])), values[-1]] if len(values) > 1 else [*values]
        # Where they differ from the examples, the table says why.
        reason = rows.get(name, [""])[-1]
        if set(ours) != set(of_example) and not reason:
            reason = f"(why not {' / '.join(of_example)}, as in the examples?)"
        expected[name] = [" / ".join(dict.fromkeys(ours)), default, reason]
    lines = [
        f"| `{name}` | `{value}` | `{default}` | {reason} |"
        for name, (value, default, reason) in expected.items()
    ]
    assert rows == expected, "\n".join(["the table should be", *lines])
