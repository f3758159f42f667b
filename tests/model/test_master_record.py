from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from calmasters.frame import FrameType, Geometry
from calmasters.headers.fits_cards import Card, CardValue
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import write_master
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.model.master_record import (
    FrameStatistics,
    MasterStatistics,
    header_cards,
    statistics_json,
)
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


@pytest.mark.parametrize("rejection", ["NoRejection", "MinMax", "LinearFit", "Rejection_ESD"])
def test_only_the_settings_of_the_rejection_used_are_told(rejection: str) -> None:
    integration = Integration(rejection=rejection)
    job = replace(BIAS, recipe=replace(BIAS.recipe, integration=integration))
    told = [str(line).split(":")[0] for line in history(header_cards(job))]
    assert told[-1] == "frames and recipe"
    assert {"NoRejection": 0, "MinMax": 2, "LinearFit": 2, "Rejection_ESD": 3}[rejection] == len(
        told[:-1]
    )


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
    warnings=("few frames",),
)


def test_the_json_beside_a_master_tells_what_it_is_made_of_and_its_numbers() -> None:
    job = replace(FLAT, warnings=("no dark-flat",))
    told = json.loads(statistics_json(job, STATISTICS))
    expected = {
        "version": 1,
        "master": "masters/flat/masterFlat_FILTER-B.xisf",
        "type": "flat",
        "digest": FLAT.digest,
        "frames_used": 12,
        "rejected_low": 24,
        "rejected_high": 36,
        "optimize_dark": True,
        "mean": 0.4,
        "noise": 1e-4,
        "seconds": 1.5,
        "versions": {"calmasters": "0.1.0"},
        "warnings": ["no dark-flat", "few frames"],
    }
    assert {key: told.get(key) for key in expected} == expected
    assert told["frames"][0] == {
        **{"path": "0.fits", "size": 5760, "mtime_ns": 0, "content": ""},
        **{"low": 2, "high": 3, "location": 0.4, "k": 1.01},
    }
    assert (told["bias"]["origin"], told["dark"]["path"]) == ("run", "/library/d.fits")
    assert told["recipe"]["integration"]["sigmaLow"] == 4.0


@pytest.mark.parametrize("in_all", [7, None])
def test_what_an_engine_does_not_tell_of_each_frame_is_null(in_all: int | None) -> None:
    frames = tuple(FrameStatistics(frame.path, None, None) for frame in FLAT.frames)
    statistics = replace(STATISTICS, frames=frames, rejected_low=in_all, rejected_high=in_all)
    told = json.loads(statistics_json(FLAT, statistics))
    assert (told["rejected_low"], told["rejected_high"]) == (in_all, in_all)
    assert told["frames"][0]["low"] is None
