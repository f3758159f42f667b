"""Masters of several engines, compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calmasters.comparison.between_engines import (
    ComparedMaster,
    EngineComparison,
    compare_outputs,
    comparison_lines,
)
from calmasters.comparison.picture import reduced, write_picture
from calmasters.comparison.runs import compare_engines, run_config
from calmasters.engine_check.cases import CASES, default_config, write_frames
from calmasters.engines.native.engine import NativeEngine
from calmasters.errors import ConfigError, EngineError, RecordError
from calmasters.frame import FrameType
from calmasters.model.job import MasterJob
from calmasters.planning.checkpoint import refresh_plan
from calmasters.settings import Settings
from calmasters.synthetic.camera import Camera


def test_a_single_pixel_is_seen_in_a_reduced_picture(tmp_path: Path) -> None:
    difference = np.zeros((700, 1000), np.float32)
    difference[650, 20] = -3e-5
    difference[1, 999] = 1e-3
    small = reduced(difference, 3)
    assert small.shape == (234, 334)
    assert {*small[small != 0].tolist()} == {np.float32(-3e-5), np.float32(1e-3)}
    file = tmp_path / "pictures" / "siril" / "master.webp"
    write_picture(file, difference)
    picture = np.asarray(Image.open(file).convert("RGB")).astype(int)
    assert max(picture.shape) <= 480
    red, _, blue = (picture[..., channel] for channel in range(3))
    assert np.argwhere(red > blue).tolist() == [[0, 333]]
    assert np.argwhere(blue > red).tolist() == [[216, 6]]


def test_a_comparison_is_written_and_read(tmp_path: Path) -> None:
    master = ComparedMaster("masters/bias/b.xisf", "bias", "siril", pixels=3, all_pixels=1000)
    comparison = EngineComparison(["native", "siril"], "2026-11-28T03:00:00+00:00", [master])
    comparison.write(tmp_path / "compare" / "compare.json")
    assert EngineComparison.read(tmp_path / "compare" / "compare.json") == comparison
    (tmp_path / "compare" / "compare.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RecordError, match="a comparison of engines"):
        EngineComparison.read(tmp_path / "compare" / "compare.json")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "identical"),
        ({"problem": "not made by siril"}, "not made by siril"),
        (
            {"pixels": 5, "largest_noise": 0.25, "largest_adu": 1.5, "x": 7, "y": 8},
            "0.5 % differ, at most 0.25 x noise, 1.5 ADU at x 7, y 8",
        ),
        ({"pixels": 5, "largest_adu": 1.5}, "0.5 % differ, at most 1.5 ADU at x 0, y 0"),
    ],
)
def test_a_master_is_compared_in_words(fields: dict[str, Any], expected: str) -> None:
    master = ComparedMaster("masters/b.xisf", "bias", "siril", all_pixels=1000, **fields)
    assert master.result == expected


def test_lines_name_the_engine_only_where_there_are_several() -> None:
    masters = [ComparedMaster("b", "bias", name, note="made of 2 frames") for name in ("b", "c")]
    lines = [*comparison_lines(EngineComparison(["a", "b"], "", masters[:1]))]
    assert lines == [
        "Masters by b, compared with those by a:",
        "  bias  identical",
        "        made of 2 frames",
    ]
    lines = [*comparison_lines(EngineComparison(["a", "b", "c"], "", masters))]
    assert lines[3] == "  bias  c          identical"


def test_the_run_of_an_engine_has_its_own_folder_and_leaves_out_the_users(tmp_path: Path) -> None:
    config = {**default_config(), "exclude": ["*bad*"], "input_dir": str(tmp_path)}
    config["output_dir"] = str(tmp_path / "my [output]")
    of_siril = run_config(config, Settings.from_config(config), "siril")
    assert of_siril["engine"] == "siril"
    assert of_siril["output_dir"] == (tmp_path / "my [output]/compare/siril").as_posix()
    assert of_siril["exclude"] == ["*bad*", "my [[]output]/*"]
    config["output_dir"] = str(tmp_path.parent / "elsewhere")
    assert run_config(config, Settings.from_config(config), "siril")["exclude"] == ["*bad*"]


def test_masters_are_compared_by_their_paths_and_frames(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.type is FrameType.FLAT)
    write_frames(case, tmp_path / "frames", Camera(width=24, height=16))
    jobs = {}
    for engine in ("native", "siril"):
        output_dir = tmp_path / "output" / "compare" / engine
        config = {**default_config(), "input_dir": str(tmp_path / "frames"), "engine": engine}
        settings = Settings.from_config({**config, "output_dir": str(output_dir)})
        jobs[engine] = {job.type: job for job in refresh_plan(settings).jobs}

    def make(job: MasterJob, engine: str) -> None:
        output_dir = tmp_path / "output" / "compare" / engine
        places = (tmp_path / "frames", output_dir, output_dir / job.master, tmp_path / "log")
        NativeEngine(1).make(job, *places)

    for job in jobs["native"].values():
        make(job, "native")
    make(jobs["siril"][FrameType.BIAS], "siril")
    dark = jobs["siril"][FrameType.DARK]
    # As if one frame was left out on reading.
    make(dark, "siril")
    record = tmp_path / "output" / "compare" / "siril" / dark.record
    stored = json.loads(record.read_text(encoding="utf-8"))
    stored["frames"].pop()
    stored["recipe"]["integration"]["sigmaLow"] = 5.0
    record.write_text(json.dumps(stored), encoding="utf-8")
    # Made before its frames have changed.
    make(replace(jobs["siril"][FrameType.FLAT], optimize_dark=False), "siril")
    comparison = compare_outputs(tmp_path / "output", ["native", "siril"])
    bias, dark_compared, flat = comparison.masters
    assert (bias.result, bias.note, bias.picture) == ("identical", "", "")
    assert dark_compared.note == (
        f"made of 5 frames, not of 6; they differ in {dark.frames[-1].path}; "
        "made with other settings"
    )
    assert flat.result == "not made by siril"
    (tmp_path / "output" / "compare" / "siril" / "plan.json").unlink()
    with pytest.raises(EngineError, match="has no plan: the run of this engine did not begin"):
        compare_outputs(tmp_path / "output", ["native", "siril"])


@pytest.mark.parametrize("engines", [[], ["native"]])
def test_a_comparison_needs_two_engines(engines: list[str]) -> None:
    config = {**default_config(), "engines": engines}
    with pytest.raises(ConfigError, match=r"add --config 'engines=\[native,pixinsight\]'"):
        compare_engines(config, Path("Snakefile"), 1, print)


def test_a_comparison_starts_nothing_without_the_program_of_an_engine(tmp_path: Path) -> None:
    config = {**default_config(), "engines": ["native", "pixinsight"]}
    config |= {"output_dir": str(tmp_path / "output"), "pixinsight": {"binary": "/nowhere/pi"}}
    with pytest.raises(ConfigError, match=r"nothing was started:\n  .*/nowhere/pi"):
        compare_engines(config, Path("Snakefile"), 1, print)
    assert not [*tmp_path.iterdir()]


def test_masters_of_an_earlier_run_are_not_compared_if_a_run_did_not_begin(tmp_path: Path) -> None:
    write_frames(CASES[0], tmp_path / "frames")
    config = {**default_config(), "engines": ["native", "siril"]}
    config |= {"input_dir": str(tmp_path / "gone"), "output_dir": str(tmp_path / "output")}
    program = tmp_path / "siril-cli"
    program.write_text("#!/bin/sh\necho siril 1.2.0\n", encoding="utf-8")
    program.chmod(0o755)
    config["siril"] = {**config["siril"], "binary": str(program)}
    settings = Settings.from_config(config)
    for engine in settings.engines:
        earlier = run_config(config, settings, engine) | {"input_dir": str(tmp_path / "frames")}
        refresh_plan(Settings.from_config(earlier))
    with pytest.raises(EngineError, match="engine native did not begin"):
        compare_engines(config, Path("Snakefile"), 1, print)
    assert not (tmp_path / "output" / "compare" / "compare.json").exists()
