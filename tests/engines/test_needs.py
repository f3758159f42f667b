"""The memory that engines declare, compared with measurements of their processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from calmasters.engines import needs_of
from calmasters.frame import FrameType
from calmasters.images.master_file import write_master
from calmasters.model.job import FrameFile, MasterJob, UsedMaster
from calmasters.running import job_resources as resources
from calmasters.synthetic.camera import write_frame

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux reports the peak memory of a process"
)

REPOSITORY = Path(__file__).parents[2]

#: Two megapixels.
HEIGHT, WIDTH = 1152, 1728

#: A separate process makes or measures the master. It prints its peak memory, including that of a
#: program it has started, its duration and its CPU time.
PROGRAM = """
import json, re, resource, sys, time
from pathlib import Path
import calmasters.interrupts  # as jobs do
from calmasters.model.job import MasterJob

root, threads = Path(sys.argv[1]), int(sys.argv[2])
job = MasterJob.from_json((root / "job.json").read_text())
{work}
seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
started = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([(int(peak) + started) * 1024 / 1e6, seconds, cpu]))
"""
MAKE = """
from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.native.compiled import kernels
kernels()
began, cpu = time.perf_counter(), time.process_time()
NativeEngine(threads).make(job, root, root, root / "M.xisf", root / "M.log")
"""
MAKE_BY_SIRIL = """
from calmasters.engines.siril.engine import SirilEngine
from calmasters.settings import Siril
began, cpu = time.perf_counter(), time.process_time()
SirilEngine(Siril(), threads).make(job, root, root, root / "M.xisf", root / "M.log")
"""
MEASURE = """
import yaml
from calmasters.quality.measure import measure
from calmasters.quality.measurement import BiasReference
from calmasters.settings import Settings
config = yaml.safe_load(Path("config/config.yaml").read_text()) | {"input_dir": str(root)}
settings = Settings.from_config(config, Path("config/config.schema.yaml"))
files = {"master": root / "M.xisf", "record": root / "M.json"}
began, cpu = time.perf_counter(), time.process_time()
measure(job, **files, reference=BiasReference(root / "B.xisf"), settings=settings)
"""


@dataclass(frozen=True)
class Usage:
    """Resources that a process used."""

    memory_mb: float
    seconds: float
    cpu_s: float


def run(work: str, root: Path, job: MasterJob, threads: int = 1) -> Usage:
    (root / "job.json").write_text(job.to_json(), encoding="utf-8")
    program = PROGRAM.replace("{work}", work)
    command = [sys.executable, "-c", program, str(root), str(threads)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Usage(*json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three frames of each type, and masters to calibrate flats."""
    # The first compilation takes more memory than any master here.
    subprocess.run([sys.executable, "-m", "calmasters.engines.native"], cwd=REPOSITORY, check=True)
    folder = tmp_path_factory.mktemp("needs")
    random = np.random.default_rng(3)
    for kind, level, noise in (("bias", 1000, 9), ("flat", 28000, 160)):
        for number in range(3):
            pixels = random.normal(level, noise, (HEIGHT, WIDTH)).astype(np.uint16)
            write_frame(folder / f"{kind}{number}.fits", pixels, {})
    thermal = np.where(random.random((HEIGHT, WIDTH)) < 0.01, 300, 0)
    for name, level in (("B", 1000), ("D", 1000 + thermal)):
        image = random.normal(level, 2, (HEIGHT, WIDTH)) / 65535
        write_master(folder / f"{name}.xisf", image.astype(np.float32), [])
    return folder


def job_of(site, root: Path, kind: str, frames: int) -> MasterJob:
    """Make a job of ``frames`` frames, which are the three files repeatedly."""
    names = [f"{kind}{number % 3}.fits" for number in range(frames)]
    files = [FrameFile(name, (root / name).stat().st_size, 0) for name in names]
    job = site.job(files, (HEIGHT, WIDTH), FrameType(kind))
    if kind == "bias":
        return job
    bias, dark = (UsedMaster(f"{name}.xisf", "run", "") for name in "BD")
    return replace(job, bias=bias, dark=dark, optimize_dark=True)


@pytest.mark.parametrize(
    ("kind", "frames", "threads"),
    [("bias", 5, 1), ("bias", 60, 4), ("flat", 5, 1), ("flat", 30, 4)],
)
def test_memory_is_what_is_predicted(site, root, kind, frames, threads):
    job = job_of(site, root, kind, frames)
    predicted = needs_of("native").process_mb(job, threads)
    usage = run(MAKE, root, job, threads).memory_mb
    assert 0.5 * predicted < usage < predicted


@pytest.mark.skipif(not shutil.which("siril-cli"), reason="there is no siril-cli")
@pytest.mark.parametrize(("kind", "frames"), [("bias", 5), ("bias", 20), ("flat", 5), ("flat", 10)])
def test_memory_of_siril_is_what_is_predicted(site, root, kind, frames):
    job = replace(job_of(site, root, kind, frames), optimize_dark=False)
    usage = run(MAKE_BY_SIRIL, root, job).memory_mb
    predicted = needs_of("siril").process_mb(job, threads=1)
    assert 0.5 * predicted < usage < predicted


def test_one_thread_uses_one_core_and_measuring_a_master_the_predicted_memory(site, root):
    job = job_of(site, root, "flat", 10)
    usage = run(MAKE, root, job, threads=1)
    assert usage.cpu_s < 1.2 * usage.seconds
    predicted = resources.measuring_mb(job.geometry, len(job.frames))
    assert 0.5 * predicted < run(MEASURE, root, job).memory_mb < predicted
