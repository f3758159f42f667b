"""Dark current against temperature, of masters of a run and of a library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from calmasters.frame import Frame, FrameType, Geometry, Traits, Value
from calmasters.headers.fits_cards import Card
from calmasters.images.master_file import write_master
from calmasters.model.job import MasterJob, Recipe
from calmasters.model.master_record import MasterRecord
from calmasters.quality.quality_record import FrameQuality, Histogram, Level, QualityRecord
from calmasters.quality.sample import ADU
from calmasters.reporting.masters import Master
from calmasters.reporting.pictures import Pictures
from calmasters.reporting.temperature import dark_temperatures, gain_of
from calmasters.settings import Integration

KEYWORDS = ("INSTRUME", "SET-TEMP", "GAIN")
DOUBLING_C = 6.0
RECIPE = Recipe("native", 1, Integration(), None, "unit", "xisf")
NO_PICTURES = Pictures(*[Path()] * 4)


def current(temperature_c: float) -> float:
    """Dark current of the simulated camera, ADU/s."""
    return float(0.5 * 2 ** (temperature_c / DOUBLING_C))


def master(kind: FrameType, temperature_c: float, exposure_s: float, gain: float | None) -> Master:
    keywords: dict[str, Value] = {"TYPE": kind.value, "INSTRUME": "A", "SET-TEMP": temperature_c}
    header: dict[str, Value] = {"CCD-TEMP": temperature_c, "EXPTIME": exposure_s}
    level = 600 + exposure_s * current(temperature_c)
    frames = [
        FrameQuality(f"{number}.fits", "", level + noise, None, None, "")
        for number, noise in enumerate((-0.2, 0.1, 0.0, 0.1))
    ]
    numbers = {"level_adu": level}
    if gain and kind is FrameType.DARK:
        rate = current(temperature_c)
        numbers |= {"dark_current_adu_s": rate, "dark_current_e_s": gain * rate}
    quality = QualityRecord(
        *("m", "m.xisf", kind.value, "d", Level.GOOD, numbers, {}, [], frames, []),
        Histogram([], []),
    )
    job = MasterJob("m", kind, keywords, Geometry(8, 6), (), header, RECIPE)
    return Master(job, quality, cast(MasterRecord, None), NO_PICTURES)


def library_master(folder: Path, kind: str, temperature_c: float, exposure_s: float) -> Frame:
    path = folder / f"{kind}{temperature_c}_{exposure_s}.xisf"
    level = (600 + exposure_s * current(temperature_c)) / ADU
    write_master(path, np.full((6, 8), level, np.float32), [Card("IMAGETYP", "Master")])
    keywords = {"TYPE": kind, "INSTRUME": "A", "SET-TEMP": temperature_c, "EXPOSURE": exposure_s}
    return Frame(str(path), 1, 1, Traits(keywords, master=True, geometry=Geometry(8, 6)))


def run(temperatures: Sequence[float], gain: float | None = None) -> list[Master]:
    return [
        master(*each, gain)
        for temperature in temperatures
        for each in ((FrameType.BIAS, temperature, 0.0), (FrameType.DARK, temperature, 300.0))
    ]


@pytest.mark.parametrize(("gain", "unit"), [(None, "ADU/s"), (0.5, "e-/s")])
def test_masters_of_several_set_points_give_the_doubling_temperature(
    gain: float | None, unit: str
) -> None:
    (found,) = dark_temperatures(run((-10.0, 0.0, 10.0), gain), [], KEYWORDS)
    assert found.unit == unit
    for each in found.currents:
        expected = current(each.temperature_c) * (gain or 1.0)
        assert each.current == pytest.approx(expected, rel=1e-3)
    assert found.doubling.known
    value, error = found.doubling.known
    assert value == pytest.approx(DOUBLING_C, rel=0.01)
    assert 0 < error < 0.3
    assert found.setting == "INSTRUME A, 8x6 binned 1x1"


def test_masters_of_a_library_count_too(tmp_path: Path) -> None:
    library = [
        library_master(tmp_path, *each)
        for each in (("bias", 0.0, 0.0), ("dark", 0.0, 120.0), ("dark", 10.0, 60.0))
    ]
    other = library_master(tmp_path, "dark", 10.0, 300.0)
    # One exposure alone says nothing about a temperature; two do.
    (one,) = dark_temperatures(run((-10.0,)), library, KEYWORDS)
    assert [each.temperature_c for each in one.currents] == [-10, 0]
    (both,) = dark_temperatures(run((-10.0,)), [*library, other], KEYWORDS)
    assert [each.temperature_c for each in both.currents] == [-10, 0, 10]
    assert both.doubling.value == pytest.approx(DOUBLING_C, rel=0.02)


def test_masters_of_another_camera_do_not_count(tmp_path: Path) -> None:
    frame = library_master(tmp_path, "dark", 0.0, 120.0)
    keywords = {**frame.keywords, "INSTRUME": "B"}
    other = frame._replace(traits=Traits(keywords, master=True, geometry=Geometry(8, 6)))
    (found,) = dark_temperatures(run((-10.0,)), [other], KEYWORDS)
    assert len(found.currents) == 1
    assert "two or more set-points" in found.doubling.reason


def test_masters_of_a_library_that_say_too_little_do_not_count(tmp_path: Path) -> None:
    frame = library_master(tmp_path, "dark", 0.0, 120.0)

    def changed(**changes: object) -> Frame:
        traits = {"keywords": frame.keywords, "master": True, "geometry": frame.geometry}
        return frame._replace(traits=Traits(**{**traits, **changes}))

    keywords = {key: value for key, value in frame.keywords.items() if key != "EXPOSURE"}
    (tmp_path / "damaged.xisf").write_bytes(b"XISF0100")
    unusable = [
        changed(master=False),
        changed(geometry=None),
        changed(geometry=Geometry(9, 6)),
        changed(keywords={**frame.keywords, "TYPE": "flat"}),
        changed(keywords=keywords),
        changed(keywords={**frame.keywords, "EXPOSURE": 0.0}),
        frame._replace(path=str(tmp_path / "damaged.xisf")),
    ]
    (found,) = dark_temperatures(run((-10.0,)), unusable, KEYWORDS)
    assert [each.temperature_c for each in found.currents] == [-10]
    (found,) = dark_temperatures(
        run((-10.0,)), [frame, library_master(tmp_path, "bias", 0.0, 0.0)], KEYWORDS
    )
    assert [each.temperature_c for each in found.currents] == [-10, 0]


def test_darks_without_an_exposure_or_a_temperature_do_not_count() -> None:
    dark = master(FrameType.DARK, 0.0, 300.0, None)
    jobs = [
        replace(dark.job, header={"CCD-TEMP": 0.0}),
        replace(dark.job, header={"EXPTIME": 300.0}, keywords={"TYPE": "dark", "INSTRUME": "A"}),
    ]
    without = [replace(dark, job=job) for job in jobs]
    found = dark_temperatures(without, [], KEYWORDS)
    assert [currents for each in found for currents in each.currents] == []


def test_a_setting_without_darks_is_not_listed() -> None:
    assert dark_temperatures([master(FrameType.BIAS, 0.0, 0.0, None)], [], KEYWORDS) == []


def test_the_gain_follows_from_numbers_in_both_units() -> None:
    assert gain_of(master(FrameType.DARK, 0.0, 300.0, 0.5)) == pytest.approx(0.5)
    assert gain_of(master(FrameType.DARK, 0.0, 300.0, None)) is None
