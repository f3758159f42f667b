"""What weakens a master is told, at the limits that are told, and once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.native.reference import integrate_pixel
from calmasters.engines.result_warnings import weak_dark, weak_factors, weak_flats
from calmasters.frame import FrameType
from calmasters.model.job import FrameFile
from calmasters.model.master_record import small_group_warning
from calmasters.model.master_warning import WarningKind
from calmasters.settings import Integration


@pytest.mark.parametrize(
    ("levels", "says"),
    [
        ((0.3, 0.31, 0.3), None),
        ((0.2, 0.4, 0.3), None),
        ((0.19, 0.4, 0.3), "b is 2.1 times as bright as a"),
        ((0.009, 0.012, 0.01), "a has 590 ADU: expose flats longer"),
        ((0.7, 0.81, 0.8), "b is at 81% of white: expose flats shorter"),
    ],
)
def test_flats_are_to_be_alike_and_well_exposed(
    levels: tuple[float, ...], says: str | None
) -> None:
    warnings = list(weak_flats("abc", levels))
    assert len(warnings) == (says is not None)
    assert all(says in warning.text for warning in warnings)
    assert all(warning.kind is WarningKind.LEVEL for warning in warnings)


@pytest.mark.parametrize(
    ("signal_adu", "says"),
    [
        *((-19.9, None), (0, None), (2999, None)),
        (-21, "21 ADU fainter than the bias"),
        (3001, "3001 ADU brighter than the bias: light came in"),
    ],
)
def test_a_dark_is_to_go_with_its_bias(signal_adu: float, says: str | None) -> None:
    told = list(weak_dark(signal_adu))
    assert len(told) == (says is not None)
    assert all(says in warning.text for warning in told)


def test_factors_outside_of_what_is_plausible_are_counted() -> None:
    (warning,) = weak_factors([0.05, 1.0, 3.5, None])
    assert "for 2 of 4 frames (0.050 to 3.500)" in warning.text
    assert not [*weak_factors([0.11, 2.9, None])]


def files(count: int) -> tuple[FrameFile, ...]:
    return tuple(FrameFile(f"{number}.fits", 1, 1) for number in range(count))


@pytest.mark.parametrize(("count", "percent"), [(3, 2.3), (4, 2.3), (5, 1.3), (9, 1.3)])
def test_groups_that_lose_good_samples_are_told(site, count: int, percent: float) -> None:
    warning = small_group_warning(site.job(files(count), (4, 3)))
    assert f"of {count} frames the rejection takes up to {percent} % of good" in warning.text


@pytest.mark.parametrize("count", [3, 5])
def test_so_many_good_samples_are_lost(site, count: int) -> None:
    stacks = np.random.default_rng(11).normal(0.5, 0.01, (5000, count)).astype(np.float32)
    fates = np.array([integrate_pixel(stack, stack, Integration()).fates for stack in stacks])
    lost = [100 * (fates == side).mean() for side in (1, 2)]
    warning = small_group_warning(site.job(files(count), (4, 3)))
    said = [float(word) for word in warning.text.split() if word.replace(".", "", 1).isdigit()][1:3]
    assert sorted(lost) == pytest.approx(said, rel=0.2)


def test_large_groups_and_other_ways_of_rejection_are_not_told_of(site) -> None:
    job = site.job(files(10), (4, 3))
    assert small_group_warning(job) is None
    for change in ({"rejection": "NoRejection"}, {"sigmaHigh": 5.0}):
        other = replace(job.recipe, integration=Integration(**change))
        assert small_group_warning(replace(job, frames=files(3), recipe=other)) is None


def test_the_engine_tells_of_a_light_among_flats_and_of_a_dark_in_the_light(site) -> None:
    rng = np.random.default_rng(5)
    images = rng.integers(20_000, 22_000, (4, 40, 40)).astype(np.uint16)
    images[2] = rng.integers(6_000, 6_100, (40, 40))
    bias = site.master(np.full((40, 40), 500 / 65535), "bias.fits")
    dark = site.master(np.full((40, 40), 5000 / 65535), "dark.fits")
    job = site.job(site.write(images), (40, 40), FrameType.FLAT, bias=bias, dark=dark)
    NativeEngine(1).make(job, site.input_dir, site.output_dir, site.output, site.log)
    told = site.log.read_text()
    assert "times as bright as frame002.fits" in told
    assert "4500 ADU brighter than the bias" in told
