"""What is true of every run, whatever frames there are: through the real workflow."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest
from real_workflow import TINY, Workflow, add_another, slow_but

from calmasters.images.master_file import read_image
from calmasters.synthetic.camera import Camera
from calmasters.synthetic.session import ObservingSession, write_session


class At(Workflow):
    """The workflow on a machine in another time zone."""

    def __init__(self, directory: Path, zone: str) -> None:
        super().__init__(directory)
        self._zone = zone

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "TZ": self._zone}


def write_random(frames: Path, random: Random) -> None:
    """Write a session of random size; cut a frame, and copy another one."""
    session = ObservingSession(
        camera=Camera(width=24, height=16, hot_pixels=0.1, seed=random.randrange(100)),
        **{name: random.randrange(4, 7) for name in ("bias", "darks", "flats")},
        **{"nights": random.choice([1, 1, 2]), "lights": 1, "broken": random.randrange(2)},
        dark_exposures_s=random.choice([(60.0,), (60.0, 1.5)]),
        filters=TINY.filters[: random.choice([1, 2])],
    )
    write_session(frames, session)
    files = sorted(frames.rglob("*.fits"))
    cut, copied = random.sample(files, 2)
    os.truncate(cut, cut.stat().st_size - 2880)
    shutil.copy2(copied, copied.with_name(f"copy of {copied.name}"))


def copy_backwards(source: Path, target: Path) -> None:
    """Copy files with their times, in the other order, which file systems list them in."""
    for path in sorted(source.rglob("*.fits"), reverse=True):
        there = target / path.relative_to(source)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, there)


def pixels(workflow: Workflow) -> Mapping[str, bytes]:
    masters = workflow.plan["masters"]
    assert masters
    return {name: read_image(workflow.output / name)[0].tobytes() for name in masters}


def times(workflow: Workflow) -> Mapping[str, int]:
    return {name: (workflow.output / name).stat().st_mtime_ns for name in workflow.plan["masters"]}


def lists(workflow: Workflow) -> Mapping[str, list[str]]:
    return {name: entry["frames"] for name, entry in workflow.plan["masters"].items()}


SEEDS = {str(seed): (seed,) for seed in range(1, 9)}


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="needs time zones of POSIX")
@pytest.mark.parametrize("seed", slow_but(SEEDS, "1"))
def test_masters_do_not_depend_on_the_machine_and_only_those_that_change_are_made_again(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    zone = "Asia/Tokyo" if time.timezone > 0 else "America/Los_Angeles"
    here, there = Workflow(tmp_path / "here"), At(tmp_path / "there", zone)
    write_random(here.frames, random)
    copy_backwards(here.frames, there.frames)
    here.run("--cores", "2", "masters")
    there.run("--cores", "1", "masters")
    assert here.inventory.equals(there.inventory)
    assert pixels(here) == pixels(there)
    assert here.run("masters").nothing_to_do

    before, made = lists(here), times(here)
    used = list(here.inventory.index[here.inventory["status"] == "used"])
    new = add_another(here.frames / random.choice(used), "new.fits")
    path = new.relative_to(here.frames).as_posix()
    here.run("masters")
    after, entries = lists(here), here.plan["masters"]
    containing = {name for name in after if path in after[name]}
    assert len(containing) == 1
    using = {
        name
        for name, entry in entries.items()
        if any(entry[kind] and entry[kind]["path"] in containing for kind in ("bias", "dark"))
    }
    assert {name for name in after if after[name] != before.get(name)} == containing
    assert {name for name in made if times(here)[name] != made[name]} == containing | using
    assert here.run("masters").nothing_to_do
