"""Sessions whose types are in folders or file names, or contradict their headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from calmasters.frame import Status, Value
from calmasters.planning.planner import decide
from calmasters.settings import Settings

MakeSettings = Callable[..., Settings]
AddFrame = Callable[..., Path]

NO_TYPE: Mapping[str, Value | None] = {"IMAGETYP": None}
LIGHT: Mapping[str, Value | None] = {"IMAGETYP": "Light Frame"}


def used(settings: Settings) -> dict[str, int]:
    """The number of frames that are used, by type."""
    return {job.type.value: len(job.frames) for job in decide(settings).jobs}


def session(add: AddFrame, names: str, kind: str, cards: Mapping[str, Value | None]) -> None:
    for number in range(4):
        add(names.format(number), kind, cards)


@pytest.mark.parametrize(
    ("bias", "flat"),
    [
        ("20160309/bias_{:03}.fits", "20160309/Flat_{:03}.fits"),
        ("2019-09-20_Bias_M1_{:03}.fits", "2019-09-20_Flat_600_{:03}.fits"),
    ],
    ids=["CCDOPS", "Andor Solis"],
)
def test_types_in_file_names_are_used_with_one_setting(
    make_settings: MakeSettings, add_frame: AddFrame, bias: str, flat: str
) -> None:
    session(add_frame, bias, "bias", NO_TYPE)
    session(add_frame, flat, "flat", NO_TYPE)
    session(add_frame, "20160309/Target_{:03}.fits", "light", NO_TYPE)
    assert used(make_settings()) == {}
    settings = make_settings(types_from=["header", "name"])
    assert used(settings) == {"bias": 4, "flat": 4}
    verdicts = decide(settings).verdicts
    assert verdicts["20160309/Target_000.fits"].status is Status.REFUSED


def test_flats_that_were_taken_as_lights_are_reported_and_used_with_the_setting(
    make_settings: MakeSettings, add_frame: AddFrame
) -> None:
    session(add_frame, "Bias/b_{}.fits", "bias", {})
    session(add_frame, "Flats/f_{}.fits", "flat", LIGHT)
    session(add_frame, "M31/m_{}.fits", "light", LIGHT)
    settings = make_settings()
    verdicts = decide(settings).verdicts
    flat, light = verdicts["Flats/f_0.fits"], verdicts["M31/m_0.fits"]
    assert flat.reason == "type light, but its folder 'Flats' says flat"
    assert (light.reason, light.remedy, light.settings) == ("type light", "", {})
    assert used(settings) == {"bias": 4}
    assert used(make_settings(**flat.settings)) == {"bias": 4, "flat": 4}


def test_flats_named_as_such_that_were_taken_as_lights_are_used_with_the_setting(
    make_settings: MakeSettings, add_frame: AddFrame
) -> None:
    session(add_frame, "bias_{}.fits", "bias", {})
    session(add_frame, "flat-_{}.fits", "flat", LIGHT)
    session(add_frame, "m51-_{}.fits", "light", LIGHT)
    flat = decide(make_settings()).verdicts["flat-_0.fits"]
    assert flat.reason == "type light, but its file name says flat"
    assert flat.settings == {"types_from": ["name", "header", "folder"]}
    assert used(make_settings(**flat.settings)) == {"bias": 4, "flat": 4}


def test_settings_in_the_names_of_folders_give_no_type(
    make_settings: MakeSettings, add_frame: AddFrame
) -> None:
    folder = "DATE_2026-01-15_INSTRUME_ATR585M_OFFSET_150_READOUTM_Low Noise"
    session(add_frame, f"{folder}/x_{{}}.fits", "flat", NO_TYPE)
    assert used(make_settings()) == {}
    session(add_frame, f"FLAT/{folder}/y_{{}}.fits", "flat", NO_TYPE)
    assert used(make_settings()) == {"flat": 4}


def test_folders_above_the_frames_give_no_type(
    make_settings: MakeSettings, tmp_path: Path, add_frame: AddFrame
) -> None:
    session(add_frame, "Darks/2026/x_{}.fits", "dark", NO_TYPE)
    assert used(make_settings()) == {"dark": 4}
    assert used(make_settings(input_dir=str(tmp_path / "frames" / "Darks"))) == {}


@pytest.mark.parametrize(("kind", "word"), [("bias", "偏置"), ("flat", "平场")])
def test_a_word_that_is_not_ascii_can_be_pasted_from_the_remedy(
    make_settings: MakeSettings, add_frame: AddFrame, kind: str, word: str
) -> None:
    for number in range(4):
        frame = add_frame(f"{number}.fits", kind, {"IMAGETYP": "@@@@@@"})
        frame.write_bytes(frame.read_bytes().replace(b"@@@@@@", word.encode()))
    remedy = decide(make_settings()).verdicts["0.fits"].remedy
    assert f'set type_words: {{"{kind}": ["{word}"]}}, or' in remedy
    pasted = yaml.safe_load(remedy.partition("set ")[2].partition(", or")[0])
    assert used(make_settings(**pasted)) == {kind: 4}


@pytest.mark.parametrize(("folder", "is_used"), [("Offsets", True), ("2026", False)])
def test_folders_of_a_library_give_a_type_but_not_those_above_it(
    make_settings: MakeSettings,
    add_frame: AddFrame,
    add_master: Callable[..., Path],
    tmp_path: Path,
    folder: str,
    is_used: bool,
) -> None:
    session(add_frame, "Flats/f_{}.fits", "flat", {})
    library = tmp_path / "Bias library"
    stacked: dict[str, Any] = {"IMAGETYP": None, "STACKCNT": 10}
    add_master(library / folder / "stack.xisf", "bias", stacked)
    (job,) = decide(make_settings(library={"bias": [str(library)]})).jobs
    assert (job.bias is not None) == is_used


def test_a_bad_folder_is_left_out_with_the_pattern_of_its_warning(
    make_settings: MakeSettings, add_frame: AddFrame
) -> None:
    session(add_frame, "Bias/b_{}.fits", "bias", {})
    session(add_frame, "Bias/BAD/b_{}.fits", "bias", {})
    settings = make_settings()
    assert used(settings) == {"bias": 8}
    warned = [frame for frame in decide(settings).frames if frame.warnings]
    assert {frame.path for frame in warned} == {f"Bias/BAD/b_{number}.fits" for number in range(4)}
    assert 'exclude: ["BAD"]' in warned[0].warnings[0]
    assert used(make_settings(exclude=["BAD"])) == {"bias": 4}


def test_damaged_camera_raws_are_refused_with_a_remedy(
    make_settings: MakeSettings, add_frame: AddFrame, tmp_path: Path
) -> None:
    session(add_frame, "b_{}.fits", "bias", {})
    for name in ("IMG_1.CR2", "IMG_2.NEF"):
        (tmp_path / "frames" / name).write_bytes(b"x" * 5000)
    decision = decide(make_settings())
    raws = [decision.verdicts[name] for name in ("IMG_1.CR2", "IMG_2.NEF")]
    assert {verdict.status for verdict in raws} == {Status.REFUSED}
    assert raws[0].reason.startswith("is no camera raw that LibRaw can read; copy such raws again")
    assert raws[0].remedy == raws[1].remedy
    assert len(decision.inventory) == 6
