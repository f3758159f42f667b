"""What a master carries: its header cards, and its record, the JSON file beside it.

The record is the truth about what a master was made of; staleness is decided by it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from calmasters import __version__
from calmasters.atomic_files import write_whole
from calmasters.errors import RecordError
from calmasters.frame import FrameType, Geometry, Value
from calmasters.frame_layout import LEVEL_TEXTS, FrameLayout
from calmasters.headers.fits_cards import Card
from calmasters.headers.sample_scale import BOTTOM_UP
from calmasters.model.formats import RECORD, WRITTEN_KEYWORDS
from calmasters.model.job import (
    FrameFile,
    LeftOut,
    MadeOf,
    MasterJob,
    UsedMaster,
    read_head,
)
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.model.typed_json import read_as

__all__ = [
    "ENOUGH_FRAMES",
    "HIGHEST_ADU",
    "FrameRecord",
    "FrameStatistics",
    "MasterRecord",
    "MasterStatistics",
    "header_cards",
    "level_warning",
    "small_group_warning",
    "warnings_in",
]

#: Share of pure noise that Winsorized clipping at 4 and 3 sigma takes as too low and as too high,
#: in percent, by the number of frames from which it applies (measured on Gaussian stacks).
_LOSS: Final[Mapping[int, tuple[float, float]]] = {3: (2.3, 3.2), 5: (1.3, 2.0)}
#: From this number of frames on, the loss is small.
ENOUGH_FRAMES: Final = 10

#: No camera has a higher offset (a fifth of white), and darks are below this, in 16-bit ADU.
HIGHEST_ADU: Final = {FrameType.BIAS: 13107, FrameType.DARK: 40000}

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
    "CAMERAID": "id of the camera",
    "ROTATOR": "[deg] angle of the rotator",
    "GRATING": "grating or grism",
    "SLIT": "slit, mask or decker",
    "FLATKIND": "kind of flat: dome, sky, panel, internal",
    "NIGHT": "night of observation (local date at its start)",
    "EXPTIME": "[s] median exposure of the frames",
    "EXPOSURE": "[s] median exposure of the frames",
    "EXPMIN": "[s] shortest exposure",
    "EXPMAX": "[s] longest exposure",
    "DATE-OBS": "start of the first frame, UTC",
    "PEDESTAL": "[ADU] contained in the samples",
}


@dataclass(frozen=True, slots=True)
class FrameStatistics:
    """What became of one frame.

    Attributes
    ----------
    path : str
        As in the job.
    low, high : int or None
        Samples rejected as too low and too high; None where the engine does not count them.
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
    noise : float or None
        Random noise of the master, from differences of neighbouring pixels
        (:func:`calmasters.engines.image_stats.noise`); None if it was not measured.
    seconds : float
        Wall time from start to the written master.
    versions : mapping of str to str
        What computed it.
    warnings : tuple of MasterWarning
        What weakens the result.
    rejected_low, rejected_high : int or None
        Samples rejected in all, from an engine that does not count them by frame.
    left_out : tuple of LeftOut
        Frames of the job that turned out to be bad, or unlike the others, when they were read.
    differences : mapping of str to str
        How frames that were used differ from the others, by path.
    """

    frames: tuple[FrameStatistics, ...]
    mean: float
    median: float
    minimum: float
    maximum: float
    noise: float | None
    seconds: float
    versions: Mapping[str, str]
    warnings: tuple[MasterWarning, ...] = ()
    rejected_low: int | None = None
    rejected_high: int | None = None
    left_out: tuple[LeftOut, ...] = ()
    differences: Mapping[str, str] = field(default_factory=dict)


def header_cards(
    job: MasterJob, left_out: Sequence[LeftOut] = (), subtracts_dark: bool = True
) -> list[Card]:
    """Make the cards of a master's header, the same for every engine and format.

    Structural cards (SIMPLE, NAXIS…) are the writer's.

    Parameters
    ----------
    job : MasterJob
    left_out : sequence of LeftOut
        The frames of the job that the engine could not use.
    subtracts_dark : bool
        False if the engine found that the dark of the job cannot be scaled to the flats.
    """
    cards = [
        Card("IMAGETYP", job.type.master_name, "type of image"),
        *_group_cards(job),
        *_geometry_cards(job),
        Card("NCOMBINE", len(job.frames) - len(left_out), "number of frames combined"),
        *_recipe_cards(job),
        Card("DATE", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "creation, UTC"),
        *(Card("HISTORY", line) for line in _history(job, left_out, subtracts_dark)),
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
    if any(job.geometry.origin):
        x, y = job.geometry.origin
        yield Card("XORGSUBF", x, "[pixel] first column on the sensor, binned")
        yield Card("YORGSUBF", y, "[pixel] first row on the sensor, binned")
    if job.geometry.layout:
        yield from _layout_cards(job.geometry.layout)
    if any(BOTTOM_UP in frame.read_as for frame in job.frames):
        yield Card("ROWORDER", "TOP-DOWN", "rows of some frames were reversed")


def _layout_cards(layout: FrameLayout) -> Iterator[Card]:
    """Say what was done to the frames, by the keywords of IRAF's ccdproc."""
    parts = layout.parts
    if layout.is_levelled:
        sections = ",".join(str(section) for part in parts for section in part.overscan)
        text = sections if len(parts) == 1 else f"of {len(parts)} amplifiers"
        yield Card("OVERSCAN", f"{text}, {LEVEL_TEXTS[layout.level]}", "subtracted from the frames")
    if len(parts) == 1:
        yield Card("TRIM", str(parts[0].data), "section of the frames that was kept")
        return
    yield Card("NAMPS", len(parts), "amplifiers put together")
    for part in parts:
        turned = " and ".join(
            name for name, flip in (("columns", part.flip_x), ("rows", part.flip_y)) if flip
        )
        yield Card(
            "HISTORY",
            f"amplifier {part.name}: {part.data} of image {part.image + 1} is {part.place}"
            + (f", {turned} reversed" if turned else ""),
        )


