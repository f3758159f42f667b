"""An installed stand-in for PixInsight, and small jobs for it and for the native engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from standin.core import Behaviour, Core
from standin.program import run_script

from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.pixinsight.engine import PixInsightEngine
from calmasters.engines.pixinsight.script import script_text, user_text
from calmasters.engines.pixinsight.session import begin
from calmasters.engines.pixinsight.user_scripts import user_job
from calmasters.frame import FrameType, Geometry
from calmasters.images.master_file import read_image
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.model.master_record import MasterStatistics
from calmasters.settings import Calibrated, Calibration, Integration, PixInsight

WIDTH, HEIGHT = 24, 16
SMALL = Geometry(WIDTH, HEIGHT)

#: An old and a new PixInsight: (behaviour of the program, ``js_engine``). Tests without a mode run
#: with 1.9.3: old engine, logs as bytes, failures return false.
MODES: dict[str, tuple[dict[str, Any], str]] = {
    "sm": ({"version": "1.8.9", "log_is_text": True, "failures_throw": True}, "sm"),
    "v8": ({"version": "1.9.4", "has_legacy_engine": False}, "v8"),
}

FLATS = Integration(
    normalization="Multiplicative",
    rejectionNormalization="EqualizeFluxes",
)


class HungError(Exception):
    """The program would wait forever."""


class InProcess(Core):
    """The program in this process: fast, for tests of scripts only."""

    hangs = ""

    def hang(self, why: str) -> None:
        self.hangs = why
        raise HungError(why)


@dataclass
class Program:
    """An installed stand-in: a launcher, and the behaviour of the program."""

    folder: Path
    behaviour: dict[str, Any] = field(default_factory=dict)
    js_engine: str = "sm"

    @property
    def binary(self) -> Path:
        return self.folder / ("PixInsight.bat" if os.name == "nt" else "PixInsight.sh")

    def install(self) -> None:
        """Write the launcher, which starts the program as PixInsight.sh does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.behave()
        start = f'"{sys.executable}" -m standin "{self.folder / "behaviour.json"}"'
        path = Path(__file__).parent
        if os.name == "nt":
            text = f"@echo off\nset PYTHONPATH={path}\n{start} %*\n"
        else:
            text = f'#!/bin/sh\nOPENBLAS_NUM_THREADS=1 PYTHONPATH="{path}" {start} "$@"\n'
        self.binary.write_text(text, encoding="utf-8")
        self.binary.chmod(0o755)

    def behave(self, **behaviour: Any) -> None:
        """Change the behaviour of the program from now on."""
        self.behaviour |= behaviour
        text = json.dumps(asdict(Behaviour(**self.behaviour)))
        (self.folder / "behaviour.json").write_text(text, encoding="utf-8")

    def journal(self) -> list[dict[str, Any]]:
        """The journal of the program: one record per run."""
        path = self.folder / "journal.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def pids(self) -> list[int]:
        """The identifiers of the processes that were started."""
        path = self.folder / "pids"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def run_script(self, text: str) -> Core:
        """Run a script in this process."""
        core = InProcess(Behaviour(**self.behaviour), self.folder, ())
        core.choose_fault(text)
        run_script(core, text)
        return core


@dataclass
class Site:
    """A directory of frames, and the engines that make masters of them."""

    folder: Path
    program: Program
    options: dict[str, Any] = field(default_factory=dict)
    supervisor: subprocess.Popen[str] | None = None

    def share(self) -> None:
        """Make all masters in one PixInsight from now on."""
        self.options["session"] = "shared"
        self.supervisor = begin(self.folder / "pixinsight.log")

    def unshare(self) -> None:
        """End the shared PixInsight, if there is one."""
        if self.supervisor:
            self.supervisor.communicate(timeout=30)
            self.supervisor = None

    @property
    def input_dir(self) -> Path:
        return self.folder / "frames"

    @property
    def output_dir(self) -> Path:
        return self.folder / "output"

    def engine(self, *, keep: bool = False, **options: Any) -> PixInsightEngine:
        settings = {"timeout_minutes": 3.0, "retries": 0, "js_engine": self.program.js_engine}
        made = PixInsight(binary=self.program.binary, **{**settings, **self.options, **options})
        return PixInsightEngine(made, Calibrated(keep=keep))

    def make(self, job: MasterJob, **options: Any) -> MasterStatistics:
        """Make a master by PixInsight."""
        return self.engine(**options).make(
            job, self.input_dir, self.output_dir, self.output_dir / job.master, self.log(job)
        )

    def make_by_script(self, job: MasterJob) -> None:
        """Make a master as a user would, by running its script."""
        self.program.run_script(self.script(job))

    def make_native(self, job: MasterJob) -> Path:
        """Make a master by the native engine, in another folder."""
        output = self.folder / "native" / job.master
        output.parent.mkdir(parents=True, exist_ok=True)
        log = output.with_suffix(".log")
        NativeEngine(1).make(job, self.input_dir, self.output_dir, output, log)
        return output

    def log(self, job: MasterJob) -> Path:
        return self.output_dir / "logs" / f"{job.name}.log"

    def script(self, job: MasterJob, **options: Any) -> str:
        """Return the script of a job for a user."""
        return self.engine_script(self.engine(**options), job)

    def engine_script(self, engine: PixInsightEngine, job: MasterJob) -> str:
        """Return the script of a job for a user, with the settings of an engine."""
        places = engine.places(job, self.input_dir, self.output_dir, self.output_dir / job.master)
        return user_text(user_job(job, places, engine.options, "the master"), engine.options)

    def runner_script(self, job: MasterJob, **options: Any) -> str:
        """Return the script of a job that the engine runs; make the folder that it would make."""
        output = self.output_dir / job.master
        output.parent.mkdir(parents=True, exist_ok=True)
        engine = self.engine(**options)
        places = engine.places(job, self.input_dir, self.output_dir, output)
        return script_text(job, places, engine.options)

    def write(self, name: str, pixels: np.ndarray) -> FrameFile:
        """Write a raw frame of unsigned 16-bit samples."""
        path = self.input_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fits.PrimaryHDU(pixels.astype(np.uint16)).writeto(path)
        stat = path.stat()
        return FrameFile(name, stat.st_size, stat.st_mtime_ns)


