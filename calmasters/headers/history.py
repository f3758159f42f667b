"""Find out from HISTORY that the pixels of an image were changed after the exposure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["BIAS_HISTORY", "HISTORY", "history_card"]

#: Names of two cards for lines of HISTORY: that a bias was subtracted, and that another process
#: changed pixels.
HISTORY: Final = "HISTORY"
BIAS_HISTORY: Final = "HISTORY of a bias"

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


#: 'ImageCalibration.masterBias.enabled: true', 'id="masterBiasEnabled" value="true"',
#: 'ImageCalibration.masterBias.fileName: b.xisf'
_PIXINSIGHT_BIAS: Final = re.compile(
    r"masterBias\.?(?:enabled\W+(?:value\W+)?(?:true|1)\b|file_?name\W+\w)", re.IGNORECASE
)
_BIAS: Final = re.compile("bias|zero", re.IGNORECASE)


def history_card(text: str) -> tuple[str, str]:
    """Return the process that changed pixels, as a text of HISTORY names it.

    Returns
    -------
    name, process : str
        The name is :data:`BIAS_HISTORY` for a process that subtracted a bias, :data:`HISTORY` for
        the first other one; both are empty without any.

    >>> history_card("Bias corrected with mbias.fits"), history_card("Auto Dark Subtraction")
    (('HISTORY of a bias', 'Bias corrected'), ('HISTORY', 'Dark Subtraction'))
    >>> history_card("no dark subtraction")
    ('', '')
    """
    processes = [*_processes(text)]
    if not processes:
        return "", ""
    biases = [process for process in processes if _BIAS.search(process)]
    if setting := _PIXINSIGHT_BIAS.search(text):
        biases.append(setting[0])
    return (BIAS_HISTORY, biases[0]) if biases else (HISTORY, processes[0])


def _processes(text: str) -> Iterator[str]:
    for found in _PROCESS.finditer(text):
        is_negated = _NEGATED_BEFORE.search(text[: found.start()])
        if not is_negated and not _NEGATED_AFTER.match(text, found.end()):
            yield found[0].strip()
