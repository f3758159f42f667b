"""Pixels that jump between two levels, planted in synthetic darks."""

from __future__ import annotations

import numpy as np
import pytest

from calmasters.quality.sample import FrameSample
from calmasters.quality.telegraph import telegraph_share

NOISE = 5.0
SHAPE = (128, 256)


def darks(count: int, seed: int, hot: float = 0.02) -> np.ndarray:
    """Darks whose hot pixels have up to 30 times the noise of the others."""
    random = np.random.default_rng(seed)
    sigma = np.full(SHAPE, NOISE)
    is_hot = random.random(SHAPE) < hot
    sigma[is_hot] *= 30 ** random.random(np.count_nonzero(is_hot))
    return 600 + random.normal(size=(count, *SHAPE)) * sigma


def share(frames: np.ndarray) -> float | None:
    sample = FrameSample(frames.astype(np.float32), tuple(range(SHAPE[0])))
    return telegraph_share(sample, NOISE).value


@pytest.mark.parametrize("count", [8, 10, 15, 30])
def test_pixels_that_do_not_jump_are_not_counted(count: int) -> None:
    counted = [share(darks(count, seed)) for seed in range(20)]
    assert None not in counted
    # 2 % of 20 x 32768 pixels are hot; one in 10,000 of these may be counted.
    assert sum(filter(None, counted)) * SHAPE[0] * SHAPE[1] <= 6


@pytest.mark.parametrize(("count", "jump"), [(10, 20.0), (20, 15.0)])
def test_planted_pixels_are_found(count: int, jump: float) -> None:
    frames = darks(count, 1, hot=0.0)
    random = np.random.default_rng(2)
    planted = random.random(SHAPE) < 0.005
    frames += jump * NOISE * planted * (random.random(frames.shape) < 0.5)
    states = frames[:, planted] > 600 + jump * NOISE / 2
    # Those that can be seen: each level at least twice, and at least two changes.
    seen = (np.minimum(states.sum(0), count - states.sum(0)) >= 2) & (
        np.count_nonzero(states[1:] != states[:-1], axis=0) >= 2
    )
    found = share(frames)
    assert found == pytest.approx(seen.sum() / planted.size, rel=0.03)


def test_cosmic_rays_steps_and_slow_changes_are_no_jumps() -> None:
    count = 12
    frames = darks(count, 3)
    random = np.random.default_rng(4)
    time = np.arange(count)[:, None, None]
    hit = random.random(frames.shape) < 0.002
    frames += 5000 * hit * (np.cumsum(hit, axis=0) == 1)
    frames[:, 20:40] += (time > 5) * 300.0
    frames[:, 60:80] += time * 40.0
    found = share(frames)
    assert found is not None
    assert found * SHAPE[0] * SHAPE[1] <= 3


def test_a_change_of_temperature_is_not_counted_as_jumps() -> None:
    frames = darks(12, 5)
    warm = np.array([0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1])[:, None, None]
    hot = np.random.default_rng(6).random(SHAPE) < 0.01
    sample = FrameSample((frames + 200 * warm * hot).astype(np.float32), tuple(range(SHAPE[0])))
    estimate = telegraph_share(sample, NOISE)
    assert estimate.value is None
    assert "same frames" in estimate.reason


def test_too_few_darks_give_a_reason() -> None:
    sample = FrameSample(darks(7, 0).astype(np.float32), tuple(range(SHAPE[0])))
    assert "at least 8 darks" in telegraph_share(sample, NOISE).reason
