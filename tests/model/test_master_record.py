from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from calmasters.errors import RecordError
from calmasters.frame import FrameType, Geometry
from calmasters.frame_layout import FrameLayout, FramePart, Section
from calmasters.headers.fits_cards import Card, CardValue
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import write_master
from calmasters.model.job import (
    FrameFile,
    LeftOut,
    MadeOf,
    MasterJob,
    Recipe,
    UsedMaster,
    read_made_of,
)
from calmasters.model.master_record import (
    FrameStatistics,
    MasterRecord,
    MasterStatistics,
    header_cards,
    small_group_warning,
    warnings_in,
)
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.settings import Calibration, Integration

FLAT = MasterJob(
    name="masterFlat_FILTER-B",
    type=FrameType.FLAT,
    keywords={
        "INSTRUME": "ATR585M",
        "SET-TEMP": -10.0,
        "GAIN": 100,
        "OFFSET": 150,
        "READOUTM": "Low Noise",
        "DATE": "2026-01-15",
        "FILTER": "B",
    },
    geometry=Geometry(4, 3, 2, 2, "RGGB"),
    frames=tuple(FrameFile(f"{number}.fits", 5760, number) for number in range(12)),
    header={
        "EXPTIME": 1.5,
        "EXPOSURE": 1.5,
        "EXPMIN": 1.36,
        "EXPMAX": 1.69,
        "CCD-TEMP": -9.9,
        "DATE-OBS": "2026-01-15T21:00:00",
        "TELESCOP": "Refractor 80",
    },
    recipe=Recipe("native", 7, Integration(), Calibration(), "unit", "xisf"),
    bias=UsedMaster("masters/bias/b.xisf", "run", "same settings"),
    dark=UsedMaster("/library/d.fits", "library", "longest exposure"),
    optimize_dark=True,
)
BIAS = replace(
    FLAT,
    name="masterBias",
    type=FrameType.BIAS,
    keywords={**FLAT.keywords, "FILTER": "Dark"},
    header={"EXPTIME": 0.0, "EXPOSURE": 0.0, "TELESCOP": "Refractor 80"},
    recipe=replace(FLAT.recipe, calibration=None),
    bias=None,
    dark=None,
    optimize_dark=False,
)


def values(cards: list[Card]) -> dict[str, CardValue]:
    return {card.keyword: card.value for card in cards if card.keyword != "HISTORY"}


def history(cards: list[Card]) -> list[CardValue]:
    return [card.value for card in cards if card.keyword == "HISTORY"]


@pytest.mark.parametrize("kind", [FrameType.BIAS, FrameType.DARK, FrameType.FLAT])
def test_the_type_is_written_as_other_programs_know_it(kind: FrameType) -> None:
    cards = values(header_cards(replace(FLAT, type=kind)))
    assert cards["IMAGETYP"] == f"Master {kind.value.capitalize()}"


def test_a_flat_carries_its_group_its_exposures_and_its_night() -> None:
    cards = values(header_cards(FLAT))
    group = {key: value for key, value in FLAT.keywords.items() if key != "DATE"}
    expected = {
        **group,
        **FLAT.header,
        "NIGHT": "2026-01-15",
        "XBINNING": 2,
        "YBINNING": 2,
        "BAYERPAT": "RGGB",
        "NCOMBINE": 12,
        "ENGINE": "native",
        "ALGOVER": 7,
        "REJECT": "WinsorizedSigmaClip",
        "NORMALIZ": "NoNormalization",
    }
    assert {key: cards.get(key) for key in expected} == expected
    assert str(cards["CREATOR"]).startswith("calmasters ")


def test_the_date_is_when_it_was_made() -> None:
    made = datetime.fromisoformat(str(values(header_cards(FLAT))["DATE"])).replace(tzinfo=UTC)
    assert timedelta(0) <= datetime.now(UTC) - made < timedelta(minutes=1)


