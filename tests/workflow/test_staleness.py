"""What is rebuilt when something changes: exactly that, predicted by a dry run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from real_workflow import (
    ALL,
    BIAS,
    BLUE,
    DARK,
    FLATS,
    NEAR_DARK,
    RED,
    REPOSITORY,
    TINY,
    Workflow,
    add_another,
    copied,
    flat_name,
    frame,
    slow_but,
    times,
)

from calmasters.synthetic.session import write_session

LONG_AGO_NS = 1_000_000_000 * 10**9


def see_made_again(workflow: Workflow, *expected: str, arguments: tuple[str, ...] = ()) -> None:
    """Run what a dry run predicts, and see that just these masters were written."""
    before = times(workflow)
    run = workflow.run_as_predicted(*(("masters", *arguments) if arguments else ()))
    assert run.jobs == sorted(expected)
    after = times(workflow)
    written = {name for name in after if after[name] != before.get(name)}
    assert written == set(expected) - {"inventory"}


# --- frames ---------------------------------------------------------------------------------------


def date(path: Path, mtime_ns: int = LONG_AGO_NS) -> None:
    os.utime(path, ns=(mtime_ns, mtime_ns))


def add(kind: str, *, old: bool = False) -> Callable[[Workflow], None]:
    def change(workflow: Workflow) -> None:
        source = frame(workflow, kind)
        added = add_another(source, f"added{source.suffix}")
        if old:
            date(added)

    return change


def remove(workflow: Workflow) -> None:
    frame(workflow, "blue").unlink()


def rename(workflow: Workflow) -> None:
    path = frame(workflow, "blue")
    path.rename(path.with_name("another name.fits"))


def replace_by_an_older(workflow: Workflow) -> None:
    path = frame(workflow, "blue")
    path.write_bytes(path.read_bytes() + bytes(2880))
    date(path)


def change_time_alone(workflow: Workflow) -> None:
    date(frame(workflow, "blue"))


def edit_header(workflow: Workflow) -> None:
    path = frame(workflow, "blue")
    content = path.read_bytes()
    edited = re.sub(rb"(GAIN    = +)100", rb"\g<1>240", content)
    assert edited != content
    path.write_bytes(edited)


def cut(workflow: Workflow) -> None:
    path = frame(workflow, "blue")
    path.write_bytes(path.read_bytes()[:3000])


def take_away(folder: str, text: str = "") -> Callable[[Workflow], None]:
    def change(workflow: Workflow) -> None:
        for path in workflow.frames.rglob("*.fits"):
            if folder in path.parts and text in path.name:
                path.unlink()

    return change


def add_group(workflow: Workflow) -> None:
    session = replace(TINY, bias=0, darks=0, lights=0, flats=3, filters=("R",))
    write_session(workflow.frames, session)


def add_nearer_darks(workflow: Workflow) -> None:
    session = replace(TINY, bias=0, flats=0, lights=0, darks=3, dark_exposures_s=(1.5,))
    write_session(workflow.frames, session)


def add_text(workflow: Workflow) -> None:
    (workflow.frames / "notes.txt").write_text("clouds after midnight")


def delete(*patterns: str) -> Callable[[Workflow], None]:
    def change(workflow: Workflow) -> None:
        for pattern in patterns:
            for path in [*workflow.output.glob(pattern)]:
                path.unlink()

    return change


def configure(**settings: object) -> Callable[[Workflow], None]:
    return lambda workflow: workflow.configure(**settings)


def nothing(workflow: Workflow) -> None:
    """Leave all as it is."""


MERGED = BLUE.replace("FILTER-B_", "")

CHANGES = {
    "nothing": (nothing, ()),
    "a flat more": (add("blue"), ("inventory", BLUE)),
    "a flat more, dated 2001": (add("blue", old=True), ("inventory", BLUE)),
    "a dark more": (add("dark"), ("inventory", DARK, *FLATS)),
    "a bias more, dated 2001": (add("bias", old=True), ("inventory", BIAS, *FLATS)),
    "a flat less": (remove, ("inventory", BLUE)),
    "a flat renamed": (rename, ("inventory", BLUE)),
    "a flat replaced by an older one": (replace_by_an_older, ("inventory", BLUE)),
    "a flat of the same size": (change_time_alone, ("inventory", BLUE)),
    "a header edited in place": (edit_header, ("inventory", BLUE)),
    "a flat turned unreadable": (cut, ("inventory", BLUE)),
    "a new group": (add_group, ("inventory", flat_name("R"))),
    "a group gone": (take_away("FLAT", "_Ha_"), ("inventory",)),
    "the raw darks archived": (take_away("DARK"), ("inventory",)),
    "a light more": (add("light"), ("inventory",)),
    "a text file more": (add_text, ()),
    "a dark of the flats' exposure": (add_nearer_darks, ("inventory", NEAR_DARK, *FLATS)),
    "a flat master deleted": (delete("masters/flat/*-Ha_*.xisf"), (RED,)),
    "a dark master deleted": (delete("masters/dark/*"), (DARK, *FLATS)),
    "the JSON beside a master deleted": (delete("masters/flat/*-Ha_*.json"), (RED,)),
    "the inventory deleted": (delete("inventory.csv"), ("inventory",)),
    "the plan deleted": (delete("plan.json"), ("inventory",)),
    "the job files deleted": (delete("jobs/*/*.json"), ("inventory",)),
    "all but the masters deleted": (
        delete("*.csv", "*.json", "jobs/*/*.json", ".cache/*"),
        ("inventory",),
    ),
    "a setting of flats": (
        configure(integration={"flat": {"sigmaHigh": 2.5}}),
        ("inventory", *FLATS),
    ),
    "outliers to be skipped": (
        configure(outlier_frames="skip"),
        ("inventory", BIAS, DARK, *FLATS),
    ),
    "two values exchanged": (
        configure(integration={"dark": {"sigmaLow": 3.0, "sigmaHigh": 4.0}}),
        ("inventory", DARK, *FLATS),
    ),
    "other keywords for groups": (
        configure(required_keywords={"flat": ["TYPE", "INSTRUME", "DATE"]}),
        ("inventory", "masterFlat_INSTRUME-ATR585M_DATE-2026-01-16"),
    ),
    "a setting that decides no pixel": (
        configure(temperature={"tolerance_c": 2.0}),
        ("inventory",),
    ),
}


#: The changes that make test tries; the others are left to make test-all.
TRIED_OFTEN = ("nothing", "a dark more", "a flat renamed", "a header edited in place")


@pytest.mark.parametrize(("change", "expected"), slow_but(CHANGES, *TRIED_OFTEN))
def test_just_what_a_change_concerns_is_made_again(
    made: Workflow, change: Callable[[Workflow], None], expected: tuple[str, ...]
) -> None:
    change(made)
    see_made_again(made, *expected)


def test_frames_that_come_back_from_the_archive_make_nothing_again(made: Workflow) -> None:
    archive = made.directory / "archive"
    darks = next(path for path in made.frames.rglob("DARK"))
    darks.rename(archive)
    see_made_again(made, "inventory")
    archive.rename(darks)
    see_made_again(made, "inventory")


def test_directories_may_be_named_from_home(
    made: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(made.directory))
    made.configure(input_dir="~/frames", output_dir="~/output")
    add("blue")(made)
    see_made_again(made, "inventory", BLUE)


# --- Snakemake's records lost ---------------------------------------------------------------------


def forget(workflow: Workflow) -> None:
    shutil.rmtree(workflow.directory / ".snakemake")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("nothing", "a flat more, dated 2001", "a flat less", "two values exchanged"),
        *("a dark master deleted", "the plan deleted"),
    ],
)
def test_changes_are_seen_and_predicted_without_the_records(made: Workflow, name: str) -> None:
    change, expected = CHANGES[name]
    forget(made)
    change(made)
    see_made_again(made, *expected)


@pytest.mark.slow
def test_what_the_records_say_of_older_masters_is_not_believed(made: Workflow) -> None:
    records, kept = made.directory / ".snakemake", made.directory / "kept"
    shutil.copytree(records, kept)
    made.configure(integration={kind: {"rejection": "MinMax"} for kind in ("bias", "dark", "flat")})
    assert made.run("masters").jobs == sorted(["inventory", *ALL])
    # As after a run that was killed when its masters were there, but not on record.
    shutil.rmtree(records)
    kept.rename(records)
    made.configure()
    see_made_again(made, "inventory", *ALL)


@dataclass(frozen=True)
class Clone:
    """The repository, cloned again: all its files are of today."""

    path: Path

    def raise_algorithm_version(self) -> None:
        needs = self.path / "calmasters" / "engines" / "native" / "needs.py"
        text = needs.read_text(encoding="utf-8")
        raised = re.sub(r"(algorithm_version = )(\d+)", r"\g<1>\g<2>1", text)
        assert raised != text
        needs.write_text(raised, encoding="utf-8")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    target = tmp_path / "clone"
    for name in ("calmasters", "config", "profiles", "rules", "scripts"):
        shutil.copytree(REPOSITORY / name, target / name, copy_function=shutil.copyfile)
    shutil.copyfile(REPOSITORY / "Snakefile", target / "Snakefile")
    return Clone(target)


@pytest.mark.slow
def test_a_new_clone_over_old_results_makes_nothing_again(made: Workflow, clone: Clone) -> None:
    made.repository = clone.path
    see_made_again(made)
    forget(made)
    see_made_again(made)
    add("blue", old=True)(made)
    see_made_again(made, "inventory", BLUE)


def test_a_new_version_of_the_arithmetic_makes_all_again(made: Workflow, clone: Clone) -> None:
    clone.raise_algorithm_version()
    made.repository = clone.path
    see_made_again(made, "inventory", *ALL)


@pytest.mark.parametrize("plan", ["kept", "lost"])
def test_a_master_asked_for_by_its_file_is_made_again_when_stale(made: Workflow, plan: str) -> None:
    add("blue", old=True)(made)
    if plan == "lost":
        delete("plan.json")(made)
    before = times(made)
    asked = made.run(f"output/masters/flat/{BLUE}.xisf")
    assert asked.jobs == sorted(["inventory", BLUE])
    assert {name for name, time in times(made).items() if time != before[name]} == {BLUE}
    assert made.run("masters").nothing_to_do


# --- kept masters and libraries -------------------------------------------------------------------


@pytest.fixture(scope="session")
def made_with_library(made_session: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of flats, whose bias and dark lie in a library below its frames."""
    workflow = Workflow(tmp_path_factory.mktemp("made_with_library"))
    frames = workflow.frames
    write_session(frames, replace(TINY, bias=0, darks=0, lights=0, filters=("B",)))
    shutil.copytree(made_session / "output" / "masters", frames / "library")
    shutil.rmtree(frames / "library" / "flat")
    library = {"bias": ["frames/library/bias"], "dark": ["frames/library/dark"]}
    workflow.configure(library=library, output_dir="frames/made here")
    workflow.output = frames / "made here"
    assert workflow.run("masters").jobs == sorted(["inventory", BLUE])
    (flat,) = workflow.plan["masters"].values()
    assert flat["bias"]["origin"] == flat["dark"]["origin"] == "library"
    return workflow.directory


