"""What a person sees: the exact text of each situation."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from real_workflow import BIAS, TINY, Workflow, add_another, frame

from calmasters.synthetic.session import write_session

CAMERA = "ATR585M, -10 °C, gain 100"
LINE = "  {:<55}    {} frames… s"
RARE = (
    "of 4 frames the rejection takes up to 2.3 % of good samples as too low and 3.2 % as too high;"
    " take 10 or more"
)
FRAMES = "Frames: bias 4 used; dark 4 used; flat 8 used; light 1 ignored"


def masters(*names: str) -> set[str]:
    """The lines of masters, which come in any order."""
    return {LINE.format(f"{name}, {CAMERA}", 4) for name in names}


def test_masters_built(fresh: Workflow) -> None:
    lines = fresh.show("masters")
    flats = ("flat B 2026-01-16", "flat Ha 2026-01-16")
    assert {line.split("  1 ")[0] for line in lines[:4]} == masters("bias", "dark 60 s", *flats)
    assert lines[4:] == [
        "Masters: 4 built, 4 weak, in output/masters (… s)",
        f"Weak: bias, {CAMERA} and 3 more: {RARE}",
        FRAMES,
        "Each frame: output/inventory.csv. Numbers and pictures: snakemake report",
    ]


def test_nothing_to_do(made: Workflow) -> None:
    assert made.show("masters") == [
        "Nothing to do: 4 masters are up to date, 4 of them weak; 0 frames refused."
        " See: snakemake summary"
    ]


def test_masters_that_stay_are_counted_when_only_the_inventory_runs(made: Workflow) -> None:
    add_another(frame(made, "light"), "first.fits")
    assert (
        made.show("masters")[0] == "Masters: 0 built, 4 unchanged, 4 weak, in output/masters (… s)"
    )
    add_another(frame(made, "light"), "second.fits")
    assert not [line for line in made.show("inventory") if line.startswith("Masters")]


def test_nothing_usable_is_an_error_in_dry_runs_too(fresh: Workflow) -> None:
    for path in fresh.frames.rglob("*.fits"):
        if "LIGHT" not in path.parts:
            path.write_bytes(path.read_bytes()[:2880])
    for arguments in (("-n", "masters"), ("masters",), ("masters",)):
        lines = fresh.show(*arguments, succeeds=False)
        assert lines[0] == "Frames: bias 4 refused; dark 4 refused; flat 8 refused; light 1 ignored"
        assert lines[1].startswith("Left out: 16 frames: copy it again (")
        assert lines[2:] == [
            "calmasters: no master can be made: all frames were left out for the reasons above;"
            " 'snakemake summary' shows more of them"
        ]


def test_a_run_started_in_another_folder_says_the_same(made: Workflow, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert made.show("masters", started_in=elsewhere) == made.show("masters")
    assert made.show("-n", "masters", started_in=elsewhere) == made.show("-n", "masters")


def test_only_lights_are_no_error(fresh: Workflow) -> None:
    for folder in ("BIAS", "DARK", "FLAT"):
        for path in fresh.frames.rglob(f"{folder}/**/*.fits"):
            path.unlink()
    sentence = "Nothing to do: there are no bias, dark or flat frames (light 1 ignored)."
    for arguments in (("-n", "masters"), ("masters",), ("masters",)):
        assert fresh.show(*arguments) == [sentence]


def test_the_message_of_a_group_that_failed_comes_last(fresh: Workflow) -> None:
    fresh.run("inventory")
    path = frame(fresh, "dark")
    good, status = path.read_bytes(), path.stat()
    path.write_bytes(b"X" * len(good))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    lines = fresh.show("masters", "--keep-going", "--config", "on_bad_frame=fail", succeeds=False)
    assert f"  dark 60 s, {CAMERA}  FAILED" in lines
    failed = next(at for at, line in enumerate(lines) if line.startswith("Failed: "))
    assert lines[failed].startswith(f"Failed: dark 60 s, {CAMERA}: masterDark_")
    assert "is not a FITS file" in "\n".join(lines[failed:])
    assert lines[-1].startswith("  (log: output/logs/dark/masterDark_")
    assert "Traceback" not in "\n".join(lines)


def test_a_missing_engine_is_reported_before_work_starts(fresh: Workflow) -> None:
    engine = ("--config", "engine=siril", "siril={binary: /nowhere/siril-cli}")
    for arguments in (("-n", "masters"), ("masters",)):
        lines = fresh.show(*arguments, *engine, succeeds=False)
        assert lines[-4:] == [
            FRAMES,
            "calmasters: 4 masters cannot be made; nothing was started:",
            "  siril.binary: there is no file '/nowhere/siril-cli'; set siril.binary in config.yaml"
            " to siril-cli, or engine: native",
            "  calibration.flat.optimizeDarks: true is not supported by engine siril; choose false,"
            " or engine: native",
        ]


def test_gain_that_a_whole_camera_lacks_is_reported_once(workflow: Workflow) -> None:
    for number in range(3):
        for kind in ("Bias", "Dark", "Flat"):
            add_header_only(workflow, f"{kind}{number}", kind)
    lines = workflow.show("masters")
    note = "writes no GAIN and no OFFSET; all its frames count as one setting"
    assert [line for line in lines if note in line] == [f"Note: SBIG ST-7 {note}"]
    assert lines.count("Frames: bias 3 used; dark 3 used; flat 3 used") == 1


def test_types_that_contradict_folders_are_reported_with_the_setting(workflow: Workflow) -> None:
    for number in range(3):
        add_header_only(workflow, f"Flats/{number}", "Light")
        add_header_only(workflow, f"bias{number}", "Bias")
    lines = workflow.show("masters")
    assert (
        "Left out: 3 frames: type light, but their folders say flat; if that is right, set"
        " types_from: [folder, header] (Flats/0.fits type light, but its folder 'Flats' says flat)"
    ) in lines
    assert "Nothing to do: 1 master is up to date" in workflow.show("masters")[0]
    made = workflow.show("masters", "--config", "types_from=[folder,header]")
    assert "Frames: bias 3 used; flat 3 used" in made


def test_a_full_disk_is_one_sentence(fresh: Workflow) -> None:
    disk = fresh.directory / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("disks cannot be mounted here")
    try:
        output = f"output_dir={disk / 'output'}"
        lines = fresh.show("masters", "--config", output, succeeds=False)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    failed = next(at for at, line in enumerate(lines) if line.startswith("Failed: inventory: "))
    assert "free" in lines[failed]
    assert "Traceback" not in "\n".join(lines)


def add_header_only(workflow: Workflow, name: str, kind: str) -> None:
    """Write a frame of a camera that writes neither GAIN nor OFFSET."""
    numbers = {"Bias": (0.0, 500), "Dark": (30.0, 520), "Flat": (2.0, 25000), "Light": (2.0, 25000)}
    exposure, level = numbers[kind]
    noise = np.random.default_rng(zlib.crc32(name.encode())).normal(level, 9, (24, 24))
    image = fits.PrimaryHDU(noise.astype(np.uint16))
    image.header.update(
        {
            **{"IMAGETYP": f"{kind} Frame", "INSTRUME": "SBIG ST-7", "SET-TEMP": -10.0},
            **{"EXPTIME": exposure, "DATE-OBS": "2026-01-15T20:00:00", "DATE-LOC": "2026-01-15T21"},
            "FILTER": "Ha",
        }
    )
    path = workflow.frames / f"{name}.fits"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.writeto(path)


def test_a_setting_that_is_wrong_is_one_sentence(fresh: Workflow) -> None:
    lines = fresh.show("masters", "--config", "minimum_frames=none", succeeds=False)
    assert lines == [
        "calmasters: the configuration is not valid:",
        "  minimum_frames: 'none' is not of type 'integer'",
    ]
    assert not fresh.output.exists()


def test_a_dry_run_names_masters_and_reasons(made: Workflow) -> None:
    (made.output / "masters" / "bias" / f"{BIAS}.xisf").unlink()
    assert made.show("-n", "masters")[:7] == [
        "Why masters are made:",
        f"bias, {CAMERA}",
        "    its file is missing",
        f"flat B 2026-01-16, {CAMERA}",
        f"flat Ha 2026-01-16, {CAMERA}",
        "    its bias is rebuilt",
        "Dry run: 3 masters would be built, 1 unchanged; nothing was changed.",
    ]


def test_verbose_restores_the_output_of_snakemake(made: Workflow) -> None:
    output = made.run("masters").output
    assert "Nothing to be done" in output
    assert output.rstrip().endswith("See: snakemake summary")


def test_quiet_all_says_nothing_where_nothing_fails(made: Workflow) -> None:
    assert made.show("masters", "--quiet", "all") == []
    lines = made.show("masters", "--quiet", "all", "--config", "input_dir=nowhere", succeeds=False)
    assert [line.split(":")[0] for line in lines] == ["calmasters"]


def test_what_prints_has_no_summary(made: Workflow) -> None:
    assert made.show("why") == ["Every master is current."]
    assert made.show("masters", "--unlock") == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupted_run_says_how_to_go_on_without_a_traceback(fresh: Workflow) -> None:
    with (fresh.directory / "run.log").open("wb") as log:
        run = subprocess.Popen(
            fresh.command("masters", "--cores", "1"),
            cwd=fresh.directory,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + 120
    while "frames " not in fresh.said:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)
    lines = fresh.finish(run).output.splitlines()
    assert "Interrupted. Run the same command again to continue." in lines
    assert "Stopping…" in lines
    assert not [line for line in lines if "Traceback" in line or "FAILED" in line]
    assert run.returncode == 1


@pytest.fixture
def fresh(tmp_path: Path) -> Workflow:
    """A workflow with frames, and nothing made."""
    workflow = Workflow(tmp_path / "fresh")
    write_session(workflow.frames, TINY)
    return workflow
