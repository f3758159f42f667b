from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calmasters.commands.orphans import Orphan, find_orphans, list_orphans, set_aside_unused
from calmasters.frame import FrameType, Geometry
from calmasters.model.job import FrameFile, MasterJob, Recipe
from calmasters.model.master_record import MasterRecord
from calmasters.planning.planner import decide
from calmasters.settings import Integration, Settings

SETTINGS = "INSTRUME-ATR585M_SETTEMP--10.00_GAIN-100_OFFSET-150_READOUTM-Low Noise"
DARK = f"masters/dark/masterDark_EXPOSURE-60.00_{SETTINGS}.xisf"
FLAT = f"masterFlat_FILTER-B_{SETTINGS}".replace("_SET", "_DATE-2026-01-15_SET")


@pytest.fixture
def add_frames(add_frame: Callable[..., Path]) -> Callable[..., list[str]]:
    def add(kind: str, count: int = 3, **cards: Any) -> list[str]:
        names = [f"{kind}/{number}.fits" for number in range(count)]
        for number, name in enumerate(names):
            add_frame(name, kind, {"DATE-OBS": f"2026-01-15T20:00:0{number}", **cards})
        return names

    return add


@pytest.fixture
def add_made(
    add_master: Callable[..., Path], write_record: Callable[..., MasterRecord]
) -> Callable[..., Path]:
    """A master of output/, with the record that names its frames."""

    def add(path: str, kind: str, frames: list[str]) -> Path:
        master = add_master(f"output/{path}", kind)
        job = MasterJob(
            name=master.stem,
            type=FrameType(kind),
            keywords={},
            geometry=Geometry(4, 3),
            frames=tuple(FrameFile(frame, 2880, 1) for frame in frames),
            header={},
            recipe=Recipe("native", 1, Integration(), None, "unit", "xisf"),
        )
        write_record(job, master)
        return master

    return add


def orphans(settings: Settings) -> dict[str, Orphan]:
    found = find_orphans(decide(settings), settings)
    return {Path(orphan.path).name: orphan for orphan in found}


def test_masters_of_the_plan_are_no_orphans(
    settings: Settings, add_frames: Callable[..., Any], add_made: Callable[..., Any]
) -> None:
    add_made(DARK, "dark", add_frames("dark"))
    assert find_orphans(decide(settings), settings) == []
    assert list_orphans([]) == "No orphans: every master is made by the plan."


def test_each_orphan_has_its_reason(
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    add_frames: Callable[..., Any],
    add_made: Callable[..., Any],
    add_master: Callable[..., Path],
) -> None:
    flats, biases = add_frames("flat"), add_frames("bias", 2)
    few = f"masterBias_{SETTINGS}.xisf"
    add_made(f"masters/bias/{few}", "bias", biases)
    add_made("masters/bias/gone.xisf", "bias", ["a.fits", "b.fits"])
    add_made("masters/flat/old name.xisf", "flat", flats)
    add_made("masters/flat/half.xisf", "flat", [flats[0], "c.fits"])
    add_made("masters/flat/left out.xisf", "flat", ["lone.fits"])
    add_master("output/masters/dark/foreign.xisf", "dark")
    (tmp_path / "frames" / "lone.fits").touch()
    add_made(f"masters/flat/{FLAT}.fits", "flat", flats)
    reasons = {name: orphan.reason for name, orphan in orphans(make_settings()).items()}
    assert reasons == {
        few: "only 2 frames of this group: take at least 3 (minimum_frames)",
        "gone.xisf": "its frames are missing",
        "old name.xisf": f"its frames make {FLAT} now",
        "half.xisf": f"1 of its 2 frames are missing; its frames make {FLAT} now",
        "left out.xisf": "1 of its frames are left out: is not a FITS file: it is empty"
        "; copy it again, or leave it out (exclude)",
        "foreign.xisf": "it has no record beside it: this workflow did not make it",
        f"{FLAT}.fits": f"it is made as masters/flat/{FLAT}.xisf now (layout, master_format)",
    }


def test_orphans_in_use_stay_and_the_others_are_moved_and_never_overwrite(
    settings: Settings, add_frames: Callable[..., Any], add_made: Callable[..., Any]
) -> None:
    for kind in ("flat", "bias"):
        add_frames(kind)
    output = settings.output_dir
    used = add_made(DARK, "dark", ["gone.fits"])
    unused = add_made("masters/flat/gone.xisf", "flat", ["gone.fits"])
    found = orphans(settings)
    assert found[used.name].used_by == (FLAT,)
    assert found[unused.name].used_by == ()
    assert f"used by {FLAT}" in list_orphans([*found.values()])

    content = unused.read_bytes()
    aside = output / "orphans" / "masters" / "flat"
    moved = set_aside_unused([*found.values()], output)
    assert used.is_file()
    assert [*moved.values()] == [aside / "gone.xisf", aside / "gone.json"]
    assert (aside / "gone.xisf").read_bytes() == content
    assert [*orphans(settings)] == [used.name]

    add_made("masters/flat/gone.xisf", "flat", ["another.fits"]).write_bytes(b"another")
    set_aside_unused([*orphans(settings).values()], output)
    assert (aside / "gone.xisf").read_bytes() == content
    assert (aside / "gone.1.xisf").read_bytes() == b"another"


def test_the_json_stays_where_a_master_of_the_plan_has_it(
    settings: Settings, add_frames: Callable[..., Any], add_made: Callable[..., Any]
) -> None:
    frames = add_frames("flat")
    current = add_made(f"masters/flat/{FLAT}.xisf", "flat", frames)
    other = add_made(f"masters/flat/{FLAT}.fits", "flat", frames)
    set_aside_unused(find_orphans(decide(settings), settings), settings.output_dir)
    assert current.is_file()
    assert current.with_suffix(".json").is_file()
    assert not other.exists()
