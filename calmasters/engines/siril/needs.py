"""What the Siril engine declares, and which settings Siril supports.

``tests/engines`` compare its memory with measurements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from calmasters.engines.needs import (
    PACKED,
    PYTHON_MB,
    EngineNeeds,
    calibrated_flats_bytes,
    image_bytes,
    pixels,
    rewritten_frames_bytes,
    sample_bytes,
    unsupported_setting,
)
from calmasters.errors import CalmastersError
from calmasters.model.job import MasterJob
from calmasters.settings import Calibration, Integration, Settings

__all__ = ["NEEDS", "NORMALIZATIONS", "REJECTIONS", "SirilNeeds"]

#: Siril's letter of each rejection, and the settings of its two parameters.
REJECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "NoRejection": ("n",),
    "PercentileClip": ("p", "pcClipLow", "pcClipHigh"),
    "SigmaClip": ("s", "sigmaLow", "sigmaHigh"),
    "WinsorizedSigmaClip": ("w", "sigmaLow", "sigmaHigh"),
    "LinearFit": ("l", "linearFitLow", "linearFitHigh"),
    "Rejection_ESD": ("g", "esdOutliersFraction", "esdAlpha"),
}

#: Siril normalizes once, for rejection and output: the pairs of settings with one meaning.
NORMALIZATIONS: Final[Mapping[tuple[str, str], str]] = {
    ("NoNormalization", "NoRejectionNormalization"): "-nonorm",
    ("Multiplicative", "EqualizeFluxes"): "-norm=mul",
}

#: Settings of which Siril supports only this value.
_FIXED: Final[Mapping[str, object]] = {
    "weightMode": "DontCare",
    "clipLow": True,
    "clipHigh": True,
    "rangeClipLow": False,
    "rangeClipHigh": False,
    "generateRejectionMaps": False,
}
_FIXED_OF: Final[Mapping[str, Mapping[str, object]]] = {
    "WinsorizedSigmaClip": {"winsorizationCutoff": Integration().winsorizationCutoff},
    "Rejection_ESD": {"esdLowRelaxation": Integration().esdLowRelaxation},
}

#: Memory of the program, in 10^6 bytes; bytes per pixel of its result, and of the images of the
#: process that runs it.
_PROGRAM_MB: Final = 60
_IMAGES: Final = 4 + 11


class SirilNeeds(EngineNeeds):
    """See :class:`calmasters.engines.needs.EngineNeeds`."""

    algorithm_version = 1
    slots: Mapping[str, int] = {"siril": 1}
    counts_rejected = False
    agreeing_rejection = "PercentileClip"
    # Siril normalizes flats by its own estimate of their level.
    agreement = 1e-4

    def process_mb(self, job: MasterJob, threads: int) -> float:
        """Return the peak memory of Siril and of the process that runs it, in 10^6 bytes.

        Notes
        -----
        Siril has all frames of a master in memory: as 16 bits if they are linked, as float32 if
        they are calibrated or rewritten.
        """
        as_floats = job.bias or job.dark or _as_floats(job)
        of_pixel = len(job.frames) * (4 if as_floats else sample_bytes(job)) + _IMAGES
        return PYTHON_MB + _PROGRAM_MB + of_pixel * pixels(job.geometry) / 1e6

    def work_min(self, job: MasterJob, settings: Settings) -> float:
        """Return the minutes after which Siril is ended."""
        return settings.siril.timeout_minutes

    def calibrated_bytes(self, job: MasterJob) -> int:
        """Return the disk space of all frames, which Siril writes as float32."""
        return calibrated_flats_bytes(job)

    def rewritten_bytes(self, job: MasterJob) -> int:
        """Return the disk space of the frames that are rewritten for Siril."""
        if _as_floats(job):
            return len(job.frames) * image_bytes(job)
        return rewritten_frames_bytes(job)

    def unsupported(self, job: MasterJob) -> Iterator[str]:
        """Yield a sentence for each setting that Siril does not support."""
        where = f"integration.{job.type.value}"
        for name, value, choices in _unsupported_integration(job.recipe.integration):
            yield _sentence(f"{where}.{name}", value, choices)
        if job.bias or job.dark:
            calibration = job.recipe.calibration or Calibration()
            if job.optimize_dark:
                # Siril 1.0.6 crashes with -opt.
                yield _sentence("calibration.flat.optimizeDarks", True, "false")
            if pedestal := calibration.outputPedestal:
                yield _sentence("calibration.flat.outputPedestal", pedestal, "0")

    def missing(self, settings: Settings) -> Iterator[str]:
        """Yield why siril-cli cannot be started, or is not Siril."""
        from calmasters.engines.siril.program import find_binary, version_of

        try:
            version_of(find_binary(settings.siril))
        except CalmastersError as error:
            yield str(error)

    def program_details(self, settings: Settings) -> Mapping[str, str]:
        """Return the path of siril-cli."""
        from calmasters.engines.siril.program import find_binary

        return {"program": str(find_binary(settings.siril))}

    def fewest_frames(self, integration: Integration) -> int:
        """Return 3: no rejection of Siril needs more."""
        return 3


def _as_floats(job: MasterJob) -> bool:
    """Return whether frames are rewritten as float32, as :mod:`.sequence` does it."""
    is_read_plainly = not any(frame.read_as for frame in job.frames)
    is_packed = any(frame.path.lower().endswith(PACKED) for frame in job.frames)
    return is_packed or not is_read_plainly or sample_bytes(job) > 2


def _sentence(key: str, value: object, choices: str) -> str:
    return unsupported_setting(key, value, "siril", f"{choices}, or engine: native")


def _unsupported_integration(settings: Integration) -> Iterator[tuple[str, object, str]]:
    """Yield name, value and choices of each setting that Siril does not support."""
    fixed = {**_FIXED, **_FIXED_OF.get(settings.rejection, {})}
    for name, only in fixed.items():
        value = getattr(settings, name)
        if value != only:
            yield name, value, str(only).lower() if isinstance(only, bool) else str(only)
    if settings.combination not in ("Average", "Median"):
        yield "combination", settings.combination, "Average or Median"
    if settings.rejection not in REJECTIONS:
        yield "rejection", settings.rejection, ", ".join(REJECTIONS)
    elif settings.combination == "Median" and settings.rejection != "NoRejection":
        yield "rejection", settings.rejection, "NoRejection with combination: Median"
    pair = (settings.normalization, settings.rejectionNormalization)
    if pair not in NORMALIZATIONS:
        choices = " or ".join(" with ".join(known) for known in NORMALIZATIONS)
        yield "normalization, rejectionNormalization", " with ".join(pair), choices
    elif (
        settings.combination == "Average"
        and settings.rejection == "NoRejection"
        and settings.normalization != "NoNormalization"
    ):
        # Siril 1.0 ignores -norm here, with a note in its log only.
        choices = "NoNormalization with Average and NoRejection"
        yield "normalization", settings.normalization, choices


NEEDS: Final = SirilNeeds()