def test_history_tells_the_rejection_the_masters_used_and_the_digest() -> None:
    assert history(header_cards(FLAT)) == [
        "sigmaLow: 4.0",
        "sigmaHigh: 3.0",
        "winsorizationCutoff: 5.0",
        "bias: masters/bias/b.xisf (run)",
        "dark: /library/d.fits (library)",
        "dark optimization: on",
        f"frames and recipe: {FLAT.digest}",
    ]


@pytest.mark.parametrize(
    ("rejection", "settings"),
    [
        ("NoRejection", []),
        ("MinMax", ["minMaxLow", "minMaxHigh"]),
        ("PercentileClip", ["pcClipLow", "pcClipHigh"]),
        ("SigmaClip", ["sigmaLow", "sigmaHigh"]),
        ("WinsorizedSigmaClip", ["sigmaLow", "sigmaHigh", "winsorizationCutoff"]),
        ("AveragedSigmaClip", ["sigmaLow", "sigmaHigh"]),
        ("LinearFit", ["linearFitLow", "linearFitHigh"]),
        ("Rejection_ESD", ["esdOutliersFraction", "esdAlpha", "esdLowRelaxation"]),
    ],
)
def test_only_the_settings_of_the_rejection_used_are_in_the_history(
    rejection: str, settings: list[str]
) -> None:
    integration = Integration(rejection=rejection)
    job = replace(BIAS, recipe=replace(BIAS.recipe, integration=integration))
    lines = [f"{name}: {getattr(integration, name)}" for name in settings]
    assert history(header_cards(job)) == [*lines, f"frames and recipe: {job.digest}"]


def test_type_and_exposure_of_a_group_are_written_as_the_header_of_the_job_has_them() -> None:
    job = replace(FLAT, keywords={"TYPE": "flat", "EXPOSURE": 1.4, "GAIN": 100}, header={})
    assert not {"TYPE", "EXPOSURE"} & set(values(header_cards(job)))
    assert values(header_cards(replace(job, header={"EXPOSURE": 1.5})))["EXPOSURE"] == 1.5


def test_cards_have_comments() -> None:
    job = replace(FLAT, header={**FLAT.header, "CAMERAID": "a", "ROTATOR": 90, "FLATKIND": "sky"})
    comments = {card.keyword: card.comment for card in header_cards(job)}
    words = {
        **{"INSTRUME": "camera", "FILTER": "filter", "CREATOR": "software", "ENGINE": "combined"},
        **{"SET-TEMP": "degC", "CCD-TEMP": "degC", "GAIN": "gain", "OFFSET": "offset"},
        **{"READOUTM": "mode", "NIGHT": "night", "EXPTIME": "median", "EXPOSURE": "median"},
        **{"EXPMIN": "shortest", "EXPMAX": "longest", "DATE-OBS": "UTC", "REJECT": "rejection"},
        **{"CAMERAID": "id", "ROTATOR": "deg", "FLATKIND": "kind", "XBINNING": "binning"},
    }
    found = {key: word for key, word in words.items() if word in re.split(r"\W+", comments[key])}
    assert found == words


@pytest.mark.parametrize(("x", "y"), [(0, 5), (8, 0), (8, 5)])
def test_the_position_on_the_sensor_is_written_where_it_is_not_0(x: int, y: int) -> None:
    cards = values(header_cards(replace(BIAS, geometry=Geometry(4, 3, xorigin=x, yorigin=y))))
    assert (cards["XORGSUBF"], cards["YORGSUBF"]) == (x, y)
    whole = header_cards(replace(BIAS, geometry=Geometry(4, 3, xorigin=0, yorigin=0)))
    assert not {"XORGSUBF", "YORGSUBF", "OVERSCAN", "TRIM", "NAMPS", "ROWORDER"} & set(
        values(whole)
    )


def test_reversed_rows_of_some_frames_are_written() -> None:
    frames = (*BIAS.frames[:-1], BIAS.frames[-1]._replace(read_as="signed, bottom-up"))
    assert values(header_cards(replace(BIAS, frames=frames)))["ROWORDER"] == "TOP-DOWN"


