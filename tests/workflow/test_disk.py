"""Disks that are full, read-only or gone: said clearly, and made good by the next run."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from real_workflow import ALL, BIAS, BLUE, DARK, FLATS, RED, Workflow, add_another, copied, frame

from calmasters.images.master_file import read_image

pytestmark = pytest.mark.slow

Mount = Callable[..., Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Make disks of their own, in memory: mount(size) makes one, mount(path, "ro") changes it."""
    mounted = []

    def make(name: str, options: str) -> Path:
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        again = "remount," if path in mounted else ""
        command = ["mount", "-t", "tmpfs", "-o", f"{again}{options}", "tmpfs", str(path)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("disks cannot be mounted here")
        if not again:
            mounted.append(path)
        return path

    yield make
    for path in mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


def whole(workflow: Workflow) -> set[str]:
    """See that nothing half written is there, and give the names of the masters."""
    for path in workflow.output.glob("masters/*/*.xisf"):
        read_image(path)
    assert not [
        path for path in workflow.output.rglob(".*") if path.name not in (".cache", ".lock")
    ]
    return set(workflow.masters)


def on_disk(workflow: Workflow, disk: Path) -> None:
    """Put output_dir on a disk of its own."""
    workflow.output = disk / "output"
    workflow.configure(output_dir=str(workflow.output))


@pytest.fixture
def fresh(made_session: Path, tmp_path: Path) -> Workflow:
    """A workflow with frames, and nothing made."""
    workflow = Workflow(tmp_path / "fresh")
    shutil.copytree(made_session / "frames", workflow.frames)
    return workflow


# --- full -----------------------------------------------------------------------------------------


def test_what_cannot_fit_is_refused_before_anything_is_made(fresh: Workflow, mount: Mount) -> None:
    on_disk(fresh, mount("disk", "size=96k"))
    run = fresh.run("masters", succeeds=False)
    assert "what is to be made needs" in run.output
    assert run.jobs == ["inventory"]
    assert not (fresh.output / "masters").exists()
    mount("disk", "size=2m")
    fresh.run("masters")
    assert whole(fresh) == set(ALL)


def test_a_disk_that_fills_up_costs_what_does_not_fit_and_no_more(
    fresh: Workflow, mount: Mount
) -> None:
    disk = mount("disk", "size=2m")
    on_disk(fresh, disk)
    fresh.run("inventory")
    with (disk / "ballast").open("wb") as ballast:
        ballast.truncate(0)
        while shutil.disk_usage(disk).free > 36_000:
            ballast.write(bytes(4096))
            ballast.flush()
    run = fresh.run("masters", "--keep-going", succeeds=False)
    assert "No space left on device" in run.output
    assert "free disk space there" in run.output
    made = whole(fresh)
    assert made < set(ALL)
    assert made & {BIAS, DARK}
    (disk / "ballast").unlink()
    again = fresh.run("masters")
    assert set(again.jobs) == set(ALL) - made
    assert whole(fresh) == set(ALL)


def test_a_full_folder_for_temporary_files_is_distinguished_from_a_bad_frame(
    fresh: Workflow, mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Packed frames are unpacked there.
    for path in fresh.frames.rglob("*.fits"):
        if "BIAS" in path.parts:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    disk = mount("temporary", "size=64k,nr_inodes=100")
    fresh.run("inventory")
    (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free - 8_192))
    monkeypatch.setenv("TMPDIR", str(disk))
    run = fresh.run("masters", "--keep-going", "--cores", "1", succeeds=False)
    assert f"No space left on device ('{disk}'); free disk space there (TMPDIR" in run.output
    assert whole(fresh) == {DARK}
    monkeypatch.delenv("TMPDIR")
    assert set(fresh.run("masters").jobs) == set(ALL) - {DARK}
    assert whole(fresh) == set(ALL)


# --- read-only, forbidden -------------------------------------------------------------------------


def test_a_read_only_output_is_reported_and_left_alone(
    made_session: Path, tmp_path: Path, mount: Mount
) -> None:
    disk = mount("disk", "size=4m")
    made = copied(made_session, tmp_path)
    shutil.move(made.output, disk / "output")
    made.output.symlink_to(disk / "output")
    mount("disk", "ro")
    assert made.run("masters").nothing_to_do
    add_another(frame(made, "blue"), "added.fits")
    for _ in range(2):
        run = made.run("masters", succeeds=False)
        assert "output_dir 'output': Read-only file system ('output/.lock')" in run.output
        assert "make it writable or choose another folder" in run.output
    mount("disk", "rw")
    assert made.run("masters").jobs == sorted(["inventory", BLUE])


@pytest.fixture
def unprivileged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run without the right of root to write everywhere."""
    if sys.platform == "win32":
        pytest.skip("permissions of POSIX")
    if os.geteuid() != 0:
        return
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    if not shutil.which("setpriv") or subprocess.run([*drop, "true"]).returncode:
        pytest.skip("root's rights cannot be dropped here")
    command = Workflow.command
    # A warm Python has the rights of root.
    monkeypatch.setattr(
        Workflow, "command", lambda self, *words, **_: [*drop, *command(self, *words)]
    )


@pytest.mark.usefixtures("unprivileged")
def test_an_output_without_permission_is_reported_and_left_alone(made: Workflow) -> None:
    add_another(frame(made, "blue"), "added.fits")
    made.output.chmod(0o555)
    run = made.run("masters", succeeds=False)
    assert "output_dir 'output': Permission denied ('output/.lock')" in run.output
    assert "change its permissions" in run.output
    made.output.chmod(0o755)
    # One folder alone: Snakemake itself stops, which cannot remove what is there.
    bias = made.output / "masters" / "bias"
    add_another(frame(made, "bias"), "added bias.fits")
    bias.chmod(0o555)
    run = made.run("masters", "--keep-going", succeeds=False)
    assert "Permission denied" in run.output
    assert whole(made) == set(ALL)
    bias.chmod(0o755)
    assert {BIAS, *FLATS} <= {*made.run("masters").jobs, BLUE}


@pytest.mark.usefixtures("unprivileged")
def test_a_working_directory_without_permission_is_reported(session: Workflow) -> None:
    session.directory.chmod(0o555)
    shown = session.show("-n", "masters", succeeds=False)
    assert len(shown) == 1
    assert "cannot be written, and Snakemake keeps its records there" in shown[0]
    assert "run in a folder of your own" in shown[0]
    session.directory.chmod(0o755)
    session.run("-n", "masters")


# --- gone -----------------------------------------------------------------------------------------


def written(path: Path) -> Callable[[], bool]:
    return lambda: path.is_file() and path.stat().st_size > 0


def test_frames_that_vanish_during_a_run_cost_their_masters_alone(fresh: Workflow) -> None:
    gone = frame(fresh, "red")
    plan = fresh.output / "plan.json"
    run = fresh.start("masters", "--keep-going", "--cores", "1", seen=written(plan))
    gone.unlink()
    ended = fresh.finish(run)
    assert ended.code
    assert f"{gone.name} cannot be read: No such file or directory" in ended.output
    assert whole(fresh) == {*ALL} - {RED}
    assert fresh.run("masters").jobs == sorted(["inventory", RED])


def test_an_input_that_vanishes_is_reported_and_nothing_is_lost(made: Workflow) -> None:
    away = made.frames.with_name("unmounted")
    made.frames.rename(away)
    before = whole(made)
    assert "directory 'frames' does not exist" in made.run("masters", succeeds=False).output
    made.frames.mkdir()  # where a disk would be mounted
    assert "no frames" in made.run("masters", succeeds=False).output
    assert whole(made) == before
    made.frames.rmdir()
    away.rename(made.frames)
    assert made.run("masters").nothing_to_do


def test_a_network_folder_that_goes_away_during_a_run_is_reported(made: Workflow) -> None:
    for kind in ("bias", "dark", "blue"):
        add_another(frame(made, kind), "added.fits")
    away = made.frames.with_name("unmounted")
    plan = made.output / "plan.json"
    plan.unlink()
    run = made.start("masters", "--keep-going", "--cores", "1", seen=written(plan))
    made.frames.rename(away)
    ended = made.finish(run)
    assert ended.code
    assert "check that its disk or network folder is connected" in ended.output
    assert whole(made) == set(ALL)  # those before are back
    away.rename(made.frames)
    assert set(made.run("masters").jobs) <= set(ALL)
    assert made.run("masters").nothing_to_do
