"""The scripts: their text, and their effects in PixInsight."""

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
from jobs_for_pixinsight import MODES, InProcess, Program, Site, make_job
from standin.core import Behaviour, Core
from standin.images import Image
from standin.process import table
from standin.program import run_script

from calmasters.engines.pixinsight.script import session_text
from calmasters.frame import FrameType
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import read_image
from calmasters.model.job import MasterJob
from calmasters.model.layout import record_path
from calmasters.settings import Calibrated

PROCESSES = ("ImageIntegration", "ImageCalibration")


def job_in(script: str) -> dict[str, Any]:
    """Return the job in a script."""
    text = re.search(r"^var JOB = (\{$.*?^\});$", script, re.MULTILINE | re.DOTALL)
    assert text
    return dict(json.loads(text[1]))


def await_script(site: Site, job: MasterJob) -> dict[str, Any]:
    """Run a script with the request of a runner; return its report."""
    return await_text(site, site.runner_script(job))


def await_text(site: Site, script: str) -> dict[str, Any]:
    status = Path(job_in(script)["status"])
    status.write_text('{"state": "requested"}')
    site.program.run_script(script)
    return dict(json.loads(status.read_text()))


def executed(core: Core, process: str) -> dict[str, Any]:
    """Return the parameters that a script set before it executed a process."""
    return next(run["set"] for run in core.journal["executed"] if run["process"] == process)


# The text --------------------------------------------------------------------------------


def test_the_text_depends_only_on_the_job(site: Site) -> None:
    job = make_job(site, FrameType.BIAS)
    text = site.script(job)
    assert site.script(MasterJob.from_json(job.to_json())) == text
    assert site.script(replace(job, name="masterBias_Other")) != text


def test_the_text_is_ascii_and_ecmascript_5(site: Site) -> None:
    text = site.script(make_job(site, FrameType.FLAT, keywords={"INSTRUME": "Ὑπατία"}))
    assert text.isascii()
    es5(text)


def test_the_v8_directive_is_the_first_line_if_configured(
    site: Site,
) -> None:
    job = make_job(site, FrameType.BIAS)
    assert site.script(job, js_engine="v8").splitlines()[0] == "#engine v8"
    assert "#engine" not in site.script(job, js_engine="sm")


def test_the_code_of_a_script_is_that_of_the_source_files(site: Site) -> None:
    job = make_job(site, FrameType.DARK)
    folder = Path(__file__).parents[2] / "pixinsight"
    texts = (site.script(job), site.runner_script(job))
    by_user, by_engine = (
        {path.stem for path in folder.glob("*.js") if path.read_text() in text} for text in texts
    )
    assert by_user - by_engine == {"user", "one_by_hand"}
    assert by_engine - by_user == {"runner", "run_one"}
    others = {"session", "all_by_hand"}
    assert by_user | by_engine == {path.stem for path in folder.glob("*.js")} - others


@pytest.mark.parametrize(
    "text",
    ["*/ alert(1) /*", "// x", "#define main", '"; alert(1); "', "'", "\\", "\u2028", "${x}"],
)
def test_header_text_is_never_code(site: Site, text: str) -> None:
    hostile = make_job(site, FrameType.BIAS, keywords={"INSTRUME": text, "GAIN": 1})
    harmless = replace(hostile, keywords={"INSTRUME": "x", "GAIN": 1})
    scripts = [site.script(job) for job in (hostile, harmless)]
    outside = [re.sub(r"var JOB = \{\n.*?^\};", "", s, flags=re.S | re.M) for s in scripts]
    assert outside[0] == outside[1]
    data = re.search(r"var JOB = .*?^\};", scripts[0], re.S | re.M)
    assert data
    assert not re.search(r"[#*]|//", data[0])
    assert f"'{text}'".replace("'", "''")[1:-1] in [
        card[1] for card in job_in(scripts[0])["keywords"]
    ]


@pytest.mark.parametrize("path", ["C:/Astro/x.fits", "//server/share/x.fits"])
def test_windows_drives_and_shares_are_preserved(site: Site, path: str) -> None:
    job = make_job(site, FrameType.BIAS)
    frames = tuple(frame._replace(path=path) for frame in job.frames)
    script = site.script(replace(job, frames=frames))
    assert job_in(script)["frames"][0].endswith(path.removeprefix("//"))


# Effects ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("kind", [FrameType.BIAS, FrameType.DARK, FrameType.FLAT])
def test_without_a_runner_the_script_writes_the_master_and_no_report(
    site: Site, kind: FrameType
) -> None:
    job = make_job(site, kind)
    master = site.output_dir / job.master
    core = site.program.run_script(site.script(job))
    assert read_image(master)[0].shape == (16, 24)
    record = record_path(master.name)
    assert {path.name for path in master.parent.iterdir()} == {master.name, record}
    assert not core.windows