def _recipe_cards(job: MasterJob) -> Iterator[Card]:
    recipe, integration = job.recipe, job.recipe.integration
    added = recipe.calibration.outputPedestal if recipe.calibration else 0
    if added and (job.bias or job.dark):
        yield Card("PEDESTAL", added, _COMMENTS["PEDESTAL"])
    yield Card("CREATOR", f"calmasters {__version__}", "software")
    yield Card("KEYVER", WRITTEN_KEYWORDS, "version of these keywords")
    yield Card("ENGINE", recipe.engine, "what combined the pixels")
    yield Card("ALGOVER", recipe.algorithm_version, "version of the engine's arithmetic")
    yield Card("REJECT", integration.rejection, "pixel rejection")
    yield Card("NORMALIZ", integration.normalization, "output normalization")
    for parameter in REJECTION_PARAMETERS.get(integration.rejection, ()):
        yield Card("HISTORY", f"{parameter}: {getattr(integration, parameter)}")


def _history(job: MasterJob, left_out: Sequence[LeftOut], subtracts_dark: bool) -> Iterator[str]:
    for kind, used in (("bias", job.bias), ("dark", job.dark)):
        if used:
            yield f"{kind}: {used.path} ({used.origin})"
    if job.dark:
        scaled = f"dark optimization: {'on' if job.optimize_dark else 'off'}"
        yield scaled if subtracts_dark else "dark not subtracted: it cannot be scaled to the flats"
    for frame in (*job.left_out, *left_out):
        yield f"left out: {frame.path}: {frame.reason}"
    yield f"frames and recipe: {job.digest}"


