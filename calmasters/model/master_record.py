"""What a master carries: its header cards, and the numbers in the JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from calmasters import __version__
from calmasters.frame import FrameType
from calmasters.headers.fits_cards import Card
from calmasters.model.job import LeftOut, MasterJob

__all__ = [
    "LEVELS",
    "FrameStatistics",
    "MasterStatistics",
    "as_made",
    "header_cards",
    "statistics_json",
    "weak_group",
]

#: How a warning begins that the report has a number for.
LEVELS: Final = "levels: "

#: Share of pure noise that Winsorized clipping at 4 and 3 sigma takes as too low and as too high,
#: in percent, from so many frames on (measured on Gaussian stacks).
_LOSS: Final[Mapping[int, tuple[float, float]]] = {3: (2.3, 3.2), 5: (1.3, 2.0)}
_ENOUGH: Final = 10

#: Which settings a rejection method reads, for the header.
REJECTION_PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    "NoRejection": (),
    "MinMax": ("minMaxLow", "minMaxHigh"),
    "PercentileClip": ("pcClipLow", "pcClipHigh"),
    "SigmaClip": ("sigmaLow", "sigmaHigh"),
    "WinsorizedSigmaClip": ("sigmaLow", "sigmaHigh", "winsorizationCutoff"),
    "AveragedSigmaClip": ("sigmaLow", "sigmaHigh"),
    "LinearFit": ("linearFitLow", "linearFitHigh"),
    "Rejection_ESD": ("esdOutliersFraction", "esdAlpha", "esdLowRelaxation"),
}

#: Keywords of a group that a master's header has under another name, or not at all.
_RENAMED: Final = {"DATE": "NIGHT"}
_NOT_WRITTEN: Final = frozenset({"TYPE", "EXPOSURE"})

_COMMENTS: Final[Mapping[str, str]] = {
    "INSTRUME": "camera",
    "SET-TEMP": "[degC] set-point of the sensor",
    "CCD-TEMP": "[degC] median temperature of the sensor",
    "GAIN": "gain setting of the camera",
    "OFFSET": "offset setting of the camera",
    "READOUTM": "readout mode",
    "FILTER": "filter",
    "NIGHT": "night of observation (local date at its start)",
    "EXPTIME": "[s] median exposure of the frames",
    "EXPOSURE": "[s] median exposure of the frames",
    "EXPMIN": "[s] shortest exposure",
    "EXPMAX": "[s] longest exposure",
    "DATE-OBS": "start of the first frame, UTC",
}


@dataclass(frozen=True, slots=True)
class FrameStatistics:
    """What became of one frame.

    Attributes
    ----------
    path : str
        As in the job.
    low, high : int or None
        Samples rejected as too low and too high; None where the engine does not tell.
    location : float or None
        Median of the (calibrated) frame in [0, 1], where normalization used it.
    k : float or None
        Factor of the dark, where it was optimized.
    """

    path: str
    low: int | None
    high: int | None
    location: float | None = None
    k: float | None = None


@dataclass(frozen=True, slots=True)
class MasterStatistics:
    """What an engine reports of a master; levels are in [0, 1], 1 = 65535 ADU of 16-bit frames.

    Attributes
    ----------
    frames : tuple of FrameStatistics
        In the order of the job, without those left out.
    mean, median, minimum, maximum : float
        Of the master's pixels.
    noise : float
        Random noise of the master, from differences of neighbouring pixels
        (:func:`calmasters.engines.image_stats.noise`).
    seconds : float
        Wall time from start to the written master.
    versions : mapping of str to str
        What computed it.
    warnings : tuple of str
        What weakens the result.
    rejected_low, rejected_high : int or None
        Samples rejected in all, from an engine that tells no more; else the frames have them.
    left_out : tuple of LeftOut
        Frames of the job that turned out to be bad when they were read.
    """

    frames: tuple[FrameStatistics, ...]
    mean: float
    median: float
    minimum: float
    maximum: float
    noise: float
    seconds: float
    versions: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    rejected_low: int | None = None
    rejected_high: int | None = None
    left_out: tuple[LeftOut, ...] = ()


def header_cards(job: MasterJob, left_out: Sequence[LeftOut] = ()) -> list[Card]:
    """Make the cards of a master's header, the same for every engine and format.

    Structural cards (SIMPLE, NAXIS…) are the writer's. ``left_out`` are the frames of the job
    that the engine could not use.
    """
    cards = [
        Card("IMAGETYP", job.type.master_name, "type of image"),
        *_group_cards(job),
        *_geometry_cards(job),
        Card("NCOMBINE", len(job.frames) - len(left_out), "number of frames combined"),
        *_recipe_cards(job),
        Card("DATE", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "creation, UTC"),
        *(Card("HISTORY", line) for line in _history(job, left_out)),
    ]
    return [card for card in cards if card.value != ""]


def _group_cards(job: MasterJob) -> Iterator[Card]:
    cards = {_RENAMED.get(key, key): value for key, value in job.keywords.items()}
    cards |= dict(job.header)
    if job.type is not FrameType.FLAT:
        for key in ("FILTER", "TELESCOP", "NIGHT"):
            cards.pop(key, None)
    for key, value in cards.items():
        if key not in _NOT_WRITTEN or key in job.header:
            yield Card(key, value, _COMMENTS.get(key, ""))


def _geometry_cards(job: MasterJob) -> Iterator[Card]:
    yield Card("XBINNING", job.geometry.xbinning, "binning in x")
    yield Card("YBINNING", job.geometry.ybinning, "binning in y")
    if job.geometry.bayerpat:
        yield Card("BAYERPAT", job.geometry.bayerpat, "Bayer pattern, not debayered")


def _recipe_cards(job: MasterJob) -> Iterator[Card]:
    recipe, integration = job.recipe, job.recipe.integration
    yield Card("CREATOR", f"calmasters {__version__}", "software")
    yield Card("ENGINE", recipe.engine, "what combined the pixels")
    yield Card("ALGOVER", recipe.algorithm_version, "version of the engine's arithmetic")
    yield Card("REJECT", integration.rejection, "pixel rejection")
    yield Card("NORMALIZ", integration.normalization, "output normalization")
    for parameter in REJECTION_PARAMETERS.get(integration.rejection, ()):
        yield Card("HISTORY", f"{parameter}: {getattr(integration, parameter)}")


def _history(job: MasterJob, left_out: Sequence[LeftOut]) -> Iterator[str]:
    for kind, used in (("bias", job.bias), ("dark", job.dark)):
        if used:
            yield f"{kind}: {used.path} ({used.origin})"
    if job.dark:
        yield f"dark optimization: {'on' if job.optimize_dark else 'off'}"
    for frame in (*job.left_out, *left_out):
        yield f"left out: {frame.path}: {frame.reason}"
    yield f"frames and recipe: {job.digest}"


def weak_group(job: MasterJob) -> Iterator[str]:
    """Tell of a group so small that the rejection loses good samples with the bad."""
    count, integration = len(job.frames), job.recipe.integration
    known = (integration.rejection, integration.sigmaLow, integration.sigmaHigh)
    if known == ("WinsorizedSigmaClip", 4.0, 3.0) and min(_LOSS) <= count < _ENOUGH:
        low, high = _LOSS[max(frames for frames in _LOSS if frames <= count)]
        yield (
            f"{LEVELS}of {count} frames the rejection takes up to {low} % of good samples as too"
            f" low and {high} % as too high; take {_ENOUGH} or more"
        )


def as_made(job: MasterJob, made: Mapping[str, Any]) -> MasterJob:
    """Give a job the frames that its master was made of, by the JSON beside the master."""
    used = {frame["path"] for frame in made["frames"]}
    return replace(job, frames=tuple(file for file in job.frames if file.path in used))


def statistics_json(job: MasterJob, statistics: MasterStatistics) -> str:
    """Write the JSON that lies beside a master: what it is made of, and its numbers."""
    files = {file.path: file._asdict() for file in job.frames}
    made = {
        "version": 1,
        "master": job.master,
        "type": job.type.value,
        "digest": job.digest,
        "keywords": dict(job.keywords),
        "geometry": asdict(job.geometry),
        "header": dict(job.header),
        "frames_used": len(statistics.frames),
        "bias": asdict(job.bias) if job.bias else None,
        "dark": asdict(job.dark) if job.dark else None,
        "optimize_dark": job.optimize_dark,
        "recipe": asdict(job.recipe),
        **asdict(statistics),
        "rejected_low": _sum([frame.low for frame in statistics.frames], statistics.rejected_low),
        "rejected_high": _sum(
            [frame.high for frame in statistics.frames], statistics.rejected_high
        ),
        "left_out": [asdict(frame) for frame in (*job.left_out, *statistics.left_out)],
        "frames": [files.get(frame.path, {}) | asdict(frame) for frame in statistics.frames],
        "versions": {"calmasters": __version__, **statistics.versions},
        "warnings": [*job.warnings, *statistics.warnings],
    }
    return json.dumps(made, indent=1) + "\n"


def _sum(by_frame: Sequence[int | None], in_all: int | None) -> int | None:
    """Add up what is known of each frame; what is known of all where it is not known of each."""
    known = [count for count in by_frame if count is not None]
    return sum(known) if len(known) == len(by_frame) else in_all
