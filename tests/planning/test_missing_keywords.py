"""Cameras that do not write a keyword, drivers that lost one, and the settings that help."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.io import fits

from calmasters.frame import Status
from calmasters.inventory.camera_keywords import absence_sentences
from calmasters.inventory.table import column_text
from calmasters.model.layout import PLAN, SUGGESTED
from calmasters.planning.checkpoint import refresh_plan
from calmasters.planning.planner import Decision, decide
from calmasters.settings import Settings

MakeSettings = Callable[..., Settings]
AddFile = Callable[..., Path]
AddFrames = Callable[..., list[Path]]

OLD = {"INSTRUME": "SBIG ST-7", "GAIN": None, "OFFSET": None, "READOUTM": None}
UNDATED = dict.fromkeys(("DATE-OBS", "DATE-LOC", "DATE"))


@pytest.fixture
def add_frames(add_frame: AddFile) -> AddFrames:
    """Write three frames, one second apart."""
    seconds = count()

    def add(folder: str, kind: str, number: int = 3, **cards: Any) -> list[Path]:
        named = {key.replace("__", "-"): value for key, value in cards.items()}
        return [
            add_frame(
                f"{folder}{'' if folder.endswith('-') else '/'}{each}.fits",
                kind,
                {"DATE-OBS": "2026-01-15T20:{:02}:{:02}".format(*divmod(next(seconds), 60))}
                | named,
            )
            for each in range(number)
        ]

    return add


def names(decision: Decision) -> list[str]:
    return [job.name for job in decision.jobs]


def refused(decision: Decision) -> dict[str, list[str]]:
    """Folders of refused frames with their reasons, up to the remedy."""
    found: dict[str, set[str]] = {}
    for path, verdict in decision.verdicts.items():
        if verdict.status is Status.REFUSED:
            found.setdefault(path.partition("/")[0], set()).add(verdict.reason.partition(";")[0])
    return {folder: sorted(reasons) for folder, reasons in found.items()}


# --- a camera that does not write a keyword -------------------------------------------------------


def test_an_old_camera_makes_masters_at_the_first_try(
    settings: Settings, add_frames: AddFrames
) -> None:
    for kind in ("bias", "dark", "flat"):
        add_frames(kind, kind, **OLD)
    decision = decide(settings)
    assert [job.type for job in decision.jobs] == ["bias", "dark", "flat"]
    assert names(decision)[0] == "masterBias_INSTRUME-SBIG ST-7_SETTEMP--10.00"
    flat = decision.jobs[-1]
    assert flat.bias is not None
    assert flat.dark is not None
    assert absence_sentences(decision.absent_keywords) == [
        "SBIG ST-7 writes no GAIN and no OFFSET; all its frames count as one setting"
    ]
    assert decision.suggested == {}
    sources = column_text(decision.inventory["sources"])
    assert {*sources} == {"GAIN: not written; OFFSET: not written"}


def test_a_camera_without_a_set_point_makes_masters(
    settings: Settings, add_frames: AddFrames
) -> None:
    add_frames("dark", "dark", SET__TEMP=None, CCD__TEMP=None)
    decision = decide(settings)
    assert "SETTEMP" not in names(decision)[0]
    assert decision.absent_keywords == {"ATR585M": ("SET-TEMP",)}


@pytest.mark.parametrize(
    ("kind", "keyword", "card", "one", "other"),
    [
        ("flat", "FILTER", "FLTNM", "V", "B"),
        ("bias", "GAIN", "EGAIN", 0.25, 1.3),
        ("dark", "OFFSET", "BLACKLVL", 10, 50),
        ("bias", "READOUTM", "RDSPEED", "fast", "slow"),
        ("dark", "SET-TEMP", "DETTEMP", -20.1, -9.8),
    ],
)
def test_frames_that_differ_in_a_card_that_is_not_read_make_a_weak_master(
    settings: Settings,
    add_frames: AddFrames,
    kind: str,
    keyword: str,
    card: str,
    one: object,
    other: object,
) -> None:
    without: dict[str, object] = {**dict.fromkeys([keyword, "CCD-TEMP"]), card: one}
    add_frames("a", kind, **without)
    add_frames("b", kind, 2, **{**without, card: other})
    (job,) = decide(settings).jobs
    (text,) = (each.text for each in job.warnings if card in each.text)
    assert text.startswith(f"its frames have no {keyword}, but differ in {card}")
    assert text.endswith(f"set keyword_aliases: {{{keyword}: [{card}]}}")


def test_frames_that_differ_in_a_card_make_a_master_each_as_the_warning_says(
    make_settings: MakeSettings, add_frames: AddFrames
) -> None:
    for name in ("V", "B"):
        add_frames(name, "flat", FILTER=None, FLTNM=name)
    (job,) = decide(make_settings()).jobs
    assert any("(B in 3, V in 3 frames)" in each.text for each in job.warnings)
    several = decide(make_settings(keyword_aliases={"FILTER": ["FLTNM"]})).jobs
    assert [each.keywords["FILTER"] for each in several] == ["B", "V"]
    assert not any("FLTNM" in warning.text for each in several for warning in each.warnings)


@pytest.mark.parametrize("filter_name", [None, "None"])
def test_flats_whose_object_names_filters_make_a_master_each_as_the_warning_says(
    make_settings: MakeSettings, add_frames: AddFrames, filter_name: str | None
) -> None:
    for name in ("V", "R"):
        for number in range(3):
            cards = {"FILTER": filter_name, "OBJECT": f"flat {name} {number}"}
            add_frames(f"{name}{number}", "flat", 1, **cards)
    (job,) = decide(make_settings()).jobs
    (text,) = (each.text for each in job.warnings if "OBJECT" in each.text)
    assert "differ in OBJECT, which is not read (R in 3, V in 3 frames)" in text
    advice = text.partition(": set ")[2] or text.partition("FILTER, set ")[2]
    settings = yaml.safe_load(advice.replace(" and ", "\n"))
    several = decide(make_settings(**settings)).jobs
    assert [each.keywords["FILTER"] for each in several] == ["R", "V"]
    assert not any("OBJECT" in warning.text for each in several for warning in each.warnings)


@pytest.mark.parametrize(
    "objects",
    [("Flat", "FLAT"), ("M31 flats", "M42 flats"), ("B 33", "M 42"), ("flat 1", "flat 2")],
)
def test_other_objects_of_flats_are_not_reported(
    settings: Settings, add_frames: AddFrames, objects: tuple[str, str]
) -> None:
    for name in objects:
        add_frames(name, "flat", FILTER=None, OBJECT=name)
    (job,) = decide(settings).jobs
    assert "OBJECT" not in str(job.warnings)


@pytest.mark.parametrize(
    ("kind", "keyword", "card"),
    [("dark", "GAIN", "GAINMODE"), ("bias", "READOUTM", "CCDSPEED"), ("flat", "FILTER", "FWNAME")],
)
def test_a_card_that_differs_beside_a_keyword_that_does_not_is_reported(
    settings: Settings, add_frames: AddFrames, kind: str, keyword: str, card: str
) -> None:
    for value in ("one", "other"):
        add_frames(value, kind, **{card: value})
    (job,) = decide(settings).jobs
    (text,) = (each.text for each in job.warnings if card in each.text)
    assert text.startswith(f"its frames have {keyword} {job.keywords[keyword]}, but differ in")


def test_wheels_that_are_read_and_other_temperatures_are_not_reported(
    settings: Settings, add_frames: AddFrames
) -> None:
    for number in (1, 2):
        cards = {"FILTER2": number, "DETTEMP": 10.0 * number, "OBJECT": f"{'AB'[number - 1]} flat"}
        add_frames(f"{number}", "flat", **cards)
    (job,) = decide(settings).jobs
    assert not any("not read" in each.text for each in job.warnings)


def test_frames_that_agree_in_cards_that_are_not_read_make_a_master_without_a_warning(
    settings: Settings, add_frames: AddFrames
) -> None:
    add_frames("flat", "flat", FILTER=None, FLTNM="V")
    (job,) = decide(settings).jobs
    assert not any("FLTNM" in each.text for each in job.warnings)


@pytest.mark.parametrize(("kind", "is_weak"), [("dark", True), ("bias", False), ("flat", False)])
def test_darks_of_a_sensor_far_off_its_set_point_make_a_weak_master(
    make_settings: MakeSettings, add_frames: AddFrames, kind: str, is_weak: bool
) -> None:
    for celsius in (-10.0, -9.5, -9.0, -8.0, -4.0, 1.0):
        add_frames(f"at{celsius}", kind, 1, CCD__TEMP=celsius)
    (job,) = decide(make_settings()).jobs
    texts = [each.text for each in job.warnings if "set-point" in each.text]
    assert len(texts) == is_weak
    if is_weak:
        assert texts[0].startswith("in 2 of 6 darks the sensor was far off its set-point of -10 C")
        assert "such as 1 C in at1.0" in texts[0]
        (job,) = decide(make_settings(temperature={"action": "refuse"})).jobs
        assert len(job.frames) == 3
        assert not any("set-point" in each.text for each in job.warnings)


def test_darks_that_were_all_taken_off_the_set_point_belong_together(
    settings: Settings, add_frames: AddFrames
) -> None:
    for celsius in (18.5, 19.0, 20.0):
        add_frames(f"at{celsius}", "dark", 1, CCD__TEMP=celsius)
    (job,) = decide(settings).jobs
    assert "set-point" not in str(job.warnings)


def test_of_two_cameras_each_is_judged_by_itself(settings: Settings, add_frames: AddFrames) -> None:
    add_frames("old", "bias", **OLD)
    add_frames("new", "bias")
    assert len(decide(settings).jobs) == 2


@pytest.mark.parametrize("evidence", ["bias", "light"])
def test_a_driver_that_lost_a_keyword_makes_no_masters(
    settings: Settings, add_frames: AddFrames, evidence: str
) -> None:
    add_frames("lost", "bias", GAIN=None)
    add_frames("lost", "flat", GAIN=None)
    add_frames("sound", evidence, 1)
    decision = decide(settings)
    assert decision.jobs == ()
    assert refused(decision)["lost"] == ["lacks GAIN"]
    assert decision.absent_keywords == {}


def test_excluded_frames_are_no_evidence(
    make_settings: MakeSettings, add_frames: AddFrames
) -> None:
    add_frames("lost", "bias", GAIN=None)
    add_frames("sound", "light", 1)
    assert len(decide(make_settings(exclude=["sound"])).jobs) == 1


@pytest.mark.parametrize("place", ["library", "output/masters/dark"])
def test_a_master_of_the_camera_is_evidence(
    make_settings: MakeSettings, add_frames: AddFrames, add_master: AddFile, place: str
) -> None:
    add_frames("lost", "bias", GAIN=None)
    add_master(f"{place}/masterDark.xisf", "dark")
    library = {"dark": [str(make_settings().input_dir.parent / "library")]}
    settings = make_settings(library=library if place == "library" else {})
    decision = decide(settings)
    assert decision.jobs == ()
    assert refused(decision) == {"lost": ["lacks GAIN"]}
    assert decision.suggested == {"assume_keywords": {"ATR585M": {"GAIN": 100}}}


def test_a_master_that_lacks_the_keyword_serves_flats_of_a_camera_that_never_writes_it(
    make_settings: MakeSettings, add_frames: AddFrames, add_master: AddFile, tmp_path: Path
) -> None:
    add_frames("flat", "flat", GAIN=None)
    add_master("library/masterBias.xisf", "bias", {"GAIN": None})
    (flat,) = decide(make_settings(library={"bias": [str(tmp_path / "library")]})).jobs
    assert flat.bias is not None
    assert flat.bias.origin == "library"


def test_with_refuse_frames_without_a_keyword_are_refused(
    make_settings: MakeSettings, add_frames: AddFrames
) -> None:
    add_frames("old", "bias", **OLD)
    decision = decide(make_settings(missing_keywords="refuse"))
    assert decision.jobs == ()
    assert refused(decision) == {"old": ["lacks GAIN, OFFSET"]}
    assert decision.suggested == {"missing_keywords": "by_camera"}


def test_masters_of_a_camera_without_a_keyword_stay_current(
    settings: Settings, add_frames: AddFrames, write_record: Callable[..., object]
) -> None:
    add_frames("old", "bias", **OLD)
    before = refresh_plan(settings)
    for job in before.jobs:
        write_record(job, settings.output_dir / job.master)
    after = refresh_plan(settings)
    assert [job.digest for job in after.jobs] == [job.digest for job in before.jobs]
    assert after.kept == ()
    plan = json.loads((settings.output_dir / PLAN).read_text(encoding="utf-8"))
    assert plan["absent_keywords"] == {"SBIG ST-7": ["GAIN", "OFFSET"]}


# --- frames without the name of their camera ------------------------------------------------------


def test_frames_of_a_camera_without_a_name_make_masters(
    settings: Settings, add_frames: AddFrames
) -> None:
    for kind in ("bias", "flat"):
        add_frames(kind, kind, INSTRUME=None)
    bias, flat = decide(settings).jobs
    assert "INSTRUME" not in bias.name
    assert flat.bias is not None


def test_frames_that_lost_the_name_of_their_camera_make_no_masters(
    settings: Settings, add_frames: AddFrames
) -> None:
    add_frames("nameless", "bias", INSTRUME=None)
    add_frames("named", "flat")
    decision = decide(settings)
    assert [job.type for job in decision.jobs] == ["flat"]
    assert refused(decision) == {"nameless": ["lacks INSTRUME"]}


# --- a keyword that appears later -----------------------------------------------------------------


def test_when_a_keyword_appears_the_masters_without_it_stay_and_are_reported(
    make_settings: MakeSettings, add_frames: AddFrames, add_master: AddFile
) -> None:
    settings = make_settings()
    for kind in ("bias", "flat"):
        add_frames(f"old_{kind}", kind, GAIN=None)
    before = refresh_plan(settings)
    for job in before.jobs:
        cards = {"GAIN": None, "DATE": "2026-01-15", "FILTER": "B", "EXPTIME": None}
        add_master(settings.output_dir / job.master, job.type, cards)

    add_frames("new_dark", "dark")
    after = refresh_plan(settings)
    assert [job.type for job in after.jobs] == ["dark"]
    assert all((settings.output_dir / job.master).exists() for job in before.jobs)
    assert after.kept == tuple(job.master for job in before.jobs)
    warning, kept = after.warnings
    assert "are kept: no frames in input_dir make them" in kept
    assert warning.startswith("output_dir: 2 masters have no GAIN, unlike other frames of ATR585M")
    assert warning.endswith('set assume_keywords: {"ATR585M": {"GAIN": 100}}')
    assert after.suggested == {"assume_keywords": {"ATR585M": {"GAIN": 100}}}

    assumed = decide(make_settings(**after.suggested))
    assert sorted(job.type for job in assumed.jobs) == ["bias", "dark", "flat"]
    assert all("GAIN-100" in name for name in names(assumed))
    # No record says that their frames make others now.
    (kept,) = assumed.warnings
    assert "are kept: no frames in input_dir make them" in kept
    sources = column_text(assumed.inventory["sources"])
    assert sources["old_bias/0.fits"] == "GAIN: assume_keywords"
    assert sources["new_dark/0.fits"] == ""


# --- suggestions ----------------------------------------------------------------------------------


def _float_bias(add_frames: AddFrames, high: float = 600, **cards: Any) -> None:
    """Bias frames of floats: ADU if the level is above 10."""
    for path in add_frames("float", "bias", **cards):
        header = fits.getheader(path)
        for card in ("BZERO", "BSCALE"):
            header.remove(card, ignore_missing=True)
        level = np.full((3, 4), high, np.float32)
        level[0, 0] = int(path.stem)
        fits.writeto(path, level, header, overwrite=True)


Case = Callable[[AddFrames], object]

#: Sessions of which a setting makes all frames usable: the setting, and the number of masters.
FIXED: dict[str, tuple[Case, dict[str, object], int]] = {
    "a lost GAIN": (
        lambda add: (add("lost", "bias", GAIN=None), add("sound", "light", 1)),
        {"assume_keywords": {"ATR585M": {"GAIN": 100}}},
        1,
    ),
    "two lost keywords of two types": (
        lambda add: (
            add("lost", "bias", GAIN=None),
            add("lost_both", "dark", GAIN=None, OFFSET=None),
            add("sound", "flat"),
        ),
        {"assume_keywords": {"ATR585M": {"GAIN": 100, "OFFSET": 150}}},
        3,
    ),
    "two cameras": (
        lambda add: [
            add(f"{camera}{gain}", "bias", INSTRUME=camera, GAIN=gain)
            for camera in ("A", "B")
            for gain in (None, 7)
        ],
        {"assume_keywords": {"A": {"GAIN": 7}, "B": {"GAIN": 7}}},
        2,
    ),
    "no name of the camera": (
        lambda add: (add("lost", "bias", INSTRUME=None, GAIN=None), add("sound", "flat")),
        {"assume_keywords": {"": {"INSTRUME": "ATR585M", "GAIN": 100}}},
        2,
    ),
    "a type in the name of the file": (
        lambda add: add("2026/dark-", "dark", IMAGETYP=None),
        {"types_from": ["header", "folder", "name"]},
        1,
    ),
    "no type and no GAIN": (
        lambda add: (add("2026/dark-", "dark", IMAGETYP=None, GAIN=None), add("sound", "bias")),
        {
            "types_from": ["header", "folder", "name"],
            "assume_keywords": {"ATR585M": {"GAIN": 100}},
        },
        2,
    ),
    "an unknown word for flats, and no GAIN": (
        lambda add: (add("dome", "flat", IMAGETYP="Ledflatpanel", GAIN=None), add("b", "bias")),
        {
            "type_words": {"flat": ["ledflatpanel"]},
            "assume_keywords": {"ATR585M": {"GAIN": 100}},
        },
        2,
    ),
    "float frames that may be ADU": (
        lambda add: _float_bias(add, 8),
        {"float_range": "adu16"},
        1,
    ),
    "float frames that may be ADU, of an unknown type": (
        lambda add: _float_bias(add, 8, IMAGETYP="my bias"),
        {"float_range": "adu16", "type_words": {"bias": ["mybias"]}},
        1,
    ),
}


@pytest.mark.parametrize(("session", "setting", "masters"), FIXED.values(), ids=FIXED)
def test_what_is_suggested_makes_the_masters(
    make_settings: MakeSettings,
    add_frames: AddFrames,
    session: Case,
    setting: dict[str, object],
    masters: int,
) -> None:
    session(add_frames)
    decision = refresh_plan(make_settings())
    assert decision.suggested == setting
    stored = make_settings().output_dir / SUGGESTED
    loaded = yaml.safe_load(stored.read_text(encoding="utf-8"))
    fixed = decide(make_settings(**loaded))
    assert len(fixed.jobs) == masters
    assert refused(fixed) == {}
    assert fixed.suggested == {}


#: Sessions with frames that no setting makes usable, or none that is known.
NOT_FIXED: dict[str, Case] = {
    "several values of GAIN": lambda add: [
        add(f"gain{gain}", "bias", GAIN=gain) for gain in (None, 100, 200)
    ],
    "no date": lambda add: add("undated", "flat", **UNDATED),
    "no exposure": lambda add: (
        add("timeless", "dark", EXPTIME=None, EXPOSURE=None),
        add("timed", "dark"),
    ),
    "too few frames": lambda add: add("few", "bias", 2),
    "an exposure that jitters": lambda add: [
        add(f"dark{number}", "dark", 1, EXPTIME=300 + number / 10, EXPOSURE=300 + number / 10)
        for number in range(2)
    ],
    "a calibrated frame without GAIN": lambda add: (
        add("calibrated", "flat", CALSTAT="B", GAIN=None),
        add("sound", "bias"),
    ),
    "a master": lambda add: add("stack", "bias", NCOMBINE=10),
    "a word that says nothing": lambda add: add("odd", "flat", IMAGETYP="sausage"),
    "float frames beyond 16 bits": lambda add: _float_bias(add, 70_000),
    "no type, and nothing that says it": lambda add: add("a", "dark", IMAGETYP=None),
}


@pytest.mark.parametrize("session", NOT_FIXED.values(), ids=NOT_FIXED)
def test_no_setting_is_suggested_that_is_not_the_right_remedy(
    settings: Settings, add_frames: AddFrames, session: Case
) -> None:
    session(add_frames)
    decision = refresh_plan(settings)
    assert refused(decision)
    assert decision.suggested == {}
    assert not (settings.output_dir / SUGGESTED).exists()


def test_warm_frames_are_to_be_retaken(make_settings: MakeSettings, add_frames: AddFrames) -> None:
    add_frames("warm", "bias", CCD__TEMP=20.0)
    decision = decide(make_settings(temperature={"action": "refuse"}))
    (remedy,) = {verdict.remedy for verdict in decision.verdicts.values()}
    assert remedy == "retake it after the sensor has cooled"
    assert decision.suggested == {}


def test_of_several_values_a_person_chooses(settings: Settings, add_frames: AddFrames) -> None:
    for gain in (None, 100, 200):
        add_frames(f"gain{gain}", "bias", GAIN=gain)
    remedy = decide(settings).verdicts["gainNone/0.fits"].remedy
    assert remedy == (
        "if all these were taken with GAIN 100 or 200, as other frames of ATR585M, set "
        'assume_keywords: {"ATR585M": {"GAIN": "VALUE"}}; otherwise name the card that has GAIN '
        "in keyword_aliases, or their folder GAIN_value"
    )