def test_without_a_runner_the_script_replaces_the_master(site: Site) -> None:
    script = site.script(job := make_job(site, FrameType.BIAS))
    master = site.output_dir / job.master
    for _ in range(2):
        site.program.run_script(script)
        first = master.stat().st_mtime_ns
    assert first


def test_with_a_runner_the_script_reports_and_leaves_the_master_to_it(site: Site) -> None:
    job = make_job(site, FrameType.BIAS)
    status = await_script(site, job)
    assert status["state"] == "completed"
    assert len(status["rejected"]) == 5
    assert sum(high for _, high in status["rejected"]) >= 5
    assert not (site.output_dir / job.master).exists()


@pytest.mark.parametrize("failures_throw", [True, False])
def test_a_failing_process_is_reported_with_the_console(site: Site, failures_throw: bool) -> None:
    site.program.behave(failures_throw=failures_throw, fault="no-signal")
    status = await_script(site, make_job(site, FrameType.BIAS))
    assert status["state"] == "failed"
    assert "Zero or insignificant signal detected." in status["console"]


@pytest.mark.parametrize("mode", MODES, indirect=True)
@pytest.mark.parametrize("kind", [FrameType.BIAS, FrameType.DARK, FrameType.FLAT])
def test_every_relevant_parameter_is_set(site: Site, mode: str, kind: FrameType) -> None:
    core = site.program.run_script(site.script(make_job(site, kind)))
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


def test_calibration_disables_missing_masters(
    site: Site, flat_with_masters: Callable[..., MasterJob]
) -> None:
    core = site.program.run_script(site.script(flat_with_masters(FrameType.BIAS)))
    parameters = executed(core, "ImageCalibration")
    assert {
        "masterBiasEnabled": True,
        "masterDarkEnabled": False,
        "masterFlatEnabled": False,
        "calibrateDark": False,
        "optimizeDarks": False,
        "onError": 0,
    }.items() <= parameters.items()


def test_additional_parameters_are_set_by_name(
    site: Site, flat_with_masters: Callable[..., MasterJob]
) -> None:
    further = {
        "ImageIntegration": {"largeScaleClipHigh": True, "weightScale": "WeightScale_IKSS"},
        "ImageCalibration": {"pedestalMode": "Keyword"},
    }
    script = site.script(flat_with_masters(FrameType.BIAS), parameters=further)
    core = site.program.run_script(script)
    integration = executed(core, "ImageIntegration")
    assert (integration["largeScaleClipHigh"], integration["weightScale"]) == (True, 6)
    assert executed(core, "ImageCalibration")["pedestalMode"] == 1


@pytest.mark.parametrize("process", PROCESSES)
def test_every_additional_parameter_of_the_schema_exists_in_pixinsight(process: str) -> None:
    import yaml

    path = Path(__file__).parents[2] / "config" / "config.schema.yaml"
    schema = yaml.safe_load(path.read_text(encoding="utf-8"))["$defs"][process]["properties"]
    for name, rule in schema.items():
        row = table(process)[name]
        assert rule.get("enum", []) == list(row.get("items", [])), name
        assert (rule.get("minimum"), rule.get("maximum")) == (row.get("min"), row.get("max")), name


@pytest.mark.usefixtures("mode")
def test_equal_names_from_different_folders_are_distinguished(
    site: Site, flat_with_masters: Callable[..., MasterJob]
) -> None:
    job = flat_with_masters(FrameType.BIAS)
    assert len({Path(frame.path).name for frame in job.frames}) == 1
    engine = replace(site.engine(), calibrated=Calibrated(keep=True))
    site.program.run_script(site.engine_script(engine, job))
    kept = sorted((site.output_dir / "calibrated" / job.name).iterdir())
    assert len(kept) == len(job.frames)


@pytest.mark.parametrize("fault", ["", "leak", "no-signal"])
@pytest.mark.parametrize("maps", [False, True])
def test_every_window_is_closed_also_after_errors(site: Site, fault: str, maps: bool) -> None:
    site.program.behave(fault=fault)
    job = make_job(site, FrameType.BIAS)
    integration = replace(job.recipe.integration, generateRejectionMaps=maps)
    recipe = replace(job.recipe, integration=integration)
    core = site.program.run_script(site.script(replace(job, recipe=recipe)))
    assert core.windows == {}


def test_rejection_maps_are_additional_images_of_the_master(site: Site) -> None:
    from xisf import XISF

    job = make_job(site, FrameType.BIAS)
    integration = replace(job.recipe.integration, generateRejectionMaps=True)
    recipe = replace(job.recipe, integration=integration)
    job = replace(job, recipe=recipe)
    site.program.run_script(site.script(job))
    images = XISF(str(site.output_dir / job.master))
    assert len(images.get_images_metadata()) == 3
    high = images.read_image(2)[:, :, 0]
    assert high[0, 0] == pytest.approx(0.2)  # the outlier of the first of five frames


