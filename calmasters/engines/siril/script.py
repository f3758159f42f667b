"""The script of one master: PixInsight's parameters as commands of Siril.

Settings that Siril does not support are refused (:mod:`.needs`), never approximated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from calmasters.engines.preflight import require_supported
from calmasters.engines.siril.needs import NEEDS, NORMALIZATIONS, REJECTIONS
from calmasters.engines.siril.program import Version
from calmasters.model.job import MasterJob
from calmasters.settings import Integration

__all__ = ["CALIBRATION", "FRAMES", "MASTER", "script_text"]

#: File names without extension ``.fit``: the sequence, the subtracted master, the result.
FRAMES: Final = "frame_"
CALIBRATION: Final = "calibration"
MASTER: Final = "master"

_CALIBRATED: Final = "calibrated_"


def script_text(job: MasterJob, version: Version, threads: int) -> str:
    """Return the script that makes ``master.fit`` from ``frame_00001.fit``, ``frame_00002.fit``….

    Parameters
    ----------
    job : MasterJob
    version : Version
        Siril 1.0 has another name for the calibration command.
    threads : int

    Raises
    ------
    ConfigError
        If Siril does not support the settings of the job.
    """
    require_supported(job, NEEDS)
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
        letter, *parameters = REJECTIONS[settings.rejection]
        yield from ("rej", letter)
        yield from (f"{getattr(settings, name):g}" for name in parameters)
    yield NORMALIZATIONS[settings.normalization, settings.rejectionNormalization]
    yield f"-out={MASTER}"
