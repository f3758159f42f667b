"""What is true of every plan, whatever frames there are."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from calmasters.engine_check.cases import default_config
from calmasters.frame import FrameType, Status
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.table import inventory_table
from calmasters.model.job import MasterJob
from calmasters.planning.planner import Decision, decide
from calmasters.settings import Settings
from calmasters.synthetic.camera import write_frame

Planned = Callable[..., tuple[Decision, Settings]]

_SECOND_NS = 1_000_000_000

few = examples(max_examples=20, report_multiple_bugs=False)


@dataclass(frozen=True)
class Shot:
    """A frame that somebody may have; None is a card that the header lacks."""

    kind: str
    setting: tuple[str | None, int | None, float | None, tuple[int, int]]
    exposure_s: float
    filter: str | None
    night: int
    fault: str

    @property
    def apart(self) -> tuple[Any, ...]:
        """What no group may mix."""
        of_type = {
            "dark": (self.exposure_s,),
            "flat": (self.filter, self.night),
        }.get(self.kind, ())
        return (self.kind, self.setting, *of_type)

    def write(self, path: Path, number: int) -> None:
        """Write it; frames differ in their time and pixels, and files in their times."""
        path.parent.mkdir(parents=True, exist_ok=True)
        camera, gain, set_temp_c, (width, height) = self.setting
        cards = {
            "IMAGETYP": self.kind.upper() or None,
            "INSTRUME": camera,
            "GAIN": gain,
            "OFFSET": 50,
            "SET-TEMP": set_temp_c,
            "EXPTIME": 0.0 if self.kind == "bias" else self.exposure_s,
            "FILTER": self.filter if self.kind == "flat" else None,
            "DATE-LOC": f"2026-01-{self.night:02d}T21:{number:02d}:00",
            "DATE-OBS": f"2026-01-{self.night:02d}T20:{number:02d}:00",
        }
        samples = np.random.default_rng(number).integers(500, 600, (height, width), np.uint16)
        write_frame(
            path, samples, {key: value for key, value in cards.items() if value is not None}
        )
        if self.fault == "cut":
            os.truncate(path, path.stat().st_size - 2880)
        elif self.fault == "empty":
            os.truncate(path, 0)
        elif self.fault == "text":
            path.write_text("no image")
        when = 1_768_000_000 * _SECOND_NS + number * _SECOND_NS
        os.utime(path, ns=(when, when))


#: Camera, gain, set-point and size: mostly the usual ones, so that flats find masters.
_USUAL = ("Camera 1", 100, -10.0, (6, 4))
_SETTINGS = st.just(_USUAL) | st.tuples(
    st.sampled_from(["Camera 1", "Camera 2", None]),
    st.sampled_from([100, 0, None]),
    st.sampled_from([-10.0, 5.0, None]),
    st.sampled_from([(6, 4), (4, 6)]),
)
SHOTS = st.builds(
    Shot,
    kind=st.sampled_from(["bias", "dark", "flat"] * 4 + ["light", ""]),
    setting=st.sampled_from([_USUAL] * 3) | _SETTINGS,
    exposure_s=st.sampled_from([1.5, 60.0]),
    filter=st.sampled_from(["B", "B", "V", None]),
    night=st.sampled_from([15, 15, 16]),
    fault=st.sampled_from([""] * 12 + ["cut", "empty", "text"]),
)
#: A shot, how often it was taken, and its folder.
SERIES = st.tuples(SHOTS, st.integers(2, 5), st.sampled_from(["a", "b/c", "Flat field", "x y"]))
#: Every second tree contains flats with a bias and a dark.
_SESSION = [
    (Shot(kind, _USUAL, exposure_s=60.0, filter="B", night=15, fault=""), 3, "session")
    for kind in ("bias", "dark", "flat")
]
TREES = st.builds(
    lambda session, series: {
        f"{folder}/{at}-{number}.fits": shot
        for at, (shot, count, folder) in enumerate([*session, *series])
        for number in range(count)
    },
    st.sampled_from([_SESSION, []]),
    st.lists(SERIES, min_size=1, max_size=5),
)
Tree = Mapping[str, Shot]


def write_tree(root: Path, tree: Tree, *, backwards: bool = False) -> None:
    """Write a tree; the order decides in which order a file system lists it."""
    numbered = [(number, *each) for number, each in enumerate(tree.items())]
    for number, path, shot in reversed(numbered) if backwards else numbered:
        shot.write(root / path, number)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    """Write a tree into a new folder, and plan its masters."""

    def plan(tree: Tree, *, backwards: bool = False, **changes: Any) -> tuple[Decision, Settings]:
        root = tmp_path_factory.mktemp("tree")
        write_tree(root / "frames", tree, backwards=backwards)
        folders = {"input_dir": str(root / "frames"), "output_dir": str(root / "output")}
        settings = Settings.from_config({**default_config(), **folders, **changes})
        return decide(settings), settings

    return plan


@contextmanager
def time_zone(name: str) -> Iterator[None]:
    """Set the time zone of the machine."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()


