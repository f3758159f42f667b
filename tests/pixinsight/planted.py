"""The stand-in with planted differences: ``python -m planted NAME,NAME BEHAVIOUR.json …``.

Each is a difference that a version of PixInsight, or a fault of our scripts, would cause.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
from standin import core, execute, process, program

INTEGRATE = execute.EXECUTE["ImageIntegration"]


def change_script(start: str, inserted: str) -> None:
    """Insert code at the beginning of a function of each script."""
    run = program.run_script

    def run_changed(running: core.Core, script: str) -> None:
        changed, count = re.subn(re.escape(start), lambda _: f"{start}\n{inserted}", script)
        assert count == 1, f"the script has no '{start}'"
        run(running, changed)

    program.run_script = run_changed


def one_pixel() -> None:
    combined = execute.combined

    def changed(*arguments: Any) -> Any:
        result, fates = combined(*arguments)
        result[3, 5] = np.nextafter(result[3, 5], np.float32(1))
        return result, fates

    execute.combined = changed


def keyword() -> None:
    cards_of = core.cards_of

    def changed(value: Any) -> Any:
        return [
            card._replace(value="101") if card.name == "GAIN" else card for card in cards_of(value)
        ]

    core.cards_of = changed


def missing_count() -> None:
    def changed(running: process.Process) -> None:
        INTEGRATE(running)
        running.values["imageData"].pop()

    execute.EXECUTE["ImageIntegration"] = changed


def big_int() -> None:
    """Counts that JSON.stringify refuses, as it does a BigInt of V8."""
    change_script(
        "function rejectedSamples(rows) {",
        'var big = { toJSON: function () { throw new TypeError("a BigInt"); } };\n'
        "return rows.map(function () { return [big, big]; });",
    )


def profile_189() -> None:
    """Scripts that set parameters which ImageCalibration of 1.8.9 does not have."""
    change_script(
        "function execute(process, name) {",
        'if (name === "ImageCalibration")\n'
        '   setParameter(process, ImageCalibration, "cosmeticCorrectionLow", false);',
    )


def flipped() -> None:
    """Frames with the bottom row first are not turned over."""
    read = execute.read
    execute.read = lambda path, hints: read(path, hints.replace("use-roworder-keywords", ""))


if __name__ == "__main__":
    for planted in sys.argv.pop(1).split(","):
        globals()[planted]()
    sys.exit(program.main())
