"""Measure how far gain, read noise, white and linearity are from the truth.

    python benchmarks/gain.py                   # 100 cameras of each kind, 256x256
    python benchmarks/gain.py --seeds 20 "soft white"

Each line is one kind of camera: how many have a number, the mean error and its own error, the
largest error, and the share of estimates within twice the stated uncertainty. The lines below it
are the reasons where there is no number.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np

from calmasters.frame import Geometry
from calmasters.headers.amplifiers import Amplifier
from calmasters.quality import noise_by_region
from calmasters.quality.estimate import Estimate
from calmasters.quality.regions import regions_of
from calmasters.synthetic.photon_camera import PhotonCamera

PROCESSES: Final = 2
NUMBERS: Final = ("gain_e_adu", "read_noise_adu", "white_adu", "nonlinearity_percent")


@dataclass(frozen=True)
class Kind:
    """A kind of camera and of flats.

    ``exposures`` says whether the flats' levels follow their exposures; ``change`` names what a
    driver does to the frames.
    """

    camera: PhotonCamera = field(default_factory=PhotonCamera)
    levels: Sequence[float] = (20_000.0,) * 6
    lamp: float = 0.0
    tilt: float = 0.0
    bias: int = 12
    used_bias: bool = True
    exposures: bool = False
    bayer: str | None = None
    amplifiers: int = 1
    saturate: float | None = None
    change: str = ""


def ramp(first: float, last: float, count: int) -> tuple[float, ...]:
    """Return levels that rise evenly."""
    return tuple(np.linspace(first, last, count).tolist())


def kinds() -> dict[str, Kind]:
    """Return all kinds by name."""
    moving = {"lamp": 0.1, "tilt": 0.05}
    soft = PhotonCamera(soft_white=34_000)
    return {
        "plain, 6 flats": Kind(),
        "moving lamp, vignetting 50 %": Kind(PhotonCamera(vignetting=0.25), **moving),
        "moving lamp, ramp to hard white": Kind(
            PhotonCamera(gain=1.0, read_noise=5), ramp(12_000, 61_500, 12), tilt=0.04
        ),
        "soft white, half above": Kind(soft, ramp(10_000, 60_000, 12), exposures=True),
        "vignetting 50 %": Kind(PhotonCamera(vignetting=0.25)),
        "3 flats": Kind(levels=(20_000.0,) * 3),
        "3 flats, moving lamp": Kind(PhotonCamera(vignetting=0.25), (20_000.0,) * 3, **moving),
        "12 flats of one level": Kind(levels=(20_000.0,) * 12),
        "exposure ramp": Kind(
            PhotonCamera(gain=1.9), ramp(2_000, 28_000, 12), lamp=0.005, exposures=True
        ),
        "exposure ramp, response bends 2 %": Kind(
            PhotonCamera(gain=1.9, curvature=0.02), ramp(2_000, 28_000, 12), 0.003, exposures=True
        ),
        "pattern 1 % and 20 ADU": Kind(PhotonCamera(response=0.01, offset_pattern=20)),
        "row noise as read noise": Kind(PhotonCamera(row_noise=8)),
        "200 ADU": Kind(levels=(200.0,) * 6),
        "Bayer mosaic, 6 flats": Kind(bayer="RGGB"),
        "two amplifiers": Kind(amplifiers=2),
        "12 bits, steps of 16": Kind(PhotonCamera(read_noise=10, step=16)),
        "hard white, half above": Kind(
            PhotonCamera(hard_white=40_000), ramp(20_000, 60_000, 8), exposures=True
        ),
        "SATURATE in the header": Kind(soft, ramp(10_000, 60_000, 12), saturate=34_600.0),
        "20 hits a frame": Kind(PhotonCamera(hits=20)),
        "1 % hot pixels": Kind(PhotonCamera(hot=0.01)),
        "gain 0.1, read noise 40": Kind(PhotonCamera(gain=0.1, read_noise=40)),
        "no bias, 512x512, vignetting 50 %": Kind(
            PhotonCamera(vignetting=0.25, width=512, height=512),
            (20_000.0,) * 12,
            used_bias=False,
        ),
        "soft white, all above": Kind(soft, (50_000.0,) * 6),
        "copies of one flat": Kind(change="copies"),
        "smoothed frames": Kind(change="smoothed"),
        "no bias, one level": Kind(used_bias=False),
    }


def measure_camera(kind: Kind, seed: int) -> dict[str, Estimate]:
    """Measure one camera."""
    camera = kind.camera
    bias, flats = camera.take(seed, kind.bias, kind.levels, kind.lamp, kind.tilt)
    if kind.change == "copies":
        flats = np.repeat(flats[:1], len(flats), axis=0)
    elif kind.change == "smoothed":
        flats = (flats + np.roll(flats, 1, axis=2)) / 2
    geometry = Geometry(camera.width, camera.height, bayerpat=kind.bayer)
    edges = np.linspace(0, camera.width, kind.amplifiers + 1).astype(int)
    amplifiers = [
        Amplifier(str(number), int(left), int(right), 0, camera.height)
        for number, (left, right) in enumerate(pairwise(edges))
    ]
    regions = regions_of(range(camera.height), geometry, amplifiers)
    noise = noise_by_region.of_bias(bias, regions)
    dark = noise_by_region.Dark(None, 1, {})
    if kind.used_bias:
        master = bias.mean(axis=0)
        dark = noise_by_region.Dark(master, kind.bias, {each.name: each for each in noise})
    exposures = [level / 1000 for level in kind.levels] if kind.exposures else None
    measured = noise_by_region.of_flats(
        noise_by_region.FlatFrames(flats, exposures, kind.saturate), regions, dark
    )
    if kind.used_bias:
        return noise_by_region.of_camera(measured)
    return noise_by_region.of_camera(noise) | noise_by_region.of_camera(measured)


def true_values(kind: Kind) -> dict[str, float]:
    """Return the true values of a kind; linearity at its brightest flat."""
    camera, known = kind.camera, {}
    if kind.saturate is not None:
        known["white_adu"] = kind.saturate
    elif camera.soft_white is not None:
        known["white_adu"] = camera.soft_white + camera.offset
    elif camera.hard_white < 65535:
        known["white_adu"] = float(camera.hard_white)
    top = max(kind.levels) * (1 - kind.lamp)
    return known | {
        "gain_e_adu": camera.gain,
        "read_noise_adu": camera.total_noise,
        "nonlinearity_percent": -100 * camera.curvature * top * 0.95 / 65535,
    }


def line(estimates: Sequence[Estimate], true: float, unit: float) -> str:
    """Describe how estimates compare with a true value, in units of ``unit``."""
    known = np.array([each.known for each in estimates if each.known])
    if not len(known):
        return f"{0:5}/{len(estimates)}"
    error = known[:, 0] - true
    scatter = error.std(ddof=1) / unit if len(error) > 1 else 0.0
    within = np.abs(error) <= 2 * known[:, 1] + 1e-9
    return (
        f"{len(known):5}/{len(estimates)} | {error.mean() / unit:+7.3f} "
        f"± {scatter / len(error) ** 0.5:.3f} | {scatter:6.2f} | {known[:, 1].mean() / unit:6.2f} "
        f"| {np.abs(error).max() / unit:6.2f} | {100 * within.mean():4.0f}"
    )


def main() -> None:
    """Run ``python benchmarks/gain.py``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="cameras of each kind")
    parser.add_argument("kinds", nargs="*", help="names of kinds, or parts of them; all if omitted")
    options: Any = parser.parse_args()
    print(
        "errors in %\n| kind | number | given | mean error | scatter | stated | largest | in 2 s |"
    )
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    with ProcessPoolExecutor(PROCESSES) as pool:
        for name, kind in kinds().items():
            if options.kinds and not any(part in name for part in options.kinds):
                continue
            seeds = range(options.seeds)
            cameras = list(pool.map(measure_camera, [kind] * options.seeds, seeds, chunksize=5))
            for number in NUMBERS:
                estimates = [camera[number] for camera in cameras]
                true = true_values(kind).get(number)
                if not any(each.known for each in estimates) and number != "gain_e_adu":
                    continue
                unit = 1.0 if number == "nonlinearity_percent" else (true or 1.0) / 100
                shown = line(estimates, true, unit) if true is not None else "unknown truth"
                print(f"| {name} | {number} | {shown} |", flush=True)
            reasons = Counter(
                camera["gain_e_adu"].reason for camera in cameras if camera["gain_e_adu"].reason
            )
            for reason, count in reasons.items():
                print(f"| | {count} without gain: {reason} |")


if __name__ == "__main__":
    main()
