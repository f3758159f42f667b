"""Which masters of earlier runs flats may use."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from calmasters.frame import Frame, FrameType, Geometry, Status, Verdict
from calmasters.inventory.content_digests import ContentDigests
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.model.master_record import MasterRecord
from calmasters.planning.checkpoint import refresh_plan
from calmasters.planning.kept_masters import (
    KeptMasters,
    fate_of_frames,
    kept_in_use,
    kept_unused,
)
from calmasters.planning.matching import Match
from calmasters.planning.plan_file import Plan
from calmasters.planning.planner import Decision, decide
from calmasters.planning.staleness import FileTimes, plan_holds
from calmasters.running.set_aside import set_aside
from calmasters.settings import Integration, Settings


@pytest.fixture
def made(
    settings: Settings,
    add_frame: Callable[..., Path],
    add_master: Callable[..., Path],
    write_record: Callable[..., MasterRecord],
) -> Decision:
    """A bias and a flat that uses it, made by an earlier run."""
    for kind in ("bias", "flat"):
        for number in range(4):
            add_frame(f"{kind}/{number}.fits", kind, {"DATE-OBS": f"2026-01-15T20:00:0{number}"})
    decision = refresh_plan(settings)
    for job in decision.jobs:
        master = settings.output_dir / job.master
        cards = {"FILTER": "B"} if job.type == "flat" else {}
        add_master(master, job.type.value, cards)
        write_record(job, master)
    return decision


def bias_of_flat(decision: Decision) -> str | None:
    flat = decision.jobs[-1]
    assert flat.type == "flat"
    return flat.bias and flat.bias.origin


def test_a_master_is_used_when_all_its_frames_are_gone(settings: Settings, made: Decision) -> None:
    shutil.rmtree(settings.input_dir / "bias")
    decision = decide(settings)
    assert bias_of_flat(decision) == "kept"
    assert decision.jobs[-1].digest == made.jobs[-1].digest
    name = Path(made.jobs[0].master).stem
    assert decision.warnings == (
        f"output_dir: 1 flat uses {name}, kept there: its frames are not in input_dir; if it is "
        "not to be used, delete it",
    )


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"exclude": ["bias"]}, "4 of its frames are left out: exclude: bias"),
        ({"minimum_frames": 5}, "only 4 frames of this group"),
        ({"type_words": {"bias": ["x"]}, "ignored_types": ["bias"]}, "type bias"),
    ],
    ids=["excluded", "too few", "ignored"],
)
def test_a_master_is_not_used_while_its_frames_are_there(
    make_settings: Callable[..., Settings],
    add_frame: Callable[..., Path],
    made: Decision,
    setting: dict[str, object],
    reason: str,
) -> None:
    for number in range(4, 7):
        add_frame(f"flat/{number}.fits", "flat", {"DATE-OBS": f"2026-01-15T20:00:0{number}"})
    decision = decide(make_settings(**setting))
    assert bias_of_flat(decision) is None
    assert decision.kept == (made.jobs[0].master,)
    (note,) = decision.warnings
    assert reason in note
    assert "library.bias" in note


def test_frames_that_moved_to_an_excluded_folder_are_still_there(
    make_settings: Callable[..., Settings], made: Decision
) -> None:
    settings = make_settings(exclude=["rejected"])
    (settings.input_dir / "rejected").mkdir()
    (settings.input_dir / "bias").rename(settings.input_dir / "rejected" / "bias")
    decision = decide(settings)
    assert bias_of_flat(decision) is None
    assert "exclude: rejected" in decision.warnings[0]


def test_frames_that_belong_to_another_group_now_are_no_reason_to_use_their_old_master(
    make_settings: Callable[..., Settings], made: Decision
) -> None:
    decision = decide(
        make_settings(
            assume_keywords={"ATR585M": {"USBLIMIT": 40}},
            required_keywords={"bias": ["TYPE", "INSTRUME", "GAIN", "USBLIMIT"]},
        )
    )
    flat = decision.jobs[-1]
    assert flat.bias is not None
    assert (flat.bias.origin, "USBLIMIT-40" in flat.bias.path) == ("run", True)
    assert "its frames make masterBias_" in decision.warnings[0]


def test_a_master_with_some_frames_left_is_not_used(settings: Settings, made: Decision) -> None:
    for number in range(2):
        (settings.input_dir / f"bias/{number}.fits").unlink()
    decision = decide(settings)
    assert bias_of_flat(decision) is None
    assert "2 of its 4 frames are missing" in decision.warnings[0]


@pytest.mark.parametrize("setting", [{"master_format": "fits"}, {"layout": "ap-library"}])
def test_masters_of_another_format_or_layout_are_named_as_that(
    settings: Settings,
    make_settings: Callable[..., Settings],
    made: Decision,
    write_record: Callable[..., MasterRecord],
    setting: dict[str, object],
) -> None:
    bias, flat = made.jobs
    for _ in range(2):
        decision = decide(make_settings(**setting))
        assert bias_of_flat(decision) == "run"
        (note,) = decision.warnings
        assert "no flat uses 2 masters of an earlier master_format or layout" in note
        assert f"{bias.master} is {decision.jobs[0].master} now" in note
        assert "library" not in note.replace("ap-library", "")
        # The JSON beside them is that of the new masters, after the run.
        for job in decision.jobs:
            write_record(job, settings.output_dir / job.master)
    (settings.output_dir / bias.master).unlink()
    (note,) = decide(make_settings(**setting)).warnings
    assert f"no flat uses 1 master of an earlier master_format or layout: {flat.master} is" in note
    (settings.output_dir / flat.master).unlink()
    assert not decide(make_settings(**setting)).warnings


def test_a_master_of_another_format_is_used_when_its_frames_are_gone(
    settings: Settings, make_settings: Callable[..., Settings], made: Decision
) -> None:
    shutil.rmtree(settings.input_dir / "bias")
    decision = decide(make_settings(master_format="fits"))
    assert bias_of_flat(decision) == "kept"
    note, in_use = decision.warnings
    assert f"{made.jobs[1].master} is {decision.jobs[-1].master} now" in note
    assert "1 flat uses" in in_use


@pytest.mark.parametrize(
    ("flats", "said"),
    [
        (["run bias", "library dark"], None),
        (["kept bias"], "1 flat uses bias, kept there: its frames are"),
        (["kept bias", "run bias", "kept bias"], "2 flats use bias, kept there: its frames are"),
        (
            ["kept bias kept dark"],
            "1 flat uses bias, dark, kept there: their frames are not in input_dir; if they are not"
            " to be used, delete them",
        ),
        (["kept a kept b", "kept c kept d"], "2 flats use a, b, c and 1 more, kept there: their"),
    ],
)
def test_flats_that_use_masters_without_frames_are_one_sentence(
    flats: list[str], said: str | None
) -> None:
    def match(text: str) -> Match:
        words = text.split()
        pairs = zip(words[::2], words[1::2], strict=True)
        used = [UsedMaster(f"masters/{name}.xisf", origin, "") for origin, name in pairs]
        return Match(used[0], used[1] if used[1:] else None, False, ())

    sentences = [*kept_in_use(map(match, flats))]
    assert len(sentences) == bool(said)
    assert all(sentence.startswith(f"output_dir: {said}") for sentence in sentences)


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["masters/bias/used.xisf"], None),
        (["masters/bias/used.xisf", "masters/flat/a.xisf"], "a is kept: no frames in input_dir make"
                                                           " it; to move it to output_dir/orphans"),
        (["masters/MASTER FLAT/A/B/c.fits", "masters/dark/d.xisf"], "A/B/c, d are kept: no frames "
                                                                    "in input_dir make them"),
    ],
)  # fmt: skip
def test_masters_without_frames_that_no_flat_uses_are_one_sentence(
    paths: list[str], said: str | None
) -> None:
    match = Match(UsedMaster("masters/bias/used.xisf", "kept", ""), None, False, ())
    sentences = [*kept_unused(paths, [match])]
    assert len(sentences) == bool(said)
    assert all(sentence.startswith(f"output_dir: {said}") for sentence in sentences)


def test_old_flats_are_one_sentence(
    settings: Settings, make_settings: Callable[..., Settings], made: Decision
) -> None:
    flat = made.jobs[1]
    (note,) = decide(make_settings(exclude=["flat/*"])).warnings
    assert note.startswith(f"output_dir: {flat.name} is of an earlier run, and not what the frames")
    assert "4 of its frames are left out: exclude: flat/*; to move it to output_dir/orph" in note
    other = settings.output_dir / "masters/flat/masterFlat_A.xisf"
    for suffix in (".xisf", ".json"):
        shutil.copy((settings.output_dir / flat.master).with_suffix(suffix), other)
        other = other.with_suffix(".json")
    (note,) = decide(make_settings(exclude=["flat/*"])).warnings
    assert f"masterFlat_A, {flat.name} are of an earlier run" in note
    assert "4 of their frames are left out: exclude: flat/*; to move them to" in note
    (note,) = decide(settings).warnings
    assert "masterFlat_A is of an earlier run, and not what the frames make now: its fr" in note


def test_a_plan_does_not_hold_when_an_old_flat_was_moved(
    make_settings: Callable[..., Settings], made: Decision
) -> None:
    settings = make_settings(exclude=["flat/*"])
    decision = refresh_plan(settings)

    def holds() -> bool:
        plan, digests = Plan.load(settings.output_dir / "plan.json"), ContentDigests(settings)
        times = FileTimes(settings.output_dir)
        return plan_holds(plan, settings, decision.digest, times, digests)

    assert decision.kept == (made.jobs[1].master,)
    assert holds()
    set_aside(decision.kept, settings.output_dir)
    assert not holds()


def test_a_master_without_a_record_is_used(settings: Settings, made: Decision) -> None:
    (settings.output_dir / made.jobs[0].record).unlink()
    for number in range(2):
        (settings.input_dir / f"bias/{number}.fits").unlink()
    assert bias_of_flat(decide(settings)) == "kept"


# --- each master by itself ------------------------------------------------------------------------

RECIPE = Recipe("native", 1, Integration(), None, "unit", "xisf")
LEFT_OUT = Verdict(Status.REFUSED, "is damaged; copy it again", "copy it again")


@pytest.fixture
def kept(
    tmp_path: Path, make_frame: Callable[..., Frame], write_record: Callable[..., MasterRecord]
) -> Callable[..., KeptMasters]:
    """Masters by name, each with the names of the frames that it was made of."""

    def make(
        masters: Mapping[str, Iterable[str]],
        frames: Iterable[Frame],
        verdicts: Mapping[str, Verdict],
        elsewhere: Mapping[str, str] | None = None,
        geometry: Geometry = Geometry(4, 3),  # noqa: B008
        is_recorded: bool = True,
        problems: tuple[str, ...] = (),
    ) -> KeptMasters:
        files = []
        for name, made_of in masters.items():
            master = make_frame(path=f"masters/bias/{name}.xisf", master=True, problems=problems)
            job = MasterJob(
                name,
                FrameType.BIAS,
                master.keywords,
                geometry,
                tuple(FrameFile(path, 1000, 17) for path in made_of),
                {},
                RECIPE,
            )
            if is_recorded:
                write_record(job, tmp_path / master.path)
            files.append(master)
        return KeptMasters(files, frames, verdicts, tmp_path, elsewhere or {})

    return make


@pytest.mark.parametrize(
    ("there", "gone", "fate"),
    [
        ({"a": "one", "b": "two", "c": "one"}, 0, "its frames make one, two now"),
        ({"a": "", "b": ""}, 0, "2 of its frames are left out: is damaged; copy it again"),
        ({"a": "one"}, 2, "2 of its 3 frames are missing; its frames make one now"),
        (
            {"a": "", "b": "one"}, 1,
            "1 of its 3 frames are missing; its frames make one now; 1 of its frames are left out: "
            "is damaged; copy it again",
        ),
        ({}, 5, "its frames are missing"),
    ],
)  # fmt: skip
def test_what_became_of_the_frames_of_a_master_is_said(
    there: dict[str, str], gone: int, fate: str
) -> None:
    verdicts = {
        path: Verdict(Status.USED, group=group) if group else LEFT_OUT
        for path, group in there.items()
    }
    assert fate_of_frames([*there], verdicts, gone) == fate


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a"], "a: 1 of its frames are left out: is damaged; copy it again; to use it anyway, copy"
                " it to a directory"),
        (["a", "b"], "a, b: 1 of their frames are left out: is damaged; copy it again; to use them "
                     "anyway, copy them to a directory"),
        (["a", "b", "c"], "a, b, c: 1 of their"),
        (["a", "b", "c", "d"], "a, b, c and 1 more: 1 of their"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more: 1 of their"),
    ],
)  # fmt: skip
def test_masters_of_one_fate_are_one_sentence(
    kept: Callable[..., KeptMasters], make_frame: Callable[..., Frame], names: list[str], said: str
) -> None:
    frame = make_frame(path="x.fits", mtime_ns=17)
    masters = kept({name: ["x.fits"] for name in names}, [frame], {"x.fits": LEFT_OUT})
    assert masters.candidates == []
    (note,) = masters.warnings
    assert note.startswith(f"output_dir: no flat uses {said}")


def test_a_frame_is_there_by_its_path_or_as_the_same_file_in_another_folder(
    kept: Callable[..., KeptMasters], make_frame: Callable[..., Frame]
) -> None:
    def is_used(**changes: object) -> bool:
        frame = make_frame(**{"path": "1/x.fits", "mtime_ns": 17, "size": 1000, **changes})
        masters = kept({"a": ["1/x.fits", "1/y.fits"]}, [frame], {frame.path: LEFT_OUT})
        assert bool(masters.candidates) != bool(masters.warnings)
        return bool(masters.candidates)

    assert not is_used()
    assert not is_used(mtime_ns=18)  # changed since
    assert not is_used(path="2/x.fits")
    assert is_used(path="2/x.fits", mtime_ns=18)
    assert is_used(path="2/x.fits", size=1001)
    assert is_used(path="2/z.fits")


def test_a_master_without_a_record_is_all_that_is_left(kept: Callable[..., KeptMasters]) -> None:
    masters = kept({"a": ["x.fits"]}, [], {}, is_recorded=False)
    assert [each.path for each in masters.candidates] == ["masters/bias/a.xisf"]
    assert masters.warnings == []


def test_a_damaged_master_is_not_used_and_not_asked_for(
    kept: Callable[..., KeptMasters], make_frame: Callable[..., Frame]
) -> None:
    frame = make_frame(path="x.fits", mtime_ns=17)
    for made_of in ("x.fits", "gone.fits"):
        masters = kept({"a": [made_of]}, [frame], {"x.fits": LEFT_OUT}, problems=("is empty",))
        assert (masters.candidates, masters.warnings) == ([], [])


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        (Geometry(4, 3, 1, 1, None, 70, 80), Geometry(4, 3, 1, 1, None, 70, 80)),
        (Geometry(4, 3, bayerpat="RGGB"), Geometry(4, 3)),
    ],
)
def test_the_record_of_a_master_has_its_position(
    kept: Callable[..., KeptMasters], recorded: Geometry, expected: Geometry
) -> None:
    (candidate,) = kept({"a": ["x.fits"]}, [], {}, geometry=recorded).candidates
    assert candidate.geometry == expected


def test_a_master_that_is_made_elsewhere_now_is_not_asked_for(
    kept: Callable[..., KeptMasters], make_frame: Callable[..., Frame]
) -> None:
    frame = make_frame(path="x.fits", mtime_ns=17)
    now = {f"masters/bias/{name}.xisf": f"masters/{name}.fits" for name in "ab"}
    masters = kept({"a": ["x.fits"], "b": ["x.fits"]}, [frame], {"x.fits": LEFT_OUT}, now)
    assert masters.warnings == [
        "output_dir: no flat uses 2 masters of an earlier master_format or layout: "
        "masters/bias/a.xisf is masters/a.fits now; delete them, or run: snakemake orphans "
        "--config prune=true"
    ]
    # One whose frames are gone is used, wherever it is.
    masters = kept({"a": ["x.fits"], "b": ["gone.fits"]}, [frame], {"x.fits": LEFT_OUT}, now)
    assert [each.path for each in masters.candidates] == ["masters/bias/b.xisf"]
    (note,) = masters.warnings
    assert "no flat uses 1 master of an earlier master_format or layout: masters/bias/a" in note
    assert "delete it, or run" in note