def small_group_warning(job: MasterJob) -> MasterWarning | None:
    """Warn of a group so small that the rejection takes good samples with the bad."""
    count, integration = len(job.frames), job.recipe.integration
    known = (integration.rejection, integration.sigmaLow, integration.sigmaHigh)
    if known != ("WinsorizedSigmaClip", 4.0, 3.0) or not min(_LOSS) <= count < ENOUGH_FRAMES:
        return None
    low, high = _LOSS[max(frames for frames in _LOSS if frames <= count)]
    return MasterWarning(
        WarningKind.FRAME_COUNT,
        f"of {count} frames the rejection takes up to {low} % of good samples as too low and"
        f" {high} % as too high; take {ENOUGH_FRAMES} or more",
    )


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """A frame that a master was made of: the file as the plan found it, and its statistics.

    Attributes
    ----------
    path, size, mtime_ns, content, read_as
        As in :class:`~calmasters.model.job.FrameFile`.
    low, high, location, k
        As in :class:`FrameStatistics`.
    difference : str
        How it differs from the other frames; empty where it does not.
    """

    path: str
    size: int
    mtime_ns: int
    content: str = ""
    read_as: str = ""
    low: int | None = None
    high: int | None = None
    location: float | None = None
    k: float | None = None
    difference: str = ""

    @property
    def file(self) -> FrameFile:
        """The file as the plan found it."""
        return FrameFile(self.path, self.size, self.mtime_ns, self.content, self.read_as)