def test_an_overscan_and_a_cut_are_written() -> None:
    part = FramePart(Section(2, 6, 0, 3), overscan=(Section(0, 2, 0, 3), Section(6, 9, 0, 3)))
    for level, overscan in (("median", "[1:2,1:3],[7:9,1:3], median of each line"), ("", None)):
        job = replace(BIAS, geometry=Geometry(4, 3, layout=FrameLayout.of(4, 3, [part], level)))
        cards = values(header_cards(job))
        assert cards["TRIM"] == "[3:6,1:3]"
        assert cards.get("OVERSCAN") == overscan
        assert "NAMPS" not in cards


def test_amplifiers_are_written_with_their_places() -> None:
    overscan = (Section(2, 3, 0, 3),)
    parts = [
        FramePart(Section(0, 2, 0, 3), overscan=overscan, name="A"),
        FramePart(Section(0, 2, 0, 3), 2, 0, True, True, overscan, 1, "B"),
    ]
    layout = FrameLayout.of(4, 3, parts, "constant")
    cards = header_cards(replace(BIAS, geometry=Geometry(4, 3, layout=layout)))
    assert values(cards)["NAMPS"] == 2
    assert values(cards)["OVERSCAN"] == "of 2 amplifiers, one median"
    assert "TRIM" not in values(cards)
    assert [line for line in history(cards) if str(line).startswith("amplifier")] == [
        "amplifier A: [1:2,1:3] of image 1 is [1:2,1:3]",
        "amplifier B: [1:2,1:3] of image 2 is [3:4,1:3], columns and rows reversed",
    ]


def test_filter_telescope_and_night_are_on_flats_only() -> None:
    for job in (BIAS, replace(BIAS, type=FrameType.DARK)):
        assert not {"FILTER", "TELESCOP", "NIGHT"} & set(values(header_cards(job)))


def test_no_card_is_blank_or_has_no_value() -> None:
    job = replace(
        BIAS, keywords={"INSTRUME": "", "GAIN": 0}, geometry=Geometry(4, 3), header={"EXPTIME": 0.0}
    )
    cards = header_cards(job)
    assert all(card.keyword and card.value not in ("", None) for card in cards)
    assert not {"INSTRUME", "BAYERPAT"} & set(values(cards))
    assert {"GAIN": 0, "EXPTIME": 0.0}.items() <= values(cards).items()


def test_no_keyword_but_history_is_written_twice() -> None:
    keywords = [card.keyword for card in header_cards(FLAT) if card.keyword != "HISTORY"]
    assert len(keywords) == len(set(keywords))


@pytest.mark.parametrize("name", ["master.xisf", "master.fits"])
def test_every_card_comes_back_from_a_master_file(tmp_path: Path, name: str) -> None:
    cards = header_cards(FLAT)
    write_master(tmp_path / name, np.zeros((3, 4), np.float32), cards)
    found = read_cards(tmp_path / name)
    assert {key: found.get(key) for key in values(cards)} == values(cards)


def test_the_history_of_a_fits_master_is_readable_by_others(tmp_path: Path) -> None:
    cards = header_cards(FLAT)
    write_master(tmp_path / "m.fits", np.zeros((3, 4), np.float32), cards)
    assert [*fits.getheader(tmp_path / "m.fits")["HISTORY"]] == history(cards)


STATISTICS = MasterStatistics(
    frames=tuple(FrameStatistics(frame.path, 2, 3, 0.4, 1.01) for frame in FLAT.frames),
    mean=0.4,
    median=0.41,
    minimum=0.1,
    maximum=0.9,
    noise=1e-4,
    seconds=1.5,
    versions={"calmasters": "0.1.0"},
    warnings=(MasterWarning(WarningKind.SAMPLES, "few samples"),),
)


NO_DARK = MasterWarning(WarningKind.CALIBRATION, "no dark-flat")


