"""Masters of PixInsight equal those of the native engine to the bit; failures are explained."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from jobs_for_pixinsight import (
    SMALL,
    Program,
    Site,
    assert_ended,
    assert_equals_native,
    make_flat_with_masters,
    make_job,
)

from calmasters.atomic_files import write_whole
from calmasters.engines.pixinsight.needs import NEEDS
from calmasters.errors import ConfigError, EngineError
from calmasters.frame import FrameType, Geometry
from calmasters.frame_layout import FrameLayout, FramePart, Section
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import read_image, write_master
from calmasters.model.job import MasterJob, UsedMaster
from calmasters.model.layout import record_path
from calmasters.model.master_record import MasterRecord

BIAS, DARK, FLAT = FrameType.BIAS, FrameType.DARK, FrameType.FLAT


# Equal to the native engine --------------------------------------------------------------


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("kind", [BIAS, DARK, FLAT])
def test_masters_equal_the_native_engines(site: Site, kind: FrameType) -> None:
    assert_equals_native(site, make_job(site, kind))


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("kinds", [(BIAS,), (DARK,), (BIAS, DARK)], ids="+".join)
@pytest.mark.parametrize("origin", ["run", "library"])
def test_calibrated_flats_equal_the_native_engines(
    site: Site,
    flat_with_masters: Callable[..., MasterJob],
    kinds: tuple[FrameType, ...],
    origin: str,
) -> None:
    job = flat_with_masters(*kinds, origin=origin)
    assert_equals_native(site, job, by_script=(origin, len(kinds)) != ("library", 2))


def test_flats_with_an_unscaled_dark_equal_the_native_engines(
    site: Site, flat_with_masters: Callable[..., MasterJob]
) -> None:
    job = replace(flat_with_masters(BIAS, DARK), optimize_dark=False)
    assert_equals_native(site, job, by_script=True)


def test_flats_of_a_mosaic_equal_the_native_engines(
    site: Site, flat_with_masters: Callable[..., MasterJob]
) -> None:
    job = flat_with_masters(BIAS, DARK, geometry=replace(SMALL, bayerpat="RGGB"))
    assert_equals_native(site, job, by_script=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"darkOptimizationLow": 1.0},
        {"darkOptimizationWindow": 10},
        {"outputPedestal": 150},
        {"enableCFA": False},
    ],
    ids=str,
)
def test_other_calibrations_equal_the_native_engines(
    site: Site, flat_with_masters: Callable[..., MasterJob], changes: Any
) -> None:
    job = flat_with_masters(BIAS, DARK, geometry=replace(SMALL, bayerpat="RGGB"))
    recipe = replace(job.recipe, calibration=replace(job.recipe.calibration, **changes))
    assert_equals_native(site, replace(job, recipe=recipe), by_script=True)


@pytest.mark.parametrize(("exposure_s", "is_subtracted"), [(300.0, False), (1.8, True)])
@pytest.mark.parametrize("bayerpat", [None, "RGGB"])
def test_a_dark_that_cannot_be_scaled_equals_the_native_engines(
    site: Site,
    flat_with_masters: Callable[..., MasterJob],
    exposure_s: float,
    is_subtracted: bool,
    bayerpat: str | None,
) -> None:
    job = flat_with_masters(BIAS, DARK, geometry=replace(SMALL, bayerpat=bayerpat))
    bias, _ = read_image(site.output_dir / job.bias.path)
    noise = np.random.default_rng(5).normal(0.01, 1e-4, bias.shape).astype(np.float32)
    write_master(site.output_dir / job.dark.path, bias + noise, [])
    job = replace(job, dark=replace(job.dark, exposure_s=exposure_s))
    assert_equals_native(site, job)
    record = MasterRecord.read(site.output_dir / record_path(job.master))
    assert {frame.k for frame in record.frames} == {float(is_subtracted)}
    header = (site.output_dir / job.master).read_bytes()[:4000]
    assert (b"dark optimization: on" in header) is is_subtracted


def test_both_engines_ignore_the_pedestal_card(
    site: Site, flat_with_masters: Callable[..., MasterJob]
) -> None:
    job = flat_with_masters(BIAS)
    for frame in job.frames:
        fits.setval(site.input_dir / frame.path, "PEDESTAL", value=100)
    assert_equals_native(site, job, by_script=True)
    # ImageIntegration would write it, but it was subtracted with the bias.
    assert "PEDESTAL" not in read_cards(site.output_dir / job.master)


@pytest.mark.parametrize("pedestal", [0, 150])
def test_flats_carry_the_pedestal_that_was_added_to_them(
    site: Site, flat_with_masters: Callable[..., MasterJob], pedestal: int
) -> None:
    job = flat_with_masters(BIAS)
    calibration = replace(job.recipe.calibration, outputPedestal=pedestal)
    job = replace(job, recipe=replace(job.recipe, calibration=calibration))
    site.make_by_script(job)
    assert read_cards(site.output_dir / job.master).get("PEDESTAL", 0) == pedestal


def bottom_up(pixels: np.ndarray) -> fits.PrimaryHDU:
    return fits.PrimaryHDU(pixels[::-1], fits.Header({"ROWORDER": "BOTTOM-UP"}))


REWRITTEN: dict[str, tuple[Callable[[np.ndarray], fits.PrimaryHDU], str]] = {
    "signed": (lambda pixels: fits.PrimaryHDU((pixels // 2).astype(np.int16)), "signed"),
    "bottom-up": (bottom_up, "bottom-up"),
    "floats": (lambda pixels: fits.PrimaryHDU((pixels / 65535).astype(np.float32)), ""),
    "ADU": (lambda pixels: fits.PrimaryHDU(pixels.astype(np.float32)), "adu16"),
}


def rewritten(site: Site, job: MasterJob, name: str, count: int = 5) -> MasterJob:
    """Write the first frames of a job again, as one of ``REWRITTEN``."""
    image_of, read_as = REWRITTEN[name]
    frames = []
    for frame in job.frames[:count]:
        path = site.input_dir / frame.path
        image_of(fits.getdata(path)).writeto(path, overwrite=True)
        frames.append(frame._replace(size=path.stat().st_size, read_as=read_as))
    return replace(job, frames=(*frames, *job.frames[count:]))


@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("name", REWRITTEN)
def test_frames_that_are_not_plain_equal_the_native_engines(
    site: Site, name: str, count: int
) -> None:
    job = rewritten(site, make_job(site, BIAS), name, count)
    if name == "ADU" and count < len(job.frames):
        with pytest.raises(ConfigError, match="2 of 5 frames are floating-point ADU, others"):
            site.make(job)
    else:
        assert_equals_native(site, job, by_script=True)


#: The frame without four columns of overscan.
LEVELLED = Geometry(
    *(20, 16),
    layout=FrameLayout.of(
        20, 16, [FramePart(Section(0, 20, 0, 16), overscan=(Section(20, 24, 0, 16),))], "constant"
    ),
)


@pytest.mark.parametrize("kinds", [(), (BIAS,), (BIAS, DARK)])
def test_frames_with_an_overscan_equal_the_native_engines(
    site: Site, flat_with_masters: Callable[..., MasterJob], kinds: tuple[FrameType, ...]
) -> None:
    job = flat_with_masters(*kinds, geometry=LEVELLED)
    assert_equals_native(site, job)
    assert not [*(site.output_dir / job.master).parent.glob(".*")]


def test_the_script_of_a_user_refuses_frames_with_an_overscan(site: Site) -> None:
    script = site.script(make_job(site, BIAS, geometry=LEVELLED))
    assert "its frames are written as plain files before PixInsight reads them" in script


def test_adu_in_32_bits_are_refused(site: Site) -> None:
    job = make_job(site, BIAS)
    frames = [frame._replace(read_as="32-bit integers as ADU") for frame in job.frames]
    with pytest.raises(ConfigError, match="contains 16-bit ADU in integers of 32 bits"):
        site.make(replace(job, frames=tuple(frames)))


@pytest.mark.parametrize(
    ("of_frames", "of_master", "is_refused"),
    [("", "", False), ("", "adu16", True), ("adu16", "", True), ("adu16", "adu16", False)],
)
def test_masters_in_fits_of_another_range_than_the_frames_are_refused(
    site: Site, of_frames: str, of_master: str, is_refused: bool
) -> None:
    job = make_job(site, FLAT, bias=UsedMaster("b.fits", "library", "", read_as=of_master))
    frames = [frame._replace(read_as=of_frames) for frame in job.frames]
    sentences = [*NEEDS.unsupported(replace(job, frames=tuple(frames)))]
    assert bool(sentences) == is_refused
    assert all("b.fits" in sentence for sentence in sentences)


def test_floating_point_frames_in_adu_equal_the_native_engines(
    site: Site, flat_with_masters: Callable[..., MasterJob]
) -> None:
    job = flat_with_masters(BIAS, DARK)
    frames = []
    for frame in job.frames:
        path = site.input_dir / frame.path
        pixels = fits.getdata(path).astype(np.float32)
        fits.PrimaryHDU(pixels).writeto(path, overwrite=True)
        frames.append(frame._replace(size=path.stat().st_size))
    recipe = replace(job.recipe, float_range="adu16")
    job = replace(job, frames=tuple(frames), recipe=recipe)
    assert_equals_native(site, job, by_script=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"rejection": "NoRejection"},
        {"rejection": "MinMax"},
        {"rejection": "PercentileClip"},
        {"rejection": "SigmaClip", "sigmaHigh": 1.5},
        {"rejection": "AveragedSigmaClip"},
        {"rejection": "LinearFit"},
        {"rejection": "Rejection_ESD"},
        {"combination": "Median"},
        {"rangeClipLow": True},
    ],
    ids=str,
)
def test_other_settings_equal_the_native_engines(site: Site, changes: Any) -> None:
    job = make_job(site, BIAS, frames=7)
    integration = replace(job.recipe.integration, **changes)
    recipe = replace(job.recipe, integration=integration)
    assert_equals_native(site, replace(job, recipe=recipe), by_script=True)


# Headers and files -----------------------------------------------------------------------


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("master_format", ["xisf", "fits"])
def test_the_header_equals_the_native_engines(
    site: Site, flat_with_masters: Callable[..., MasterJob], master_format: str
) -> None:
    job = flat_with_masters(BIAS, DARK)
    job = replace(job, recipe=replace(job.recipe, master_format=master_format))
    assert_equals_native(site, job, by_script=True)
    ours = dict(read_cards(site.output_dir / job.master))
    native = dict(read_cards(site.make_native(job)))
    assert ours.pop("DATE")[:4].isdigit()  # type: ignore[index,union-attr]
    native.pop("DATE")
    if master_format == "fits":
        # PixInsight writes these cards itself, and drops CREATOR.
        assert [ours.pop(name, None) for name in ("PROGRAM", "HDUNAME", "ROWORDER")] == [
            *("PixInsight", "image", "TOP-DOWN")
        ]
        native.pop("CREATOR")
    assert ours == native
    assert ours["IMAGETYP"] == "Master Flat"


@pytest.mark.usefixtures("mode")
def test_hostile_header_text_is_preserved(site: Site) -> None:
    text = 'O\'Neil "x" \\ \n #engine */ // ${1} </script> 日本 Ω\u2028 ' + "é" * 250
    job = make_job(site, BIAS, keywords={"TYPE": "bias", "INSTRUME": text})
    site.make_by_script(job)
    ours = read_cards(site.output_dir / job.master)["INSTRUME"]
    assert ours == read_cards(site.make_native(job))["INSTRUME"]
    assert str(ours).startswith('O\'Neil "x"')


@pytest.mark.parametrize(
    "folder", ["it's, a=b #1", "日本 Ωmega", "*(x)", "a b", "$HOME `x` ${x}", "x" * 200]
)
def test_hostile_paths_are_supported(tmp_path: Path, program: Program, folder: str) -> None:
    site = Site(tmp_path / folder, program)
    job = make_job(site, BIAS, name="masterBias_INSTRUME-" + "n" * 160)
    assert_equals_native(site, job)


def test_the_statistics_are_written_next_to_the_master(
    site: Site, flat_with_masters: Callable[..., MasterJob]
) -> None:
    job = flat_with_masters(BIAS, DARK)
    made = site.make(job)
    master = site.output_dir / job.master
    record = json.loads(master.with_suffix(".json").read_text())
    assert record["versions"]["PixInsight"] == "1.9.3"
    assert record["rejected_high"] == sum(frame.high for frame in made.frames) >= 5
    image = read_image(master)[0]
    assert (made.minimum, made.maximum) == (image.min(), image.max())
    assert [frame.path for frame in made.frames] == [frame.path for frame in job.frames]
    assert all(0 <= frame.k < 10 for frame in made.frames if frame.k is not None)


def test_nothing_but_the_master_is_left(
    site: Site, flat_with_masters: Callable[..., MasterJob]
) -> None:
    job = flat_with_masters(BIAS, DARK)
    site.make(job)
    left = {path.name for path in (site.output_dir / job.master).parent.iterdir()}
    assert left == {f"{job.name}.xisf", f"{job.name}.json"}
    assert not (site.output_dir / "calibrated" / job.name).exists()


def test_calibrated_flats_are_kept_if_configured_and_replaced(
    site: Site, flat_with_masters: Callable[..., MasterJob]
) -> None:
    job = flat_with_masters(BIAS)
    for _ in range(2):
        site.make(job, keep=True)
    kept = list((site.output_dir / "calibrated" / job.name).iterdir())
    assert len(kept) == len(job.frames)


def test_every_run_leaves_no_window(site: Site) -> None:
    site.make(make_job(site, BIAS))
    assert [run["windows"] for run in site.program.journal()] == [[]]


def test_the_engine_makes_the_same_master_as_the_script_of_a_user(site: Site) -> None:
    job = make_job(site, BIAS)
    site.make(job)
    by_engine = read_image(site.output_dir / job.master)[0]
    (site.output_dir / job.master).unlink()
    site.program.run_script(site.script(job))
    assert np.array_equal(read_image(site.output_dir / job.master)[0], by_engine)


# Faults ----------------------------------------------------------------------------------

FAULTS = {
    "crash": "PixInsight crashed while integrating 5 frames (exit code 139)",
    "no-signal": "Zero or insignificant signal detected.",
    "leak": "Out of memory.",
    "no-master": "PixInsight reported success, but there is no master",
    "empty": "PixInsight reported success, but its master cannot be used",
    "truncated": "PixInsight reported success, but its master cannot be used",
    "wrong-size": "PixInsight's master has",
    "write-fails": "PixInsight could not write the image into",
}


def assert_nothing_left(site: Site, job: MasterJob) -> None:
    site.unshare()
    assert list((site.output_dir / job.master).parent.iterdir()) == []
    for run in site.program.journal():
        assert_ended(run["pid"])


@pytest.mark.usefixtures("mode", "way")
@pytest.mark.parametrize(
    ("mode", "way"),
    [
        ("sm", "per_master"),
        ("v8", "shared"),
        pytest.param("v8", "per_master", marks=pytest.mark.slow),
    ],
    indirect=True,
)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_in_a_message_and_nothing_left(site: Site, fault: str) -> None:
    site.program.behave(fault=fault)
    job = make_job(site, BIAS)
    with pytest.raises(EngineError) as raised:
        site.make(job)
    message = str(raised.value)
    assert FAULTS[fault] in message
    assert job.master in message
    if fault != "crash":
        assert_nothing_left(site, job)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("fault", ["hang", "survivor"])
def test_a_hanging_program_is_ended_with_all_processes(site: Site, fault: str) -> None:
    site.program.behave(fault=fault)
    job = make_job(site, BIAS)
    with pytest.raises(EngineError, match="while integrating 5 frames: raise the limit"):
        site.make(job, timeout_minutes=0.1)
    assert_nothing_left(site, job)
    for run in site.program.journal():
        for pid in run.get("children", []):
            assert_ended(pid)


@pytest.mark.usefixtures("way")
def test_a_script_that_did_not_start_differs_from_a_crash(site: Site) -> None:
    site.program.behave(fault="hang-at-start")
    job = make_job(site, BIAS)
    with pytest.raises(EngineError, match="without running its script: start PixInsight yourself"):
        site.make(job, timeout_minutes=0.1)
    assert_nothing_left(site, job)


@pytest.mark.usefixtures("way")
def test_without_the_old_engine_the_message_names_the_new_one(site: Site) -> None:
    site.program.behave(version="1.9.4", has_legacy_engine=False)
    with pytest.raises(EngineError, match=r"set pixinsight: \{js_engine: v8\}"):
        site.make(make_job(site, BIAS), js_engine="sm")


@pytest.mark.usefixtures("way")
def test_a_crashed_master_is_repeated_as_often_as_configured(site: Site) -> None:
    site.program.behave(fault="crash-once")
    assert_equals_native(site, make_job(site, BIAS), retries=1)


@pytest.mark.usefixtures("way")
def test_files_that_windows_refuses_for_a_moment_are_tried_again(
    site: Site, flat_with_masters: Callable[..., MasterJob]
) -> None:
    site.program.behave(fault="files-in-use")
    assert_equals_native(site, flat_with_masters(BIAS, DARK))


@pytest.mark.usefixtures("way")
def test_a_reported_failure_is_not_repeated(site: Site) -> None:
    site.program.behave(fault="no-signal")
    with pytest.raises(EngineError):
        site.make(make_job(site, BIAS), retries=3)
    site.unshare()
    assert len(site.program.journal()) == 1


@pytest.mark.usefixtures("way")
def test_a_slow_start_is_waited_for(site: Site) -> None:
    site.program.behave(start_s=2)
    assert_equals_native(site, make_job(site, BIAS))


@pytest.mark.usefixtures("way")
def test_without_force_exit_the_program_is_ended_after_its_script(site: Site) -> None:
    assert_equals_native(site, make_job(site, BIAS), force_exit=False)
    site.unshare()
    (pid,) = site.program.pids()
    assert_ended(pid)


def test_a_running_instance_of_the_user_is_not_used(site: Site) -> None:
    (site.program.folder / "running").touch()
    assert_equals_native(site, make_job(site, BIAS))


@pytest.mark.parametrize(
    ("frames", "rejection", "fewest"), [(2, "WinsorizedSigmaClip", 3), (4, "LinearFit", 5)]
)
def test_too_few_frames_are_refused_before_pixinsight_starts(
    site: Site, frames: int, rejection: str, fewest: int
) -> None:
    job = make_job(site, BIAS, frames=frames)
    integration = replace(job.recipe.integration, rejection=rejection)
    with pytest.raises(EngineError, match=f"PixInsight needs at least {fewest} "):
        site.make(replace(job, recipe=replace(job.recipe, integration=integration)))
    assert not (site.program.folder / "journal.jsonl").exists()


def test_a_frame_that_cannot_be_read_is_left_out_and_reported(site: Site) -> None:
    job = make_job(site, BIAS)
    bad = job.frames[1]
    (site.input_dir / bad.path).write_bytes(b"x" * bad.size)
    site.make(job)
    record = json.loads((site.output_dir / job.master).with_suffix(".json").read_text())
    reason = "is not a FITS file; copy it again, or leave it out (exclude)"
    assert record["left_out"] == [{"path": bad.path, "reason": reason, "outlier": False}]
    assert [frame["path"] for frame in record["frames"]] == [
        frame.path for frame in job.frames if frame != bad
    ]
    cards = read_cards(site.output_dir / job.master)
    assert cards["NCOMBINE"] == 4


@pytest.mark.parametrize("skip", [False, True])
def test_a_frame_that_differs_is_reported_or_left_out_as_by_the_native_engine(
    site: Site, skip: bool
) -> None:
    job = make_job(site, BIAS)
    odd = site.input_dir / job.frames[2].path
    with fits.open(odd, mode="update") as file:
        file[0].data = file[0].data + np.uint16(5000)
    job = replace(job, recipe=replace(job.recipe, skip_outliers=skip))
    site.make(job)
    ours, native = (
        json.loads(master.with_suffix(".json").read_text())
        for master in (site.output_dir / job.master, site.make_native(job))
    )
    assert [frame["difference"] for frame in ours["frames"]] == [
        frame["difference"] for frame in native["frames"]
    ]
    assert ours["left_out"] == native["left_out"]
    (warning,) = ours["warnings"]
    assert warning in native["warnings"]
    assert "5299 ADU" in warning["text"]
    assert len(ours["left_out"]) == int(skip)


def test_a_name_that_pixinsight_cannot_open_is_refused_before_it_starts(site: Site) -> None:
    job = make_job(site, BIAS)
    odd = job.frames[1]._replace(path="bias/\udcff.fits")
    with pytest.raises(ConfigError, match="is not valid UTF-8"):
        site.make(replace(job, frames=(job.frames[0], odd, *job.frames[2:])))


@pytest.mark.parametrize("content", [None, b"shorter"])
def test_a_frame_that_changed_since_the_plan_is_named(site: Site, content: bytes | None) -> None:
    job = make_job(site, BIAS)
    frame = site.input_dir / job.frames[1].path
    frame.unlink() if content is None else frame.write_bytes(content)
    with pytest.raises(EngineError, match=r"1/image\.fits had \d+ bytes when the job was planned"):
        site.make(job)


def test_the_message_of_a_failure_names_the_log_and_shows_the_console(site: Site) -> None:
    site.program.behave(fault="no-signal")
    job = make_job(site, BIAS)
    with pytest.raises(EngineError) as raised:
        site.make(job)
    assert str(site.log(job)) in str(raised.value)
    assert "*** Error: Zero or insignificant signal detected." in site.log(job).read_text()


def test_a_master_is_not_put_in_place_when_another_run_has_taken_over(site: Site) -> None:
    job = make_job(site, BIAS)
    folder = (site.output_dir / job.master).parent
    with ThreadPoolExecutor(1) as threads:
        making = threads.submit(site.make, job)
        while not (folder / f".{job.digest}.status.json").is_file():
            assert not making.done()
        write_whole(site.output_dir / ".lock", "another run")
        with pytest.raises(EngineError, match="another run has taken over"):
            making.result()
    assert not [*folder.iterdir()]


def test_an_older_master_is_not_mistaken_for_the_new_one(site: Site) -> None:
    job = make_job(site, BIAS)
    site.make(job)
    site.program.behave(fault="no-master")
    with pytest.raises(EngineError, match="there is no master"):
        site.make(job)


INTERRUPTED = """
import sys
from pathlib import Path
from calmasters.engines.pixinsight.engine import PixInsightEngine
from calmasters.model.job import MasterJob, UsedMaster
from calmasters.settings import Calibrated, PixInsight