@dataclass(frozen=True, slots=True)
class MasterRecord:
    """The JSON file beside a master: what it was made of, how, and its numbers.

    Attributes
    ----------
    master : str
        The master's path, relative to ``output_dir``.
    type : FrameType
    made_of : MadeOf
    keywords, header : mapping of str to Value
    geometry : Geometry
    frames : tuple of FrameRecord
        Those that were combined, in the order of the job.
    bias, dark : UsedMaster or None
    optimize_dark : bool
    recipe : mapping
        As JSON: it may be that of an older version, which had other settings.
    warnings : tuple of MasterWarning
        Of the job and of the engine.
    left_out : tuple of LeftOut
        By the plan and by the engine.
    rejected_low, rejected_high : int or None
    mean, median, minimum, maximum, noise, seconds, versions
        As in :class:`MasterStatistics`.
    """

    master: str
    type: FrameType
    made_of: MadeOf
    keywords: Mapping[str, Value]
    header: Mapping[str, Value]
    geometry: Geometry
    frames: tuple[FrameRecord, ...]
    bias: UsedMaster | None
    dark: UsedMaster | None
    optimize_dark: bool
    recipe: Mapping[str, Any]
    warnings: tuple[MasterWarning, ...]
    left_out: tuple[LeftOut, ...]
    rejected_low: int | None
    rejected_high: int | None
    mean: float
    median: float
    minimum: float
    maximum: float
    noise: float | None
    seconds: float
    versions: Mapping[str, str]

    @classmethod
    def of(cls, job: MasterJob, statistics: MasterStatistics) -> Self:
        """Put together the record of a master that an engine has made."""
        files = {file.path: file for file in job.frames}
        frames = statistics.frames
        return cls(
            master=job.master,
            type=job.type,
            made_of=job.made_of,
            keywords=dict(job.keywords),
            header=dict(job.header),
            geometry=job.geometry,
            frames=tuple(
                FrameRecord(
                    *files[frame.path],
                    *(frame.low, frame.high, frame.location, frame.k),
                    statistics.differences.get(frame.path, ""),
                )
                for frame in frames
            ),
            bias=job.bias,
            dark=job.dark,
            optimize_dark=job.optimize_dark,
            recipe=job.recipe.fields,
            warnings=(*job.warnings, *statistics.warnings, *_own_warnings(job.type, statistics)),
            left_out=(*job.left_out, *statistics.left_out),
            rejected_low=_sum([frame.low for frame in frames], statistics.rejected_low),
            rejected_high=_sum([frame.high for frame in frames], statistics.rejected_high),
            mean=statistics.mean,
            median=statistics.median,
            minimum=statistics.minimum,
            maximum=statistics.maximum,
            noise=statistics.noise,
            seconds=statistics.seconds,
            versions={"calmasters": __version__, **statistics.versions},
        )

    def write(self, master: Path) -> None:
        """Write the record next to its master, completely or not at all; the master is there."""
        stored = self.to_stored(master.stat().st_size)
        write_whole(master.with_suffix(".json"), json.dumps(stored, indent=1) + "\n")

    def to_stored(self, master_bytes: int) -> dict[str, Any]:
        """Give the content of the JSON file, for a master of this size."""
        fields = asdict(self) | {
            "geometry": self.geometry.to_json(),
            "frames_used": len(self.frames),
        }
        made_of = fields.pop("made_of")
        # The digests first: staleness is decided by the beginning of the file.
        return {
            "version": RECORD,
            "master": fields.pop("master"),
            "type": fields.pop("type"),
            **MadeOf(*made_of)._asdict(),
            "master_bytes": master_bytes,
            "warning_count": len(self.warnings),
            **fields,
        }

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the record of this or an older version.

        Parameters
        ----------
        path : Path
            The JSON file (:func:`calmasters.model.layout.record_path`).

        Raises
        ------
        OSError
            If the file cannot be read.
        RecordError
            If it is not the record of a master.
        """
        try:
            stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if (written := stored.get("version", 1)) > RECORD:
                raise ValueError(
                    f"version {written}, known are versions up to {RECORD}: a later calmasters"
                    " wrote it"
                )
            made_of = [stored.get(name, "") for name in MadeOf._fields]
            warnings = tuple(map(MasterWarning.from_json, stored["warnings"]))
            read = read_as(cls, {**stored, "made_of": made_of, "warnings": []})
            return replace(read, warnings=warnings)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(path, "the record of a master", error) from error

    def with_used_frames(self, job: MasterJob) -> MasterJob:
        """Give a job the frames alone that this master was made of."""
        used = {frame.path for frame in self.frames}
        return replace(job, frames=tuple(file for file in job.frames if file.path in used))


def _own_warnings(kind: FrameType, statistics: MasterStatistics) -> Iterator[MasterWarning]:
    """Warn of what every engine's result shows: frames left out, and a level that cannot be."""
    if statistics.left_out:
        first, count = statistics.left_out[0], len(statistics.left_out)
        more = f", and {count - 1} more (see its JSON file)" if count > 1 else ""
        yield MasterWarning(
            WarningKind.SAMPLES,
            f"{count} frame{'s' * (count > 1)} left out when combining: "
            f"{first.path}: {first.reason}{more}",
        )
    level_adu = 65535 * statistics.median
    if kind in HIGHEST_ADU and level_adu > HIGHEST_ADU[kind]:
        yield level_warning(kind, f"{level_adu:.0f}")


def level_warning(kind: FrameType, level_adu: str) -> MasterWarning:
    """Warn of a bias or dark whose level is above :data:`HIGHEST_ADU`."""
    return MasterWarning(
        WarningKind.LEVEL,
        f"its level of {level_adu} ADU is that of exposed frames, not of a {kind}: check"
        " the types of its frames, and that the sensor was covered",
    )


def warnings_in(path: Path) -> Sequence[MasterWarning]:
    """Read the warnings in the record of a master; none where there is no record.

    Only the beginning of a record without warnings is read: a run with nothing to do asks for the
    warnings of all masters.
    """
    head = read_head(path)
    # Records of older versions do not begin with the count.
    if head is None or head.get("warning_count") == "0":
        return []
    try:
        return MasterRecord.read(path).warnings
    except (OSError, RecordError):
        return []


def _sum(by_frame: Sequence[int | None], in_all: int | None) -> int | None:
    """Add up the counts of the frames; where a frame has none, take the count of all frames."""
    known = [count for count in by_frame if count is not None]
    return sum(known) if len(known) == len(by_frame) else in_all
