"""The scripts: their text, and what they do in PixInsight."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calmjs.parse import es5
from jobs_for_pixinsight import MODES, InProcess, Program, Session, make_job
from standin.core import Behaviour, Core
from standin.images import Image
from standin.process import table
from standin.program import run_script

from calmasters.frame import FrameType
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import read_image
from calmasters.model.job import MasterJob
from calmasters.settings import Calibrated

PROCESSES = ("ImageIntegration", "ImageCalibration")


def job_in(script: str) -> dict[str, Any]:
    """The data in a script."""
    text = re.search(r"^var JOB = (\{$.*?^\});$", script, re.MULTILINE | re.DOTALL)
    assert text
    return dict(json.loads(text[1]))


def await_script(session: Session, job: MasterJob) -> dict[str, Any]:
    """Run a script as a runner does: it finds the request, and reports."""
    script = session.script(job)
    return await_text(session, script)


def await_text(session: Session, script: str) -> dict[str, Any]:
    status = Path(job_in(script)["status"])
    status.write_text('{"state": "requested"}')
    session.program.run_script(script)
    return dict(json.loads(status.read_text()))


def executed(core: Core, process: str) -> dict[str, Any]:
    """The parameters that a script set before it ran a process."""
    return next(run["set"] for run in core.journal["executed"] if run["process"] == process)


# The text --------------------------------------------------------------------------------


def test_the_text_depends_on_the_job_alone(session: Session) -> None:
    job = make_job(session, FrameType.BIAS)
    text = session.script(job)
    assert session.script(MasterJob.from_json(job.to_json())) == text
    assert session.script(replace(job, name="masterBias_Other")) != text


def test_the_text_is_ascii_and_ecmascript_5(session: Session) -> None:
    text = session.script(make_job(session, FrameType.FLAT, keywords={"INSTRUME": "Ὑπατία"}))
    assert text.isascii()
    es5(text)


def test_only_the_v8_directive_is_in_the_first_line_and_only_when_asked_for(
    session: Session,
) -> None:
    job = make_job(session, FrameType.BIAS)
    assert session.script(job, js_engine="v8").splitlines()[0] == "#engine v8"
    assert "#engine" not in session.script(job, js_engine="sm")


def test_the_code_of_a_script_is_that_of_the_hand_written_files(session: Session) -> None:
    text = session.script(make_job(session, FrameType.DARK))
    folder = Path(__file__).parents[2] / "pixinsight"
    in_text = {path.stem for path in folder.glob("*.js") if path.read_text() in text}
    assert in_text == {path.stem for path in folder.glob("*.js")} - {"session"}


@pytest.mark.parametrize(
    "text",
    ["*/ alert(1) /*", "// x", "#define main", '"; alert(1); "', "'", "\\", "\u2028", "${x}"],
)
def test_what_a_header_says_is_never_code(session: Session, text: str) -> None:
    hostile = make_job(session, FrameType.BIAS, keywords={"INSTRUME": text, "GAIN": 1})
    harmless = replace(hostile, keywords={"INSTRUME": "x", "GAIN": 1})
    scripts = [session.script(job) for job in (hostile, harmless)]
    outside = [re.sub(r"var JOB = \{\n.*?^\};", "", s, flags=re.S | re.M) for s in scripts]
    assert outside[0] == outside[1]
    data = re.search(r"var JOB = .*?^\};", scripts[0], re.S | re.M)
    assert data
    assert not re.search(r"[#*]|//", data[0])
    assert f"'{text}'".replace("'", "''")[1:-1] in [
        card[1] for card in job_in(scripts[0])["keywords"]
    ]


@pytest.mark.parametrize("path", ["C:/Astro/x.fits", "//server/share/x.fits"])
def test_windows_drives_and_shares_pass_unharmed(session: Session, path: str) -> None:
    job = make_job(session, FrameType.BIAS)
    frames = tuple(frame._replace(path=path) for frame in job.frames)
    script = session.script(replace(job, frames=frames))
    assert job_in(script)["frames"][0].endswith(path.removeprefix("//"))


# What it does ----------------------------------------------------------------------------


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("kind", [FrameType.BIAS, FrameType.DARK, FrameType.FLAT])
def test_run_by_hand_it_puts_the_master_into_its_place_and_reports_to_nobody(
    session: Session, kind: FrameType
) -> None:
    job = make_job(session, kind)
    master = session.output_dir / job.master
    core = session.program.run_script(session.script(job))
    assert read_image(master)[0].shape == (16, 24)
    assert [path.name for path in master.parent.iterdir()] == [master.name]
    assert not core.windows


def test_run_by_hand_twice_it_replaces_the_master(session: Session) -> None:
    script = session.script(job := make_job(session, FrameType.BIAS))
    master = session.output_dir / job.master
    for _ in range(2):
        session.program.run_script(script)
        first = master.stat().st_mtime_ns
    assert first


def test_awaited_it_leaves_the_master_to_the_runner_and_reports(session: Session) -> None:
    job = make_job(session, FrameType.BIAS)
    status = await_script(session, job)
    assert status["state"] == "completed"
    assert len(status["rejected"]) == 5
    assert sum(high for _, high in status["rejected"]) >= 5
    assert not (session.output_dir / job.master).exists()


@pytest.mark.parametrize("failures_throw", [True, False])
def test_a_failing_process_is_reported_with_the_console(
    session: Session, failures_throw: bool
) -> None:
    session.program.behave(failures_throw=failures_throw, fault="no-signal")
    status = await_script(session, make_job(session, FrameType.BIAS))
    assert status["state"] == "failed"
    assert "Zero or insignificant signal detected." in status["console"]


@pytest.mark.parametrize("mode", MODES, indirect=True)
@pytest.mark.parametrize("kind", [FrameType.BIAS, FrameType.DARK, FrameType.FLAT])
def test_every_parameter_that_matters_is_set(session: Session, mode: str, kind: FrameType) -> None:
    core = session.program.run_script(session.script(make_job(session, kind)))
    parameters = executed(core, "ImageIntegration")
    expected = {
        "weightMode": 0,
        "evaluateSNR": False,
        "useCache": False,
        "rangeClipLow": False,
        "truncateOnOutOfRange": True,
        "generateRejectionMaps": False,
        "subtractPedestals": False,
        "normalization": 2 if kind is FrameType.FLAT else 0,
        "rejectionNormalization": 2 if kind is FrameType.FLAT else 0,
        "rejection": 4,
        "sigmaLow": 4,
        "sigmaHigh": 3,
        "winsorizationCutoff": 5,
    }
    if mode == "v8":
        number = {FrameType.BIAS: 1, FrameType.DARK: 2, FrameType.FLAT: 3}[kind]
        expected |= {"overrideImageType": True, "imageType": number}
    assert expected.items() <= parameters.items()


def test_calibration_switches_off_what_a_flat_does_not_have(
    session: Session, flat_with_masters: Callable[..., MasterJob]
) -> None:
    core = session.program.run_script(session.script(flat_with_masters(FrameType.BIAS)))
    parameters = executed(core, "ImageCalibration")
    assert {
        "masterBiasEnabled": True,
        "masterDarkEnabled": False,
        "masterFlatEnabled": False,
        "calibrateDark": False,
        "optimizeDarks": False,
        "onError": 0,
    }.items() <= parameters.items()


def test_further_parameters_are_set_by_their_own_names(
    session: Session, flat_with_masters: Callable[..., MasterJob]
) -> None:
    further = {
        "ImageIntegration": {"largeScaleClipHigh": True, "weightScale": "WeightScale_IKSS"},
        "ImageCalibration": {"pedestalMode": "Keyword"},
    }
    script = session.script(flat_with_masters(FrameType.BIAS), parameters=further)
    core = session.program.run_script(script)
    integration = executed(core, "ImageIntegration")
    assert (integration["largeScaleClipHigh"], integration["weightScale"]) == (True, 6)
    assert executed(core, "ImageCalibration")["pedestalMode"] == 1


@pytest.mark.parametrize("process", PROCESSES)
def test_every_further_parameter_of_the_schema_is_one_of_pixinsight(process: str) -> None:
    import yaml

    path = Path(__file__).parents[2] / "config" / "config.schema.yaml"
    schema = yaml.safe_load(path.read_text(encoding="utf-8"))["$defs"][process]["properties"]
    for name, rule in schema.items():
        row = table(process)[name]
        assert rule.get("enum", []) == list(row.get("items", [])), name
        assert (rule.get("minimum"), rule.get("maximum")) == (row.get("min"), row.get("max")), name


@pytest.mark.usefixtures("mode")
def test_equal_names_from_different_folders_are_told_apart(
    session: Session, flat_with_masters: Callable[..., MasterJob]
) -> None:
    job = flat_with_masters(FrameType.BIAS)
    assert len({Path(frame.path).name for frame in job.frames}) == 1
    engine = replace(session.engine(), calibrated=Calibrated(keep=True))
    script = engine.script(
        job, session.input_dir, session.output_dir, session.output_dir / job.master
    )
    (session.output_dir / job.master).parent.mkdir(parents=True)
    session.program.run_script(script)
    kept = sorted((session.output_dir / "calibrated" / job.name).iterdir())
    assert len(kept) == len(job.frames)


@pytest.mark.parametrize("fault", ["", "leak", "no-signal"])
@pytest.mark.parametrize("maps", [False, True])
def test_every_window_is_closed_on_every_path(session: Session, fault: str, maps: bool) -> None:
    session.program.behave(fault=fault)
    job = make_job(session, FrameType.BIAS)
    integration = replace(job.recipe.integration, generateRejectionMaps=maps)
    recipe = replace(job.recipe, integration=integration)
    core = session.program.run_script(session.script(replace(job, recipe=recipe)))
    assert core.windows == {}


def test_rejection_maps_are_further_images_of_the_master(session: Session) -> None:
    from xisf import XISF

    job = make_job(session, FrameType.BIAS)
    integration = replace(job.recipe.integration, generateRejectionMaps=True)
    recipe = replace(job.recipe, integration=integration)
    job = replace(job, recipe=recipe)
    session.program.run_script(session.script(job))
    images = XISF(str(session.output_dir / job.master))
    assert len(images.get_images_metadata()) == 3
    high = images.read_image(2)[:, :, 0]
    assert high[0, 0] == pytest.approx(0.2)  # the outlier of the first of five frames


@pytest.mark.usefixtures("mode")
def test_windows_that_a_person_has_open_stay_open(session: Session, program: Program) -> None:
    job = make_job(session, FrameType.BIAS)
    core = InProcess(Behaviour(**program.behaviour), program.folder, ())
    core.open_window("integration", Image(np.zeros((2, 2), np.float32), []))
    run_script(core, session.script(job))
    assert list(core.windows) == ["integration"]
    assert (session.output_dir / job.master).exists()


def test_keywords_of_the_master_are_ours_not_those_of_the_first_frame(session: Session) -> None:
    job = make_job(session, FrameType.FLAT)
    session.program.run_script(session.script(job))
    cards = read_cards(session.output_dir / job.master)
    assert cards["IMAGETYP"] == "Master Flat"
    assert cards["SET-TEMP"] == -10.0
    # What describes the file is the image's own affair.
    assert b'name="BITPIX"' not in (session.output_dir / job.master).read_bytes()