def texts(jobs: Sequence[MasterJob]) -> dict[str, str]:
    return {job.name: job.to_json() for job in jobs}


@few
@given(tree=TREES)
def test_every_file_has_one_row_and_one_outcome(planned: Planned, tree: Tree) -> None:
    decision, _ = planned(tree)
    assert sorted(decision.verdicts) == sorted(tree)
    table = inventory_table(decision.frames, decision.verdicts)
    assert sorted(table.index) == sorted(tree)
    combined = Counter(frame.path for job in decision.jobs for frame in job.frames)
    waiting = Counter(path for group in decision.not_made for path in group.frames)
    for path, verdict in decision.verdicts.items():
        assert combined[path] == (verdict.status is Status.USED)
        assert combined[path] + waiting[path] <= 1
        assert verdict.reason or combined[path]
    assert all(len(job.frames) >= 3 for job in decision.jobs)


@few
@given(tree=TREES)
def test_no_group_mixes_what_is_kept_apart(planned: Planned, tree: Tree) -> None:
    decision, _ = planned(tree)
    for job in decision.jobs:
        shots = [tree[frame.path] for frame in job.frames]
        assert len({shot.apart for shot in shots}) == 1
        assert not any(shot.fault for shot in shots)
        assert {shot.kind for shot in shots} == {job.type}


@few
@given(tree=TREES)
def test_a_flat_gets_masters_of_its_own_camera_and_settings(planned: Planned, tree: Tree) -> None:
    decision, _ = planned(tree)
    made = {job.master: tree[job.frames[0].path] for job in decision.jobs}
    for job in decision.jobs:
        for kind, used in ((FrameType.BIAS, job.bias), (FrameType.DARK, job.dark)):
            if used:
                flat, master = made[job.master], made[used.path]
                assert master.kind == kind
                assert master.setting == flat.setting


@few
@given(tree=TREES)
def test_the_order_of_files_and_the_time_zone_of_the_machine_do_not_count(
    planned: Planned, tree: Tree
) -> None:
    with time_zone("America/Los_Angeles"):
        there, _ = planned(tree)
    with time_zone("Asia/Tokyo"):
        here, _ = planned(tree, backwards=True)
    assert texts(there.jobs) == texts(here.jobs)
    assert there.verdicts == here.verdicts
    assert there.warnings == here.warnings


@few
@given(tree=TREES, shot=SHOTS)
def test_one_more_frame_changes_only_masters_that_contain_it_and_those_that_use_them(
    planned: Planned, tree: Tree, shot: Shot
) -> None:
    before, settings = planned(tree)
    shot.write(settings.input_dir / "new/frame.fits", 59)
    after = decide(settings)
    old = {job.name: job for job in before.jobs}
    new = {job.name: job for job in after.jobs}
    changed = {
        name
        for name in old.keys() | new.keys()
        if contents(old.get(name)) != contents(new.get(name))
    }
    for name in old.keys() & new.keys() - changed:
        uses = {
            used.path for job in (old[name], new[name]) for used in (job.bias, job.dark) if used
        }
        if not any(name in path for path in uses for name in changed):
            assert new[name].digest == old[name].digest


def contents(job: MasterJob | None) -> list[str] | None:
    return job and [frame.path for frame in job.frames]


@few
@given(tree=TREES)
def test_what_was_read_before_decides_the_same(planned: Planned, tree: Tree) -> None:
    first, settings = planned(tree)
    settings.output_dir.mkdir()
    for _ in range(2):
        cache, digests = HeaderCache(settings), ContentDigests(settings)
        again = decide(settings, cache, digests)
        cache.save()
        digests.save()
        assert texts(again.jobs) == texts(first.jobs)
        assert (again.verdicts, again.digest) == (first.verdicts, first.digest)


@few
@given(tree=TREES)
def test_a_copy_changes_no_master(planned: Planned, tree: Tree) -> None:
    before, settings = planned(tree)
    source = settings.input_dir / next(iter(tree))
    copy = settings.input_dir / "copies" / source.name
    copy.parent.mkdir()
    copy.write_bytes(source.read_bytes())
    after = decide(settings)
    assert {job.name: job.digest for job in after.jobs} == {
        job.name: job.digest for job in before.jobs
    }


@few
@given(tree=TREES)
def test_excluded_frames_are_as_if_they_were_not_there(planned: Planned, tree: Tree) -> None:
    kept = {path: shot for path, shot in tree.items() if not path.startswith("a/")}
    if not kept:
        return
    excluded, settings = planned(tree, exclude=["a/*"])
    for path in set(tree) - set(kept):
        (settings.input_dir / path).unlink()
    alone = decide(replace(settings, exclude=()))
    assert texts(alone.jobs) == texts(excluded.jobs)
