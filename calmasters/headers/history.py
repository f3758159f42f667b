"""Find out from HISTORY that the pixels of an image were changed after the exposure."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["pixel_process_in"]

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


def pixel_process_in(text: str) -> str:
    """Return the process that changed pixels, as one line of HISTORY names it; empty without one.

    >>> pixel_process_in("ImageCalibration.masterBiasFileName: masterBias.xisf")
    'ImageCalibration'
    >>> pixel_process_in("Bias corrected with mbias.fits"), pixel_process_in("no dark subtraction")
    ('Bias corrected', '')
    """
    for found in _PROCESS.finditer(text):
        is_negated = _NEGATED_BEFORE.search(text[: found.start()])
        if not is_negated and not _NEGATED_AFTER.match(text, found.end()):
            return found[0].strip()
    return ""
