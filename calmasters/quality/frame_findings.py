"""What is wrong with a master, by its numbers and its frames: causes that fit the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Final

import numpy as np

from calmasters.engines.clusters import Partition, level_clusters
from calmasters.frame import FrameType
from calmasters.model.master_warning import WarningKind
from calmasters.quality import clusters
from calmasters.quality.clusters import FrameFacts
from calmasters.quality.judgement import OFFSET_WITHOUT_LIGHT
from calmasters.quality.measurement import Measurement
from calmasters.quality.quality_record import (
    Finding,
    Level,
)
from calmasters.quality.sample import ADU

__all__ = ["FrameFindings"]

#: Kinds of the engine's warnings that no number shows.
_SERIOUS: Final = frozenset({WarningKind.OUTLIERS, WarningKind.CALIBRATION})
#: The highest gain of a camera, e-/ADU.
_MOST_GAIN: Final = 20.0
#: Numbers about what the frames leave over their master.
_RESIDUAL: Final = "residual_"
#: Numbers that are outside their ranges where frames differ.
_OF_UNLIKE_FRAMES: Final = frozenset(
    {"level_spread", "noise_over_expected", "dust_percent", "rejected_percent", "drift_over_noise"}
    | {"temperature_spread_c"}
)
#: Cause and remedy of a frame that stands out, and of one whose median is wrong by this share.
_ODD_FRAME: Final = (
    "exposure, temperature, light or clouds differ from those of the other frames",
    "check the frame, and leave it out (exclude) if it is bad",
)
_SCALE_ERROR: Final = 0.02
_BAD_SCALE: Final = (
    "the median of the frame, by which flats are brought to one level, does not follow its light: "
    "in a mosaic it can lie between the levels of two colours",
    "leave these frames out (exclude); with a steady lamp, set integration: {flat: {normalization: "
    "NoNormalization, rejectionNormalization: NoRejectionNormalization}}",
)
_LIT_IN_LINES: Final = (
    "the flat is lit in lines or in parts only, as by a spectrograph, fibres or a slit: it is "
    "judged where it is lit; vignetting, gradient, dust and the response of pixels are not "
    "measured, and no dead pixels are taken from it"
)


class FrameFindings:
    """What is wrong with a master and its frames, by its measurement.

    Parameters
    ----------
    measurement : Measurement
    """

    def __init__(self, measurement: Measurement) -> None:
        self._measured = measurement
        self._job, self._record = measurement.job, measurement.record
        self._levels, self._apart = measurement.levels, measurement.standing_out

    def findings(self, outside: Sequence[Finding]) -> Iterator[Finding]:
        """Return all findings.

        Parameters
        ----------
        outside : sequence of Finding
            The numbers that are outside their ranges.
        """
        outside = [*map(self._by_noise, outside)]
        partition, by_shape = self._clusters(outside)
        unlike = self._cluster_finding(partition, by_shape) if partition else None
        explained = self._explained(partition) if unlike else frozenset()
        if unlike:
            yield unlike
            outside = [
                replace(finding, cause=unlike.cause, remedy=unlike.remedy)
                if finding.number in _OF_UNLIKE_FRAMES
                else finding
                for finding in outside
            ]
        yield from self._without_consequences(outside)
        yield from self._odd_frames(explained)
        is_explained = unlike is not None and explained >= set(self._apart)
        yield from self._warnings(is_explained)
        if self._job.type is FrameType.FLAT and self._measured.is_lit_in_lines:
            yield Finding(Level.NOTE, _LIT_IN_LINES)

    def _without_consequences(self, outside: Sequence[Finding]) -> Iterator[Finding]:
        """Return the findings without what frames leave over, if the frames explain it."""
        of_frames = [each for each in outside if not each.number.startswith(_RESIDUAL)]
        is_explained = self._apart or any(each.number != "frames" for each in of_frames)
        yield from of_frames if is_explained else outside

    def _by_noise(self, finding: Finding) -> Finding:
        """Correct the cause of a level that is high, if its noise is not that of light.

        Light of L ADU has a variance of L over the gain, and no camera has more than 20 e-/ADU.
        """
        if finding.number != "level_adu" or self._job.type is FrameType.FLAT:
            return finding
        level = float(np.median(self._levels))
        if not self._measured.noise or level < _MOST_GAIN * self._measured.noise**2:
            return finding
        advice = OFFSET_WITHOUT_LIGHT
        return replace(finding, cause=advice.cause, remedy=advice.remedy)

    def _clusters(self, outside: Sequence[Finding]) -> tuple[Partition | None, bool]:
        """Return the frames of one of two clusters, where they explain what was found.

        Returns
        -------
        frozenset of int or None
        bool
            Whether they are clusters of shape.
        """
        apart, count = self._apart, len(self._job.frames)
        standing_out = frozenset(apart) if 2 <= len(apart) <= count - 2 else None
        kind = self._job.type
        if kind is not FrameType.FLAT:
            return level_clusters(kind, self._levels, self._measured.noise) or standing_out, False
        # Flats of several levels are usual: clusters matter where something else is wrong.
        is_doubtful = any(finding.number in _OF_UNLIKE_FRAMES for finding in outside)
        is_doubtful |= any(each.kind is WarningKind.OUTLIERS for each in self._record.warnings)
        if not apart and not is_doubtful:
            return None, False
        by_level = level_clusters(kind, self._levels, 0.0)
        by_shape = None if by_level else clusters.shape_clusters(self._measured.lit.frames)
        found = by_level or by_shape or standing_out
        if apart and not self._explained(found) and standing_out is None:
            return None, False  # a single frame differs, and not the clusters
        return found, by_shape is not None

    def _explained(self, partition: Partition | None) -> frozenset[int]:
        """Return the frames that stand out because they form one of two clusters."""
        apart = frozenset(self._apart)
        if partition is None:
            return frozenset()
        others = frozenset(range(len(self._job.frames))) - partition
        return frozenset().union(*(side for side in (partition, others) if side <= apart))

    @cached_property
    def _badly_scaled(self) -> frozenset[int]:
        """Frames whose median, by which flats are brought to one level, does not follow the light.

        In a mosaic it may lie between two colours, where there are no samples.
        """
        locations = [frame.location for frame in self._record.frames]
        known = [each for each in locations if each is not None]
        if self._job.type is not FrameType.FLAT or len(known) < len(locations):
            return frozenset()
        offset = (
            float(np.median(self._measured.bias)) * ADU if self._measured.bias is not None else 0.0
        )
        ratios = np.array(known) * ADU / np.maximum(np.array(self._levels) - offset, 1e-9)
        ratios /= np.median(ratios)
        return frozenset(map(int, np.flatnonzero(np.abs(ratios - 1) > _SCALE_ERROR)))

    def _odd_frames(self, explained: frozenset[int]) -> Iterator[Finding]:
        """Return a finding for each other frame that stands out."""
        for place, difference in sorted(self._apart.items()):
            if place not in explained:
                cause, remedy = _BAD_SCALE if place in self._badly_scaled else _ODD_FRAME
                found = f"frame {self._job.frames[place].path}: {difference}"
                yield Finding(Level.WARNING, found, cause, remedy)

    def _warnings(self, is_explained: bool) -> Iterator[Finding]:
        """Return the warnings of the plan, the warnings of the engine, and the frames left out.

        Warnings of the engine are notes, since the numbers show how good the result is, but for
        frames that differ and for a bias or dark that does not fit. Frames that were left out are
        notes, since the master is good without them. Warnings that the numbers repeat are not
        listed; that frames differ is not where it is said how (``is_explained``).
        """
        for warning in self._record.warnings:
            kind = warning.kind
            is_shown = is_explained and kind is WarningKind.OUTLIERS
            if kind is not WarningKind.LEVEL and not is_shown:
                matters = kind in _SERIOUS or warning in self._job.warnings
                yield Finding(Level.WARNING if matters else Level.NOTE, warning.text)
        for frame in self._record.left_out:
            yield Finding(Level.NOTE, f"left out: {frame.path}: {frame.reason}")

    def _cluster_finding(self, partition: Partition, by_shape: bool) -> Finding | None:
        facts = [
            FrameFacts(
                frame.path,
                level,
                description.traits.keywords,
                cards,
                description.ccd_temp_c,
                _seconds(description.date_obs),
            )
            for frame, level, (description, cards) in zip(
                self._job.frames,
                self._levels,
                self._measured.headers,
                strict=True,
            )
        ]
        kind = self._job.type
        return clusters.cluster_finding(
            partition,
            facts,
            kind,
            self._measured.settings.required_keywords[kind.value],
            by_shape=by_shape,
        )


def _seconds(time: str | None) -> float | None:
    """Return a time of a header in seconds; None where it is not one."""
    try:
        return datetime.fromisoformat(time).timestamp() if time else None
    except ValueError:
        return None
