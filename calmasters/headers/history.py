"""Find out from HISTORY that the pixels of an image were changed after the exposure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["bias_process_in", "pixel_process_in"]

#: Processes of PixInsight that change pixels, unlike ScreenTransferFunction or ImageSolver.
_PIXINSIGHT: Final = (
    r"\b(?:ImageCalibration|ImageIntegration|DrizzleIntegration|CosmeticCorrection|Debayer|SplitCFA"
    r"|MergeCFA|DefectMap|CanonBandingReduction|LinearDefectDetection|LinearPatternSubtraction"
    r"|StarAlignment|DynamicAlignment|CometAlignment|LocalNormalization|NormalizeScaleGradient"
    r"|PixelMath|IntegerResample|DynamicCrop|FastRotation|AutomaticBackgroundExtractor"
    r"|DynamicBackgroundExtraction|HistogramTransformation|CurvesTransformation"
    r"|MultiscaleLinearTransform|MultiscaleMedianTransform|TGVDenoise|NoiseXTerminator"
    r"|BlurXTerminator|StarXTerminator|Deconvolution|RestorationFilter)\b"
    # Names that are also plain words count only as XML has them.
    r'|class="(?:Crop|Rotation|Resample|Rescale|Invert|LinearFit|Convolution|MorphologicalTrans\w+'
    r'|Binarize|ExponentialTrans\w+|UnsharpMask|ATrousWavelet\w+|ChannelExtraction|GREYC\w+)"'
)
_MASTER: Final = "bias|zero[ -]level|dark|flat|overscan"
_PROCESS: Final = re.compile(
    rf"{_PIXINSIGHT}"
    # 'Bias corrected with mbias.fits', 'Auto Dark Subtraction', 'Flat-field division'
    rf"|\b(?i:(?:{_MASTER})(?:[ -]?(?:frame|field|level|image|current))?[ -]"
    r"?(?:correct(?:ed|ion)|subtract(?:ed|ion)|divided|division|removed))\b"
    # 'Subtracted master dark', 'calibrated'
    rf"|\b(?i:(?:subtract(?:ed|ing)|divided by|corrected (?:for|with|by)) .{{0,40}}?(?:{_MASTER}))"
    r"|(?i:(?:^\W*|\b(?:image|frame|data|file|already)\W+(?:was |is |been )?)calibrated)\b"
)
_NEGATED_BEFORE: Final = re.compile(r"\b(?:no|not|without)\W*$", re.IGNORECASE)
_NEGATED_AFTER: Final = re.compile(
    r"\W*(?:no|not|off|none|false|disabled|skipped|omitted)\b", re.IGNORECASE
)


#: What subtracts a bias. ImageCalibration does, unless its parameters say that it did not.
_BIAS_PROCESS: Final = re.compile(r"bias|zero|^ImageCalibration$", re.IGNORECASE)
_BIAS_SWITCH: Final = re.compile(r'masterBiasEnabled(?:" value="|\W+)(true|false)', re.IGNORECASE)


def pixel_process_in(text: str) -> str:
    """Return the process that changed pixels, as one line of HISTORY names it; empty without one.

    >>> pixel_process_in("ImageCalibration.masterBiasFileName: masterBias.xisf")
    'ImageCalibration'
    >>> pixel_process_in("Bias corrected with mbias.fits"), pixel_process_in("no dark subtraction")
    ('Bias corrected', '')
    """
    return next(_processes(text), "")


def bias_process_in(text: str) -> str:
    """Return the process that subtracted a bias, also if it is not the first; empty without one.

    >>> bias_process_in("Overscan corrected; Bias corrected with mbias.fits")
    'Bias corrected'
    >>> bias_process_in("ImageCalibration.masterBiasEnabled: false")
    ''
    """
    switches = [switch.casefold() for switch in _BIAS_SWITCH.findall(text)]
    is_off = bool(switches) and "true" not in switches
    named = (process for process in _processes(text) if _BIAS_PROCESS.search(process))
    return next((each for each in named if not (is_off and each == "ImageCalibration")), "")


def _processes(text: str) -> Iterator[str]:
    for found in _PROCESS.finditer(text):
        is_negated = _NEGATED_BEFORE.search(text[: found.start()])
        if not is_negated and not _NEGATED_AFTER.match(text, found.end()):
            yield found[0].strip()
