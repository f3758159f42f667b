"""What the PixInsight engine declares.

Its memory was not measured; it is estimated from the parameters of PixInsight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from calmasters.engines.needs import (
    EngineNeeds,
    calibrated_flats_bytes,
    pixels,
    rewritten_frames_bytes,
)
from calmasters.errors import ConfigError
from calmasters.headers.sample_scale import ADU16, ADU16_IN_32_BITS
from calmasters.model.job import MasterJob
from calmasters.model.layout import PIXINSIGHT_LOG
from calmasters.settings import Settings

__all__ = ["NEEDS", "PixInsightNeeds", "reads_adu"]

#: Memory by PixInsight's parameters: the program, ``stackSizeMB``, ``bufferSizeMB`` of each frame.
_PROGRAM_MB, _STACK_MB, _BUFFER_MB = 2000, 1024, 16
#: Bytes per pixel of its images: frame, bias, dark, calibrated, master and maps, as float32.
_IMAGES: Final = 32


class PixInsightNeeds(EngineNeeds):
    """See :class:`calmasters.engines.needs.EngineNeeds`."""

    algorithm_version = 1
    slots: Mapping[str, int] = {"pixinsight": 1}
    keeps_calibrated = True

    def process_mb(self, job: MasterJob, threads: int) -> float:
        """Return the estimated memory of PixInsight, in 10^6 bytes."""
        images = _IMAGES * pixels(job.geometry) / 1e6
        return _PROGRAM_MB + _STACK_MB + _BUFFER_MB * len(job.frames) + images

    def work_min(self, job: MasterJob, settings: Settings) -> float:
        """Return the minutes after which PixInsight is ended, for all allowed attempts."""
        options = settings.pixinsight
        return options.timeout_minutes * (1 + options.retries)

    def calibrated_bytes(self, job: MasterJob) -> int:
        """Return the disk space of all frames, which ImageCalibration writes as float32."""
        return calibrated_flats_bytes(job)

    def rewritten_bytes(self, job: MasterJob) -> int:
        """Return the disk space of the frames that are written as plain files."""
        return rewritten_frames_bytes(job)

    def unsupported(self, job: MasterJob) -> Iterator[str]:
        """Yield a sentence for each setting that PixInsight would apply in another way."""
        if job.geometry.layout:
            return  # it reads files that this project writes
        yield from _unsupported_scales(job)
        packed = [frame.path for frame in job.frames if frame.path.lower().endswith(".bz2")]
        if packed:
            yield (
                f"{packed[0]} is packed by bzip2, which PixInsight does not read; unpack such "
                "frames with bunzip2, or choose engine: native"
            )
        if not_text := [frame.path for frame in job.frames if not _is_text(frame.path)]:
            yield (
                f"the file name {not_text[0]!r} is not valid UTF-8, and PixInsight cannot open it: "
                "rename the file, or set engine: native"
            )

    def missing(self, settings: Settings) -> Iterator[str]:
        """Yield that the program is not found."""
        from calmasters.engines.pixinsight.find_program import find_binary

        try:
            find_binary(settings.pixinsight)
        except ConfigError as error:
            yield str(error)

    def program_details(self, settings: Settings) -> Mapping[str, str]:
        """Return its path and the options with which it is started."""
        from calmasters.engines.pixinsight.find_program import find_binary

        options = settings.pixinsight
        return {
            "program": str(find_binary(options)),
            "JavaScript engine": f"{'v8' if options.wants_v8 else 'sm'} ({options.js_engine})",
            "force_exit": str(options.force_exit).lower(),
        }

    def pixel_parameters(self, settings: Settings) -> Mapping[str, Mapping[str, Any]]:
        """Return the additional parameters of ImageCalibration and ImageIntegration."""
        return settings.pixinsight.pixel_parameters

    def begin_session(self, settings: Settings) -> Callable[[], object] | None:
        """Start the supervisor of one PixInsight for all masters, if ``session`` is ``shared``."""
        if settings.pixinsight.session != "shared":
            return None
        from calmasters.engines.pixinsight.session import begin

        return begin(settings.output_dir / PIXINSIGHT_LOG).communicate


def reads_adu(job: MasterJob) -> bool:
    """Return whether PixInsight reads floating-point FITS files of a job as 16-bit ADU."""
    if job.geometry.layout:
        return False
    return job.recipe.float_range == ADU16 or any(ADU16 in frame.read_as for frame in job.frames)


def _unsupported_scales(job: MasterJob) -> Iterator[str]:
    """Yield a sentence for each kind of file whose scale PixInsight does not find.

    Its hints for the range of floating-point samples concern all files of a process.
    """
    for frame in job.frames:
        if ADU16_IN_32_BITS in frame.read_as:
            yield (
                f"{frame.path} contains 16-bit ADU in integers of 32 bits, which PixInsight "
                "divides by 2^32 - 1; convert such frames to 16 bits, or choose engine: native"
            )
            break
    plain = [frame.path for frame in job.frames if ADU16 not in frame.read_as]
    if plain and len(plain) < len(job.frames):
        yield (
            f"{len(job.frames) - len(plain)} of {len(job.frames)} frames are floating-point ADU, "
            f"others such as {plain[0]} are not, and PixInsight reads all frames of a master in "
            "one way; exclude some of them, or choose engine: native"
        )
    for master in filter(None, (job.bias, job.dark)):
        is_adu = ADU16 in master.read_as
        if not master.path.endswith(".xisf") and is_adu != reads_adu(job):
            yield (
                f"engine pixinsight would read the samples of the master {master.path} as "
                f"{'0 to 1' if is_adu else '16-bit ADU'}, as those of the frames; convert the "
                "master to XISF, or choose engine: native"
            )
            break


def _is_text(path: str) -> bool:
    return path.encode("utf-8", "replace").decode() == path


NEEDS: Final = PixInsightNeeds()