@pytest.mark.usefixtures("mode")
def test_windows_of_the_user_stay_open(site: Site, program: Program) -> None:
    job = make_job(site, FrameType.BIAS)
    core = InProcess(Behaviour(**program.behaviour), program.folder, ())
    core.open_window("integration", Image(np.zeros((2, 2), np.float32), []))
    run_script(core, site.script(job))
    assert list(core.windows) == ["integration"]
    assert (site.output_dir / job.master).exists()


def test_keywords_of_the_master_are_those_of_the_job(site: Site) -> None:
    job = make_job(site, FrameType.FLAT)
    site.program.run_script(site.script(job))
    cards = read_cards(site.output_dir / job.master)
    assert cards["IMAGETYP"] == "Master Flat"
    assert cards["SET-TEMP"] == -10.0
    # Keywords of the file format are not copied.
    assert b'name="BITPIX"' not in (site.output_dir / job.master).read_bytes()


@pytest.mark.parametrize("version", ["1.8.9", "1.8.9-3", "1.9.0", "1.9.4"])
def test_calibrated_flats_are_made_by_every_version(
    site: Site, flat_with_masters: Callable[..., MasterJob], version: str
) -> None:
    job = flat_with_masters(FrameType.BIAS, FrameType.DARK)
    site.program.behave(version=version)
    core = site.program.run_script(site.script(job))
    assert (site.output_dir / job.master).exists(), core.console
    has_correction = "cosmeticCorrectionLow" in executed(core, "ImageCalibration")
    assert has_correction is (version >= "1.9")


def test_counts_of_64_bits_are_reported_by_both_engines(site: Site, mode: str) -> None:
    status = await_script(site, make_job(site, FrameType.BIAS))
    assert status["state"] == "completed", (mode, status["error"])
    assert sum(high for _, high in status["rejected"]) >= 5


@pytest.mark.usefixtures("mode")
def test_a_report_that_cannot_be_written_ends_no_script(site: Site) -> None:
    job = make_job(site, FrameType.BIAS)
    script = site.runner_script(job)
    status = Path(job_in(script)["status"])
    (status.parent / f"{status.name}.tmp").mkdir()  # it cannot be written
    core = site.program.run_script(script)
    assert any(line.startswith("*** could not write") for line in core.console)
    assert Path(job_in(script)["part"]).exists()
    assert not any("*** Error" in line for line in core.console)


@pytest.mark.usefixtures("mode")
def test_the_images_of_a_file_have_fixed_names(site: Site, program: Program) -> None:
    job = make_job(site, FrameType.BIAS)
    integration = replace(job.recipe.integration, generateRejectionMaps=True)
    job = replace(job, recipe=replace(job.recipe, integration=integration))
    core = InProcess(Behaviour(**program.behaviour), program.folder, ())
    for name in ("integration", "rejection_low"):  # windows of the user
        core.open_window(name, Image(np.zeros((2, 2), np.float32), []))
    run_script(core, site.script(job))
    header = (site.output_dir / job.master).read_bytes()[:65536]
    assert re.findall(rb'id="([^"]+)"', header) == [
        *(b"integration", b"rejection_low", b"rejection_high")
    ]


def test_a_report_that_a_killed_run_left_stops_no_user(site: Site) -> None:
    script = site.script(job := make_job(site, FrameType.BIAS))
    status = Path(job_in(script)["status"])
    status.parent.mkdir(parents=True)
    status.write_text('{"state": "requested"}')
    site.program.run_script(script)
    assert (site.output_dir / job.master).exists()


@pytest.mark.usefixtures("mode")
def test_no_deprecated_function_is_called(site: Site, tmp_path: Path) -> None:
    session = {"folder": tmp_path.as_posix(), "poll_ms": 1, "patience_ms": 50}
    core = site.program.run_script(session_text(session, site.engine().options))
    core.console += site.program.run_script(site.script(make_job(site, FrameType.BIAS))).console
    assert not [line for line in core.console if "is deprecated" in line]
    assert not [line for line in core.console if "Error" in line]


def test_numbers_of_64_bits_can_be_written_as_json(site: Site) -> None:
    files = (Path(__file__).parents[2] / "pixinsight" / "files.js").read_text(encoding="ascii")
    site.program.behave(version="1.9.4")
    code = "#engine v8\n" + files + "console.writeln(asciiJson([9007199254740993n, 7n, 1.5]));"
    assert site.program.run_script(code).console == ["[9007199254740992,7,1.5]"]