def written(job: MasterJob, statistics: MasterStatistics, folder: Path) -> dict[str, Any]:
    (folder / "m.xisf").write_text("pixels")
    MasterRecord.of(job, statistics).write(folder / "m.xisf")
    stored: dict[str, Any] = json.loads((folder / "m.json").read_text(encoding="utf-8"))
    return stored


def test_a_record_says_what_a_master_was_made_of_and_has_its_numbers(tmp_path: Path) -> None:
    job = replace(FLAT, warnings=(NO_DARK,), left_out=(LeftOut("a.fits", "is cut"),))
    stored = written(job, STATISTICS, tmp_path)
    expected = {
        "version": 1,
        "master": "masters/flat/masterFlat_FILTER-B.xisf",
        "type": "flat",
        "digest": FLAT.digest,
        "master_bytes": 6,
        "frames_used": 12,
        "rejected_low": 24,
        "rejected_high": 36,
        "optimize_dark": True,
        "mean": 0.4,
        "noise": 1e-4,
        "seconds": 1.5,
        "versions": {"calmasters": "0.1.0"},
        "warnings": [
            {"kind": "calibration", "text": "no dark-flat"},
            {"kind": "samples", "text": "few samples"},
        ],
        "left_out": [{"path": "a.fits", "reason": "is cut", "outlier": False}],
    }
    assert {key: stored.get(key) for key in expected} == expected
    assert stored["frames"][0] == {
        **{"path": "0.fits", "size": 5760, "mtime_ns": 0, "content": "", "read_as": ""},
        **{"low": 2, "high": 3, "location": 0.4, "k": 1.01, "difference": ""},
    }
    assert (stored["bias"]["origin"], stored["dark"]["path"]) == ("run", "/library/d.fits")
    assert stored["recipe"]["integration"]["sigmaLow"] == 4.0


@pytest.mark.parametrize("in_all", [7, None])
def test_counts_that_an_engine_does_not_give_by_frame_are_null(
    in_all: int | None, tmp_path: Path
) -> None:
    frames = tuple(FrameStatistics(frame.path, None, None) for frame in FLAT.frames)
    statistics = replace(STATISTICS, frames=frames, rejected_low=in_all, rejected_high=in_all)
    stored = written(FLAT, statistics, tmp_path)
    assert (stored["rejected_low"], stored["rejected_high"]) == (in_all, in_all)
    assert stored["frames"][0]["low"] is None


def test_a_record_comes_back_equal(tmp_path: Path) -> None:
    job = replace(FLAT, warnings=(NO_DARK,), left_out=(LeftOut("a.fits", "is cut"),))
    record = MasterRecord.of(job, STATISTICS)
    (tmp_path / "m.xisf").write_text("pixels")
    record.write(tmp_path / "m.xisf")
    again = MasterRecord.read(tmp_path / "m.json")
    assert json.loads(json.dumps(again.recipe)) == json.loads(json.dumps(record.recipe))
    assert replace(again, recipe={}) == replace(record, recipe={})
    assert read_made_of(tmp_path / "m.json") == job.made_of


def test_a_record_of_an_older_version_can_be_read(tmp_path: Path) -> None:
    stored = written(FLAT, STATISTICS, tmp_path)
    for added in ("bias_job", "dark_job", "master_bytes"):
        del stored[added]
    for kind in ("bias", "dark"):
        del stored[kind]["job"]
    stored["warnings"] = ["levels: few frames", "no dark matches"]
    stored["recipe"]["integration"]["a setting of another version"] = 1
    (tmp_path / "m.json").write_text(json.dumps(stored), encoding="utf-8")
    record = MasterRecord.read(tmp_path / "m.json")
    assert record.made_of == MadeOf(FLAT.digest)
    assert [warning.kind for warning in record.warnings] == [WarningKind.LEVEL, WarningKind.OTHER]
    assert record.frames[0].file == FLAT.frames[0]


