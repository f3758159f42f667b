"""The workflow with ``engine: siril``: the real Snakefile and the real siril-cli."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from real_workflow import Run, Workflow

from calmasters.headers.fits_cards import CardValue
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import read_image

pytestmark = pytest.mark.skipif(not shutil.which("siril-cli"), reason="there is no siril-cli")

WITH_SIRIL = {"engine": "siril", "calibration": {"flat": {"optimizeDarks": False}}}


def cards_of(path: Path) -> dict[str, CardValue]:
    """Read all that does not tell the engine or the day."""
    own = ("ENGINE", "DATE", "HISTORY")
    return {key: value for key, value in read_cards(path).items() if key not in own}


def test_siril_makes_the_masters_that_the_native_engine_makes(
    session: Workflow, made_once: tuple[Workflow, Run, Run]
) -> None:
    session.configure(**WITH_SIRIL)
    session.run_as_predicted()
    native, _, _ = made_once
    assert session.masters == native.masters
    for path in session.output.glob("masters/*/*.xisf"):
        other = native.output / path.relative_to(session.output)
        assert cards_of(path) == cards_of(other)
        assert np.median(read_image(path)[0]) == pytest.approx(
            np.median(read_image(other)[0]), rel=2e-3
        )
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        assert "Siril" in record["versions"]
    assert not [*session.output.glob("masters/*/.*")]


def test_a_setting_that_siril_does_not_have_stops_with_what_to_set(session: Workflow) -> None:
    session.configure(engine="siril")
    for arguments in (["-n"], []):
        run = session.run("masters", *arguments, succeeds=False)
        assert "calibration.flat.optimizeDarks: true is not supported by engine siril" in run.output
    assert session.masters == []
