"""The example session on a Slurm cluster, with the profile for users."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import replace

import pytest
from jobs_for_pixinsight import Program
from real_workflow import Workflow, add_another, spoil

from calmasters.images.master_file import read_image
from calmasters.synthetic.camera import Camera
from calmasters.synthetic.session import ObservingSession, write_session

#: The example session with small frames; two filters of one night.
SESSION = ObservingSession(Camera(width=48, height=32), nights=1, lights=0, broken=0)
ONE_OF_EACH = replace(SESSION, bias=3, darks=3, dark_exposures_s=(1.5,), flats=3, filters=("B",))

#: The events of jobs of the cluster, and their order where two may run at the same time.
_SUBMITTED_OR_ENDED = re.compile(
    r"(submitted) with SLURM jobid|(?:^|\n)(Finished) jobid: \d+ \(Rule: master_"
)
TOGETHER = ["submitted", "submitted", "Finished", "Finished"]

#: The memory of jobs of the cluster: their temporary folder is not known to the main process.
_REQUESTED_MB = re.compile(r"^ +resources: tmpdir=<TBD>.*\bmem_mb=(\d+)", re.MULTILINE)


def pixels_of(workflow: Workflow) -> dict[str, bytes]:
    masters = workflow.output.glob("masters/*/*.xisf")
    return {path.stem: read_image(path)[0].tobytes() for path in masters}


def test_the_cluster_makes_the_masters_of_the_local_run(on_cluster, cluster, tmp_path):
    write_session(on_cluster.frames, SESSION)
    with cluster.watched() as memory:
        run = on_cluster.run("masters")
    # Only masters are made on the node.
    assert run.output.count("has been submitted with SLURM jobid") == len(run.jobs) - 1
    local = Workflow(tmp_path / "local")
    shutil.copytree(on_cluster.frames, local.frames)
    local.run("masters")
    assert pixels_of(on_cluster) == pixels_of(local)
    requested_mb = [*map(int, _REQUESTED_MB.findall(run.output))]
    assert len(memory) == len(requested_mb)
    # Small jobs need little memory beyond the allowance for the pages of LLVM.
    assert max(memory.values()) < min(requested_mb) < 2.5 * max(memory.values())

    assert on_cluster.run("masters").nothing_to_do
    flat = next(path for path in on_cluster.frames.rglob("*_B_*.fits") if "FLAT" in path.parts)
    add_another(flat, "one_more.fits")
    again = on_cluster.run("masters")
    assert [name.split("_INSTRUME")[0] for name in again.jobs] == [
        "inventory",
        "masterFlat_FILTER-B",
    ]
    assert on_cluster.run("masters").nothing_to_do


def test_a_failed_job_is_reported_at_once_with_its_log(on_cluster):
    write_session(on_cluster.frames, ONE_OF_EACH)
    on_cluster.run("inventory")
    spoil(*on_cluster.frames.rglob("BIAS/*.fits"))
    text = "\n".join(on_cluster.show("masters", succeeds=False))
    ended = time.time()
    (log,) = on_cluster.output.glob("logs/bias/*.log")
    assert "is not a FITS file" in text[text.index("Failed: bias") :]
    assert log.name in text
    assert "Traceback" not in text
    assert ended - log.stat().st_mtime < 60


@pytest.mark.parametrize("slots", [1, 2])
def test_the_number_of_pixinsight_processes_is_limited(on_cluster, tmp_path, slots):
    program = Program(tmp_path / "PixInsight")
    program.install()
    write_session(on_cluster.frames, replace(ONE_OF_EACH, flats=0))
    pixinsight = {"binary": str(program.binary), "js_engine": "sm", "retries": 0}
    on_cluster.configure(engine="pixinsight", pixinsight=pixinsight)
    run = on_cluster.run("masters", "--resources", f"pixinsight={slots}")
    events = ["".join(event) for event in _SUBMITTED_OR_ENDED.findall(run.output)]
    assert events == (["submitted", "Finished"] * 2 if slots == 1 else TOGETHER)
    if slots == 1:
        native = Workflow(tmp_path / "native")
        shutil.copytree(on_cluster.frames, native.frames)
        native.run("masters")
        assert pixels_of(on_cluster) == pixels_of(native)


def test_the_terminal_shows_masters_of_a_cluster_and_of_groups_of_jobs(on_cluster):
    write_session(on_cluster.frames, ONE_OF_EACH)
    lines = on_cluster.show("masters", "--groups", "master_bias=both", "master_dark=both")
    made = sorted(line.partition(",")[0].strip() for line in lines if " frames… s" in line)
    assert made == ["bias", "dark… s", "flat B 2026-01-16"]
    (summary,) = [line for line in lines if line.startswith("Masters: ")]
    assert summary.startswith("Masters: 3 built, ")
