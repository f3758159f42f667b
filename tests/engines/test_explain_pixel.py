"""The explanation of a pixel agrees with the master, and lists the rejected samples by round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calmasters.commands.command_line import main
from calmasters.commands.explain_pixel import explain
from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.native.reference import Fate
from calmasters.errors import ConfigError
from calmasters.frame import FrameType
from calmasters.images.master_file import read_image
from calmasters.model.master_record import MasterRecord
from calmasters.settings import Integration

SHAPE = (12, 15)


@pytest.fixture(params=["by-type", "ap-library"])
def made(site, request):
    """A flat's job and its record; pixel (3, 2) has an outlier in the fifth frame."""
    rng = np.random.default_rng(7)
    levels = np.linspace(20000, 24000, 9)[:, None, None]
    codes = np.round(levels + rng.normal(0, 50, (9, *SHAPE))).astype(np.uint16)
    codes[4, 2, 3] = 60000
    job = site.job(
        site.write(codes),
        SHAPE,
        FrameType.FLAT,
        bias=site.master(np.full(SHAPE, 500 / 65535), "bias.fits"),
    )
    recipe = replace(job.recipe, layout=request.param)
    job = replace(job, name="ATR585M/DATE_2026-01-15/masterFlat_FILTER_B", recipe=recipe)
    site.output = site.output_dir / job.master
    NativeEngine(1).make(job, site.input_dir, site.output_dir, site.output, site.log)
    (site.output_dir / job.file).parent.mkdir(parents=True)
    (site.output_dir / job.file).write_text(job.to_json())
    return job, MasterRecord.read(site.output.with_suffix(".json"))


def test_every_pixel_is_explained_to_the_masters_value(site, made) -> None:
    image, _ = read_image(site.output)
    for y, x in np.ndindex(*SHAPE):
        explanation = explain(*made, x, y, site.input_dir, site.output_dir)
        assert np.float32(explanation.result) == image[y, x]


def test_an_outlier_is_shown_with_the_round_that_rejected_it(site, made) -> None:
    explanation = explain(*made, 3, 2, site.input_dir, site.output_dir)
    assert explanation.samples[4].fate is Fate.HIGH
    assert explanation.samples[4].raw == pytest.approx(60000 / 65535)
    assert explanation.samples[4].calibrated == pytest.approx(59500 / 65535)
    assert explanation.rounds[0].last == 8
    assert explanation.rounds[0].sigma * 65535 < 500


def test_a_pixel_outside_is_refused(site, made) -> None:
    with pytest.raises(ConfigError, match="pixel 15, 0 is outside"):
        explain(*made, 15, 0, site.input_dir, site.output_dir)


def test_command_line_prints_samples_rounds_and_result(site, made, capsys) -> None:
    assert main(["pixel", str(site.output), "3", "2", str(site.input_dir)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) >= 1 + 9 + 2 + 1
    assert "high" in printed[5]
    assert printed[10].startswith("round 1: centre")
    assert printed[-1].startswith("WinsorizedSigmaClip, Average:")


def test_a_file_that_is_not_a_master_of_the_workflow_is_refused(site, capsys) -> None:
    assert main(["pixel", "elsewhere/m.xisf", "3", "2", str(site.input_dir)]) == 1
    assert "'elsewhere/m.xisf' is not a master of this workflow" in capsys.readouterr().err


def test_a_master_that_another_job_made_is_refused(site, made, capsys) -> None:
    other = replace(made[0], optimize_dark=not made[0].optimize_dark)
    (site.output_dir / other.file).write_text(other.to_json())
    assert main(["pixel", str(site.output), "3", "2", str(site.input_dir)]) == 1
    assert "is out of date: its job has changed" in capsys.readouterr().err


def test_a_master_without_its_job_is_refused(site, made, capsys) -> None:
    (site.output_dir / made[0].file).unlink()
    assert main(["pixel", str(site.output), "3", "2", str(site.input_dir)]) == 1
    assert "its job file cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("rejection", ["SigmaClip", "AveragedSigmaClip", "MinMax", "LinearFit"])
def test_other_methods_are_explained(site, rejection: str) -> None:
    codes = np.random.default_rng(8).integers(400, 600, (7, *SHAPE)).astype(np.uint16)
    job = site.job(site.write(codes), SHAPE, settings=Integration(rejection=rejection))
    NativeEngine(1).make(job, site.input_dir, site.output_dir, site.output, site.log)
    made = MasterRecord.read(site.output.with_suffix(".json"))
    explanation = explain(job, made, 5, 5, site.input_dir, site.output_dir)
    assert np.float32(explanation.result) == read_image(site.output)[0][5, 5]
    assert bool(explanation.rounds) == (rejection in {"SigmaClip", "AveragedSigmaClip"})