@pytest.fixture
def with_library(made_with_library: Path, tmp_path: Path) -> Workflow:
    """A workflow whose output and library lie among its frames."""
    workflow = copied(made_with_library, tmp_path)
    workflow.output = workflow.frames / "made here"
    return workflow


def library_dark(workflow: Workflow) -> Path:
    return workflow.frames / "library" / "dark" / f"{DARK}.xisf"


def touch(workflow: Workflow) -> None:
    library_dark(workflow).touch()


def copy_beside(workflow: Workflow) -> None:
    dark = library_dark(workflow)
    shutil.copyfile(dark, dark.with_name("a copy that comes first.xisf"))


def spoil_one_pixel(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def replace_dated_2001(workflow: Workflow) -> None:
    spoil_one_pixel(library_dark(workflow))
    date(library_dark(workflow))


def add_another_night(workflow: Workflow) -> None:
    dark = library_dark(workflow)
    newer = dark.with_name("newer.xisf")
    content = dark.read_bytes()
    dated = re.sub(rb"(DATE-OBS[^/]*?)2026-01", rb"\g<1>2026-02", content)
    assert dated != content
    newer.write_bytes(dated)


def remove_from_library(workflow: Workflow) -> None:
    library_dark(workflow).unlink()


LIBRARY_CHANGES = {
    "nothing": (nothing, ()),
    "touched": (touch, ("inventory",)),
    "copied": (copy_beside, ("inventory",)),
    "replaced by an older one": (replace_dated_2001, ("inventory", BLUE)),
    "a newer one added": (add_another_night, ("inventory", BLUE)),
    "removed": (remove_from_library, ("inventory", BLUE)),
}


@pytest.mark.parametrize(
    ("change", "expected"), slow_but(LIBRARY_CHANGES, "copied", "replaced by an older one")
)
def test_a_library_master_counts_by_its_content(
    with_library: Workflow, change: Callable[[Workflow], None], expected: tuple[str, ...]
) -> None:
    change(with_library)
    see_made_again(with_library, *expected)


def test_a_working_directory_may_move_with_its_data(with_library: Workflow, tmp_path: Path) -> None:
    moved = Workflow(with_library.directory.rename(tmp_path / "elsewhere"))
    moved.output = moved.frames / "made here"
    see_made_again(moved)
    add("blue")(moved)
    see_made_again(moved, "inventory", BLUE)


@pytest.mark.slow
def test_a_kept_master_that_goes_is_missed(made: Workflow) -> None:
    take_away("DARK")(made)
    see_made_again(made, "inventory")
    delete("masters/dark/*")(made)
    see_made_again(made, "inventory", *FLATS)


@pytest.mark.parametrize(
    "folder",
    slow_but({"absolute": ("{directory}/output",), "relative": ("output",)}, "absolute"),
)
def test_new_flats_and_a_report_use_masters_whose_frames_are_archived(
    made: Workflow, folder: str
) -> None:
    take_away("BIAS")(made)
    take_away("DARK")(made)
    add_group(made)
    made.configure(output_dir=folder.format(directory=made.directory))
    green = flat_name("R")
    run = made.run("report")
    assert {green, *FLATS} <= {*run.jobs}
    assert not {BIAS, DARK} & {*run.jobs}
    assert {entry["bias"]["origin"] for entry in made.plan["masters"].values()} == {"kept"}
    assert f"output_dir: 3 flats use {BIAS}, {DARK}, kept there" in run.output
    assert made.run("report").nothing_to_do


def test_a_dark_whose_frames_are_excluded_is_not_used(made: Workflow) -> None:
    made.configure(exclude=["DARK"])
    see_made_again(made, "inventory", *FLATS)
    (note,) = made.plan["findings"]["notes"]
    assert f"no flat uses {DARK}" in note
    assert "exclude: DARK" in note
    see_made_again(made)


# --- frames identified by their content -----------------------------------------------------------


def rewrite_in_place(path: Path) -> None:
    """Change a pixel, and put the time back."""
    mtime_ns = path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[2880] ^= 1
    path.write_bytes(content)
    date(path, mtime_ns)


def test_a_frame_rewritten_under_its_old_size_and_time_is_seen_by_its_content(
    made: Workflow,
) -> None:
    made.configure(fingerprint="content")
    see_made_again(made, "inventory", *ALL)
    change_time_alone(made)
    see_made_again(made)
    rewrite_in_place(frame(made, "blue"))
    see_made_again(made, "inventory", BLUE)
    rename(made)
    see_made_again(made, "inventory", BLUE)


# --- runs that fail or are ended ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("records", ["kept", "lost"])
def test_what_a_failed_inventory_did_not_see_is_seen_by_the_next(
    made: Workflow, records: str
) -> None:
    add("blue", old=True)(made)
    if records == "lost":
        forget(made)
    # A directory where the inventory wants to write a file.
    obstacle = made.output / ".cache" / "headers.json"
    obstacle.unlink()
    obstacle.mkdir()
    before = times(made)
    made.run("masters", succeeds=False)
    assert times(made) == before
    obstacle.rmdir()
    see_made_again(made, "inventory", BLUE)


def spoil(path: Path) -> None:
    """Spoil a frame behind the inventory's back: under its old size and time."""
    mtime_ns = path.stat().st_mtime_ns
    path.write_bytes(b"X" * path.stat().st_size)
    date(path, mtime_ns)


def test_one_broken_group_leaves_the_others_and_is_made_once_repaired(made: Workflow) -> None:
    made.configure(on_bad_frame="fail")
    broken = frame(made, "dark")
    whole = broken.read_bytes(), broken.stat().st_mtime_ns
    for kind in ("dark", "bias", "blue"):
        add(kind)(made)
    add_group(made)
    made.run("inventory")
    spoil(broken)
    run = made.run("masters", "--keep-going", succeeds=False)
    assert "is not a FITS file" in run.output
    # Every flat of this session needs the dark.
    assert run.jobs == sorted([BIAS, DARK])
    broken.write_bytes(whole[0])
    date(broken, whole[1])
    see_made_again(made, DARK, *FLATS, flat_name("R"))


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def interrupted(made: Workflow) -> Iterator[Callable[[int], None]]:
    """Start to make all again, one at a time, and end the run when the first master is there."""
    runs: list[subprocess.Popen[bytes]] = []

    def end_by(number: int) -> None:
        masters = made.output / "masters"
        run = made.start("masters", "--cores", "1", seen=lambda: any(masters.glob("*/*.xisf")))
        runs.append(run)
        os.killpg(run.pid, number)
        assert run.wait(60) != 0
        while alive(run.pid):  # a job may outlive the workflow by a moment
            time.sleep(0.02)

    yield end_by
    for run in runs:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_is_taken_up_where_it_was(
    made: Workflow, interrupted: Callable[[int], None], number: int
) -> None:
    shutil.rmtree(made.output / "masters")
    interrupted(number)
    whole = set(times(made))
    assert whole < set(ALL)
    run = made.run_as_predicted()
    assert set(ALL) - whole <= set(run.jobs) <= set(ALL)
    assert set(times(made)) == set(ALL)
