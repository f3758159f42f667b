"""The script of one master: PixInsight's parameters as commands of Siril.

What Siril cannot do is refused, by the name of the setting; nothing is replaced by something near.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from calmasters.engines.siril.program import Version
from calmasters.errors import ConfigError
from calmasters.model.job import MasterJob
from calmasters.settings import Calibration, Integration

__all__ = ["CALIBRATION", "FRAMES", "MASTER", "script_text"]

#: Names without their extension ``.fit``: of the sequence, what is subtracted, the result.
FRAMES: Final = "frame_"
CALIBRATION: Final = "calibration"
MASTER: Final = "master"

_CALIBRATED: Final = "calibrated_"

#: The letter of each rejection, and the settings that are its two parameters.
_REJECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "NoRejection": ("n",),
    "PercentileClip": ("p", "pcClipLow", "pcClipHigh"),
    "SigmaClip": ("s", "sigmaLow", "sigmaHigh"),
    "WinsorizedSigmaClip": ("w", "sigmaLow", "sigmaHigh"),
    "LinearFit": ("l", "linearFitLow", "linearFitHigh"),
    "Rejection_ESD": ("g", "esdOutliersFraction", "esdAlpha"),
}

#: Siril normalizes once, for rejection and output: the pairs of settings that say the same.
_NORMALIZATIONS: Final[Mapping[tuple[str, str], str]] = {
    ("NoNormalization", "NoRejectionNormalization"): "-nonorm",
    ("Multiplicative", "EqualizeFluxes"): "-norm=mul",
}

#: Settings whose other values Siril does not have.
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


def script_text(job: MasterJob, version: Version, threads: int) -> str:
    """Write the script that makes ``master.fit`` of the frames ``frame_00001.fit`` and on.

    Parameters
    ----------
    job : MasterJob
    version : Version
        Siril 1.0 has another name for the command that calibrates.
    threads : int

    Raises
    ------
    ConfigError
        If Siril cannot do what the job asks for.
    """
    _check(job)
    frames = FRAMES
    lines = ["requires 1.0.0", "setext fit", "set32bits", "setcompress 0", f"setcpu {threads}"]
    if job.bias or job.dark:
        calibrate = "calibrate" if (version.major, version.minor) >= (1, 2) else "preprocess"
        lines.append(f"{calibrate} {frames} -bias={CALIBRATION} -prefix={_CALIBRATED}")
        frames = _CALIBRATED + FRAMES
    lines.append(" ".join(["stack", frames, *_combination(job.recipe.integration)]))
    return "\n".join(lines) + "\n"


def _combination(settings: Integration) -> Iterator[str]:
    if settings.combination == "Median":
        yield "med"
    else:
        letter, *parameters = _REJECTIONS[settings.rejection]
        yield from ("rej", letter)
        yield from (f"{getattr(settings, name):g}" for name in parameters)
    yield _NORMALIZATIONS[settings.normalization, settings.rejectionNormalization]
    yield f"-out={MASTER}"


def _check(job: MasterJob) -> None:
    """Refuse what Siril cannot do as it is asked, by the name of the setting."""
    where, settings = f"integration.{job.type.value}", job.recipe.integration
    fixed = {**_FIXED, **_FIXED_OF.get(settings.rejection, {})}
    for name, only in fixed.items():
        if getattr(settings, name) != only:
            _refuse(f"{where}.{name}", getattr(settings, name), f"{only}")
    if settings.combination not in ("Average", "Median"):
        _refuse(f"{where}.combination", settings.combination, "Average or Median")
    if settings.rejection not in _REJECTIONS:
        _refuse(f"{where}.rejection", settings.rejection, ", ".join(_REJECTIONS))
    if settings.combination == "Median" and settings.rejection != "NoRejection":
        _refuse(f"{where}.rejection", settings.rejection, "NoRejection with combination: Median")
    _check_normalization(where, settings)
    if job.bias or job.dark:
        _check_calibration(job.recipe.calibration or Calibration(), optimized=job.optimize_dark)


def _check_normalization(where: str, settings: Integration) -> None:
    pair = (settings.normalization, settings.rejectionNormalization)
    if pair not in _NORMALIZATIONS:
        allowed = " or ".join(" with ".join(known) for known in _NORMALIZATIONS)
        names = f"{where}.normalization, rejectionNormalization"
        _refuse(names, " with ".join(pair), allowed)
    plain = (settings.combination, settings.rejection) == ("Average", "NoRejection")
    if plain and settings.normalization != "NoNormalization":
        # Siril 1.0 passes over -norm there, and says so only in its log.
        _refuse(
            f"{where}.normalization",
            settings.normalization,
            "NoNormalization with Average and NoRejection",
        )


def _check_calibration(settings: Calibration, *, optimized: bool) -> None:
    if optimized:
        # Siril 1.0.6 ends in a crash at -opt.
        _refuse("calibration.flat.optimizeDarks", True, "false")
    if settings.outputPedestal:
        _refuse("calibration.flat.outputPedestal", settings.outputPedestal, "0")


def _refuse(setting: str, found: object, allowed: str) -> None:
    raise ConfigError(
        f"{setting}: engine siril cannot do '{found}'; set it to {allowed}, or engine: native"
    )