binary, job_file, folder = map(Path, sys.argv[1:4])
way = sys.argv[4]
job = MasterJob.from_json(job_file.read_text())
engine = PixInsightEngine(PixInsight(binary=binary, js_engine="sm", session=way), Calibrated())
output = folder / "output"
engine.make(job, folder / "frames", output, output / job.master, output / "log")
"""


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupt_ends_pixinsight_too(site: Site, way: str, tmp_path: Path, name: str) -> None:
    import signal
    import time

    site.program.behave(fault="hang")
    job = make_job(site, BIAS)
    (tmp_path / "job.json").write_text(job.to_json())
    arguments = [site.program.binary, tmp_path / "job.json", tmp_path, way]
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *arguments], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while not (site.program.folder / "journal.jsonl").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(getattr(signal, name))
    assert process.wait(20) != 0
    assert_ended(site.program.journal()[0]["pid"])
    assert_nothing_left(site, job)


# Planted mistakes ------------------------------------------------------------------------

IS_MISSING = "imageWindow === null || imageWindow === undefined || imageWindow.isNull"

#: A mistake: text of a script, its replacement, the fault of the program that reveals it.
MISTAKES = {
    "a wrong flag": ("calibration.bias !== null && calibration.dark !== null;", "false;", ""),
    "another wrong flag": ("masterFlatEnabled: false,", "", ""),
    "a wrong enumeration": ('onError: "Continue"', 'onError: "Carry on"', ""),
    "a wrong number": ("imageType: job.imageType", "imageType: -1", ""),
    "an ignored result of a process": ("process.executeGlobal() !== true", "false", "no-signal"),
    "an ignored result of writing": ("if (succeeded !== true)", "if (false)", "write-fails"),
    "a predicted name": ("rows[i][0]", 'job.calibration.directory + "/image_c.xisf"', ""),
    "a window left open": ("open.forceClose();", ";", ""),
    "a missing window is never null": (IS_MISSING, "imageWindow.isNull", ""),
    "a missing window is always null": (IS_MISSING, "imageWindow === null", ""),
    "the factor of another channel": ("Number(rows[i][1])", "Number(rows[i][2])", ""),
    "counts in the wrong order": ("[Number(row[3]), Number(row[6])]", "[row[6], row[3]]", ""),
    "a parameter of newer versions": (
        "setKnownParameters(process, ImageCalibration",
        "setParameters(process, ImageCalibration",
        "",
    ),
    "frames that are not calibrated": (
        "job.calibration === null ? job.frames : pathsOf(calibrated)",
        "job.frames",
        "",
    ),
    "another reference of normalization": (
        "images = paths.map(",
        "images = paths.reverse().map(",
        "",
    ),
    "the dark as bias": ("calibration.bias ||", "calibration.dark ||", ""),
    "a dark that is not scaled": ("= calibration.optimizeDarks;", "= false;", ""),
    "a folder that is not made": ("makeFolder(job.calibration.directory);", "", ""),
    "the constants of one engine": ("var value = Process[name];", "var value;", ""),
    "a newer language": ("var imageWindow =", "let imageWindow =", ""),
    "the header of the first frame": (".keywords = masterKeywords(job);", ".keywords;", ""),
    "a loop over a process": (
        'execute(process, "ImageIntegration");',
        'for (var each in process) {} execute(process, "ImageIntegration");',
        "",
    ),
}
V8_ONLY = {"the constants of one engine", "a missing window is never null"}
#: Those that only an old version reveals.
OLD_ONLY = {"a parameter of newer versions"}


def problems(site: Site, script: str, native: Path) -> list[str]:
    """Run a script as a runner does, and return what is wrong with its results."""
    match = [line for line in script.splitlines() if line.startswith(' "status": ')]
    status = Path(json.loads(match[0].strip()[len('"status": ') : -1]))
    status.write_text('{"state": "requested"}')
    try:
        core = site.program.run_script(script)
    except SystemExit:
        return ["aborted"]
    report = json.loads(status.read_text())
    part = status.parent / status.name.replace(".status.json", ".xisf")
    windows = ["windows left"] if core.windows else []
    if site.program.behaviour.get("fault"):
        error = report.get("error", "")
        named = "ImageIntegration failed" in error or "could not write" in error
        return windows + ([] if report["state"] == "failed" and named else ["not reported"])
    if report["state"] != "completed":
        return [*windows, report.get("error", report["state"])]
    pixels, cards = read_image(part)[0], read_cards(part)
    frames = MasterRecord.read(native.with_suffix(".json")).frames
    is_wrong = {
        "pixels": not np.array_equal(pixels, read_image(native)[0]),
        "IMAGETYP": cards["IMAGETYP"] != "Master Flat",
        "counts": report["rejected"] != [[frame.low, frame.high] for frame in frames],
        "factors": report["k"] != pytest.approx([frame.k for frame in frames]),
    }
    return [*windows, *(name for name, is_so in is_wrong.items() if is_so)]


@pytest.fixture(scope="module")
def without_mistakes(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., tuple[Site, str, Path]]:
    """A script that has no problems with a program, where it ran, and the native engine's master.

    Made once for each behaviour of the program.
    """

    @cache
    def make(version: str, js_engine: str, fault: str) -> tuple[Site, str, Path]:
        folder = tmp_path_factory.mktemp("without_mistakes")
        program = Program(folder / "PixInsight", js_engine=js_engine)
        program.install()
        program.behave(version=version, fault=fault)
        site = Site(folder, program)
        job = make_flat_with_masters(site, BIAS, DARK)
        native, script = site.make_native(job), site.runner_script(job)
        assert problems(site, script, native) == []
        return site, script, native

    return make


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_detected(
    without_mistakes: Callable[..., tuple[Site, str, Path]],
    monkeypatch: pytest.MonkeyPatch,
    mistake: str,
) -> None:
    monkeypatch.setattr("standin.core.abort", lambda: sys.exit(139))
    right, wrong, fault = MISTAKES[mistake]
    version, js_engine = "1.9.3", "sm"
    if mistake in OLD_ONLY:
        version = "1.8.9-3"
    if mistake in V8_ONLY:
        version, js_engine = "1.9.4", "v8"
    site, script, native = without_mistakes(version, js_engine, fault)
    assert script.count(right) == 1
    shutil.rmtree(site.output_dir / "calibrated", ignore_errors=True)
    assert problems(site, script.replace(right, wrong), native) != []


@pytest.mark.parametrize(
    ("name", "hint"), [("signed", " signed-is-physical"), ("bottom-up", " use-roworder-keywords")]
)
def test_a_hint_that_is_missing_is_detected(site: Site, name: str, hint: str) -> None:
    job = rewritten(site, make_job(site, BIAS), name)
    script, native = site.script(job), read_image(site.make_native(job))[0]
    is_equal = []
    for text in (script, script.replace(hint, "")):
        site.program.run_script(text)
        is_equal.append(np.array_equal(read_image(site.output_dir / job.master)[0], native))
    assert is_equal == [True, False]