def level_of(kind: FrameType) -> np.ndarray:
    """Return the noiseless image: a pattern, hot pixels in darks and flats, vignetting in flats."""
    rng = np.random.default_rng(7)
    level = 300 + rng.normal(0, 3, (HEIGHT, WIDTH))
    if kind is not FrameType.BIAS:
        level[rng.random((HEIGHT, WIDTH)) < 0.1] += 900
    if kind is FrameType.FLAT:
        level += 20_000 * (1 - 0.3 * np.linspace(-1, 1, WIDTH) ** 2)
    return level


def make_job(
    site: Site,
    kind: FrameType,
    frames: int = 5,
    *,
    bias: UsedMaster | None = None,
    dark: UsedMaster | None = None,
    **changes: Any,
) -> MasterJob:
    """Write frames (with outliers, and zeros in one corner) and return the job of their master."""
    rng = np.random.default_rng(list(FrameType).index(kind))
    level, files = level_of(kind), []
    for number in range(frames):
        gain = 1 + 0.05 * number if kind is FrameType.FLAT else 1
        pixels = level * gain + rng.normal(0, 4, (HEIGHT, WIDTH))
        pixels[number, 2 * number] = 60_000
        pixels[-1, :2] = 0 if kind is FrameType.BIAS else 300
        # Equal names in different folders, as cameras write them.
        files.append(site.write(f"{kind}/{number}/image.fits", pixels.clip(0, 65_535).round()))
    is_flat = kind is FrameType.FLAT
    job = MasterJob(
        name=f"master{kind.capitalize()}_INSTRUME-Camera_GAIN-100",
        type=kind,
        keywords={"TYPE": kind.value, "INSTRUME": "Camera", "GAIN": 100, "SET-TEMP": -10.0},
        geometry=SMALL,
        frames=tuple(files),
        header={"DATE-OBS": "2026-01-16T03:04:05", "EXPTIME": 1.5, "CCD-TEMP": -9.9},
        recipe=Recipe(
            engine="pixinsight",
            algorithm_version=1,
            integration=FLATS if is_flat else Integration(),
            calibration=Calibration() if is_flat else None,
            float_range="unit",
            master_format="xisf",
        ),
        bias=bias,
        dark=dark,
        optimize_dark=bias is not None and dark is not None,
    )
    return replace(job, **changes)


def make_flat_with_masters(
    site: Site, *kinds: FrameType, origin: str = "run", **changes: Any
) -> MasterJob:
    """Make bias and dark masters by the native engine; return the job of a flat that uses them."""
    masters = {}
    for kind in kinds:
        geometry = changes.get("geometry", SMALL)
        master = make_job(site, kind, geometry=geometry)
        path = site.make_native(master)
        target = site.output_dir / master.master
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        named = str(target) if origin == "library" else master.master
        masters[kind.value] = UsedMaster(named, origin, "nearest")
    return make_job(site, FrameType.FLAT, **masters, **changes)


def assert_equals_native(
    site: Site, job: MasterJob, *, by_script: bool = False, **options: Any
) -> None:
    if by_script:
        site.make_by_script(job)
    else:
        site.make(job, **options)
    ours = read_image(site.output_dir / job.master)[0]
    native = read_image(site.make_native(job))[0]
    assert np.array_equal(ours, native)
    assert ours.std() > 0


def assert_ended(pid: int) -> None:
    assert is_ended(pid)


def is_ended(pid: int) -> bool:
    if os.name == "nt":
        tasks = subprocess.run(["tasklist", "/FI", f"PID eq {pid}"], capture_output=True, text=True)
        return str(pid) not in tasks.stdout
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        return stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"  # dead, not yet waited for
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
