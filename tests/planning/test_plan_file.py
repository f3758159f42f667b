"""``plan.json``: what the rules read is what was decided."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from calmasters.errors import RecordError
from calmasters.frame import Frame, FrameType, Geometry, Status, Verdict
from calmasters.model.formats import FORMATS
from calmasters.model.job import FrameFile, LeftOut, MadeOf, MasterJob, Recipe, UsedMaster
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.planning.plan_file import Plan, write_plan
from calmasters.planning.planner import Decision, NotMade
from calmasters.settings import Calibration, Integration

BIAS = UsedMaster("bias/b.xisf", "run", "nearest", job="aa")
DARK = UsedMaster("/library/d.fits", "library", "longest exposure")
FLAT = MasterJob(
    name="masterFlat_FILTER-é",
    type=FrameType.FLAT,
    keywords={"FILTER": "é", "GAIN": 100},
    geometry=Geometry(4, 3, bayerpat="RGGB"),
    frames=(FrameFile("a.fits", 5760, 17), FrameFile("b.fits", 5760, 18)),
    header={"EXPTIME": 1.5},
    recipe=Recipe("native", 1, Integration(), Calibration(), "unit", "xisf"),
    bias=BIAS,
    dark=DARK,
    optimize_dark=True,
    warnings=(MasterWarning(WarningKind.CALIBRATION, "the dark is old"),),
    left_out=(LeftOut("c.fits", "is a copy of a.fits"),),
)
DARK_JOB = replace(FLAT, name="masterDark", type=FrameType.DARK, bias=None, dark=None)
NOT_MADE = NotMade("masterBias", "bias", {"GAIN": 1}, Geometry(4, 3), ("d.fits",), "only 1 frame")


@pytest.fixture
def decision(make_frame: Callable[..., Frame]) -> Decision:
    frame = make_frame("flat", path="a.fits")
    return Decision(
        digest="0123",
        jobs=(DARK_JOB, FLAT),
        not_made=(NOT_MADE,),
        kept=("bias/old.xisf",),
        frames=(frame,),
        verdicts={"a.fits": Verdict(Status.USED, group=FLAT.name)},
        warnings=("a note",),
        short_names={FLAT.master: "short flat", DARK_JOB.master: "short dark"},
        absent_keywords={"ST-7": ("GAIN",)},
    )


@pytest.fixture
def path(tmp_path: Path, decision: Decision) -> Path:
    file = tmp_path / "plan.json"
    write_plan(file, decision, {FLAT.master: ["its bias is new", "b.fits is new"]})
    return file


def test_the_rules_read_what_was_decided(path: Path, decision: Decision) -> None:
    plan = Plan.load(path)
    assert plan == Plan.of(decision)
    assert (plan.digest, plan.kept, [*plan.masters]) == (
        "0123",
        ("bias/old.xisf",),
        [DARK_JOB.master, FLAT.master],
    )
    flat, dark = plan.masters[FLAT.master], plan.masters[DARK_JOB.master]
    assert (flat.short_name, flat.frame_count, flat.bias, flat.dark) == (
        *("short flat", 2),
        *(BIAS, DARK),
    )
    assert flat.made_of == MadeOf(FLAT.digest, "aa", "")
    assert dark.made_of == MadeOf(DARK_JOB.digest, "", "")


def test_people_read_what_each_master_is_made_of_and_why(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.endswith("}\n")
    stored = json.loads(text)
    assert stored["version"] == 1
    assert stored["formats"] == FORMATS
    assert stored["not_made"] == [json.loads(json.dumps(asdict(NOT_MADE)))]
    assert (stored["kept"], stored["warnings"]) == (["bias/old.xisf"], ["a note"])
    assert stored["absent_keywords"] == {"ST-7": ["GAIN"]}
    flat, dark = stored["masters"][FLAT.master], stored["masters"][DARK_JOB.master]
    assert {**flat, "recipe": None} == {
        "short_name": "short flat",
        "type": "flat",
        "keywords": {"FILTER": "é", "GAIN": 100},
        "geometry": FLAT.geometry.to_json(),
        "frames": ["a.fits", "b.fits"],
        "digest": FLAT.digest,
        "recipe": None,
        "bias": asdict(BIAS),
        "dark": asdict(DARK),
        "optimize_dark": True,
        "warnings": [{"kind": "calibration", "text": "the dark is old"}],
        "left_out": [asdict(FLAT.left_out[0])],
        "why": ["its bias is new", "b.fits is new"],
    }
    assert (dark["bias"], dark["dark"], dark["why"]) == (None, None, [])


def test_each_member_of_a_master_has_a_line(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert '   "short_name": "short flat",' in lines
    assert f'  "{DARK_JOB.master}": {{' in lines
    assert ' "kept": ["bias/old.xisf"],' in lines
    assert (lines[0], lines[-1]) == ("{", "}")
    assert [line for line in lines if line.strip() == "}"] == ["  }", "}"]
    assert [line for line in lines if line.strip() == "},"] == ["  },", " },"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:100],
        lambda text: "[]",
        lambda text: "{}",
        lambda text: text.replace('"digest"', '"other"'),
        lambda text: text.replace('"frames": [', '"frames": 5, "x": ['),
        lambda text: text.replace('"findings": {', '"findings": 5, "x": {'),
        lambda text: text.replace('"masters": {', '"masters": 5, "x": {'),
        lambda text: text.replace('"short_name"', '"name"'),
        lambda text: text.replace('"kept": [', '"kept": 5, "x": ['),
    ],
)
def test_what_is_no_plan_is_refused(path: Path, damage: Callable[[str], str]) -> None:
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(RecordError) as caught:
        Plan.load(path)
    assert str(caught.value).startswith(f"'{path}' is not a plan (")


def test_a_missing_plan_is_another_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="plan"):
        Plan.load(tmp_path / "plan.json")