@pytest.mark.parametrize("damage", ["", "[]", "{}", "null", '{"version": 1}', "\0"])
def test_a_damaged_record_cannot_be_taken_for_one(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "m.json"
    path.write_text(damage)
    with pytest.raises(RecordError, match="is not the record of a master"):
        MasterRecord.read(path)


def test_a_job_is_cut_down_to_the_frames_that_were_combined() -> None:
    record = MasterRecord.of(FLAT, replace(STATISTICS, frames=STATISTICS.frames[2:]))
    assert record.with_used_frames(FLAT).frames == FLAT.frames[2:]


def warned(job: MasterJob, **statistics: Any) -> list[str]:
    record = MasterRecord.of(replace(job, warnings=()), replace(STATISTICS, **statistics))
    return [warning.text for warning in record.warnings[len(STATISTICS.warnings) :]]


def test_frames_that_an_engine_left_out_are_a_warning() -> None:
    one, two = LeftOut("a.fits", "every pixel is 0"), LeftOut("b.fits", "is truncated")
    assert warned(FLAT, left_out=(one,)) == [
        "1 frame left out when combining: a.fits: every pixel is 0"
    ]
    assert warned(FLAT, left_out=(one, two)) == [
        "2 frames left out when combining: a.fits: every pixel is 0, and 1 more (see its JSON file)"
    ]


@pytest.mark.parametrize(
    ("kind", "level_adu", "count"),
    [
        ("bias", 13108, 1),
        ("bias", 13106, 0),
        ("dark", 40001, 1),
        ("dark", 21000, 0),
        ("flat", 5e4, 0),
    ],
)
def test_a_bias_or_dark_as_bright_as_a_flat_is_a_warning(
    kind: str, level_adu: float, count: int
) -> None:
    job = replace(FLAT, type=FrameType(kind), bias=None, dark=None)
    found = warned(job, median=level_adu / 65535)
    assert len(found) == count
    assert all(f"{level_adu:.0f} ADU is that of exposed frames" in text for text in found)


@pytest.mark.parametrize(
    ("count", "loss"),
    [(2, None), (3, (2.3, 3.2)), (4, (2.3, 3.2)), (5, (1.3, 2.0)), (9, (1.3, 2.0)), (10, None)],
)
def test_a_group_so_small_that_good_samples_are_rejected_is_a_warning(
    count: int, loss: tuple[float, float] | None
) -> None:
    job = replace(BIAS, frames=BIAS.frames[:count])
    warning = small_group_warning(job)
    assert (warning is None) == (loss is None)
    if warning and loss:
        assert warning.text == (
            f"of {count} frames the rejection takes up to {loss[0]} % of good samples as too low"
            f" and {loss[1]} % as too high; take 10 or more"
        )
    # What other methods and limits take was not measured.
    for changes in ({"rejection": "SigmaClip"}, {"sigmaLow": 4.5}, {"sigmaHigh": 2.5}):
        recipe = replace(job.recipe, integration=replace(Integration(), **changes))
        assert small_group_warning(replace(job, recipe=recipe)) is None


def test_the_warnings_of_a_record_are_read_and_of_none_there_are_none(tmp_path: Path) -> None:
    stored = written(replace(FLAT, warnings=(NO_DARK,)), STATISTICS, tmp_path)
    count = len(stored["warnings"])
    assert stored["warning_count"] == count > 0
    assert NO_DARK in warnings_in(tmp_path / "m.json")
    assert len(warnings_in(tmp_path / "m.json")) == count
    # The count decides: the rest of a record without warnings is not read.
    path = tmp_path / "none.json"
    path.write_text(json.dumps({**stored, "warning_count": 0}, indent=1), encoding="utf-8")
    assert warnings_in(path) == []
    del stored["warning_count"]
    path.write_text(json.dumps(stored, indent=1), encoding="utf-8")
    assert len(warnings_in(path)) == count
    assert warnings_in(tmp_path / "missing.json") == []
