"""Scripts for PixInsight: the files of ``pixinsight/``, and the job as JSON.

No code is generated: the text of headers and paths is in JSON strings only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from calmasters import WORKFLOW_FILES
from calmasters.engines.pixinsight.needs import reads_adu
from calmasters.engines.plain_files import is_rewritten, plain_name
from calmasters.engines.preflight import CheckedFrames
from calmasters.frame import FrameType
from calmasters.headers.fits_cards import Card
from calmasters.images.master_file import fits_literal
from calmasters.model.job import MasterJob, UsedMaster
from calmasters.model.master_record import header_cards
from calmasters.settings import Calibration, PixInsight

__all__ = ["Places", "all_text", "script_job", "script_text", "session_text", "user_text"]

_HEAD: Final = """\
// Makes one master in PixInsight; generated, and the same for the same frames and settings.
"""

_USER_HEAD: Final = """\
// Makes one master in PixInsight; generated. To run it: Script > Execute Script File. Paths are
// absolute: run "snakemake scripts" again after moving files.
"""

_ALL_HEAD: Final = """\
// Makes all masters in PixInsight that are not up to date; generated. To run it: Script > Execute
// Script File. Paths are absolute: run "snakemake scripts" again after moving files.
"""

_SESSION_HEAD: Final = """\
// Makes masters in PixInsight on request; generated.
"""

#: The files of ``pixinsight/`` in their order in a script, before those with the entry point.
_SOURCES: Final = (
    "files", "console", "process", "windows", "calibration", "integration", "master", "job",
)  # fmt: skip

_DIRECTORY: Final = WORKFLOW_FILES / "pixinsight"

#: PixInsight's ``imageType`` of raw frames.
_IMAGE_TYPE: Final[Mapping[FrameType, int]] = {
    FrameType.BIAS: 1,
    FrameType.DARK: 2,
    FrameType.FLAT: 3,
}

#: PixInsight's own defaults for the format hints and for ROWORDER, which its preferences can
#: change, to which the range of floating-point frames is added.
_INPUT_HINTS: Final = (
    "fits-keywords normalize only-first-image raw cfa use-roworder-keywords signed-is-physical"
)
_ADU_HINTS: Final = " lower-range 0 upper-range 65535"
#: As WBPP writes its masters. Hints stay active for the complete session, so they are always given.
_OUTPUT_HINTS: Final[Mapping[str, str]] = {
    "xisf": "properties fits-keywords no-compress-data block-alignment 4096 "
    "max-inline-block-size 3072 no-embedded-data no-resolution",
    "fits": "",
}

#: For a script that is only written: what the frames contain is not known yet.
_UNCHECKED: Final = CheckedFrames([], [])

#: In JSON these characters occur in strings only. PixInsight's preprocessor reads the text before
#: JavaScript does; it must not see a directive, or the start or end of a comment.
_ESCAPED: Final = str.maketrans({"#": "\\u0023", "*": "\\u002a"})


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of the files of a job.

    Attributes
    ----------
    input_dir, output_dir : Path
        Of the workflow.
    output : Path
        The master. Temporary files are in the same folder, with short names that start with a
        dot: they do not depend on the name of the master.
    calibrated : Path
        The folder of the calibrated frames of this job.
    keep_calibrated : bool
        Keep them after the master is made.
    """

    input_dir: Path
    output_dir: Path
    output: Path
    calibrated: Path
    keep_calibrated: bool

    def part(self, job: MasterJob) -> Path:
        """Return the path of the master before it is checked."""
        return self.output.with_name(f".{job.digest}.{job.recipe.master_format}")

    def status(self, job: MasterJob) -> Path:
        """Return the path of the report of the script."""
        return self.output.with_name(f".{job.digest}.status.json")

    def rewritten(self, job: MasterJob) -> Path:
        """Return the folder of frames that are written as plain files for PixInsight."""
        return self.output.with_name(f".{job.digest}.frames")

    def frames(self, job: MasterJob, checked: CheckedFrames) -> list[Path]:
        """Return the files that PixInsight reads."""
        files = job.frames_without(checked.left_out)
        return [
            self.rewritten(job) / plain_name(job, number, file)
            if is_rewritten(job, file)
            else self.input_dir / file.path
            for number, file in enumerate(files)
        ]


def script_text(
    job: MasterJob, places: Places, options: PixInsight, checked: CheckedFrames = _UNCHECKED
) -> str:
    """Return the script that makes a master for the engine: ASCII, LF, ECMAScript 5."""
    data = _json(script_job(job, places, options, checked))
    return _script(_HEAD, f"var JOB = {data};\n", ("runner", "run_one"), options)


def user_text(job: Mapping[str, Any], options: PixInsight) -> str:
    """Return the script that makes a master for a user who runs it: ASCII, LF, ECMAScript 5.

    Parameters
    ----------
    job : mapping
        Of :func:`calmasters.engines.pixinsight.user_scripts.user_job`.
    options : PixInsight
    """
    return _script(_USER_HEAD, f"var JOB = {_json(job)};\n", ("user", "one_by_hand"), options)


def all_text(jobs: Sequence[Mapping[str, Any]], options: PixInsight) -> str:
    """Return the script that makes all masters for a user who runs it; see :func:`user_text`."""
    return _script(_ALL_HEAD, f"var JOBS = {_json(jobs)};\n", ("user", "all_by_hand"), options)


def session_text(session: Mapping[str, Any], options: PixInsight) -> str:
    """Return the script that makes the masters of a session: ASCII, LF, ECMAScript 5.

    Parameters
    ----------
    session : mapping
        The variable ``SESSION`` of ``pixinsight/session.js``.
    options : PixInsight
    """
    return _script(
        _SESSION_HEAD, f"var SESSION = {_json(session)};\n", ("runner", "session"), options
    )


def script_job(
    job: MasterJob, places: Places, options: PixInsight, checked: CheckedFrames = _UNCHECKED
) -> dict[str, Any]:
    """Return the job of a script; paths are absolute, with ``/`` on every system."""
    cards = header_cards(job, checked.left_out, checked.subtracts_dark)
    return {
        "type": job.type.value,
        "imageType": _IMAGE_TYPE[job.type],
        "frames": [_path(path) for path in places.frames(job, checked)],
        "master": _path(places.output),
        "part": _path(places.part(job)),
        "status": _path(places.status(job)),
        "extension": f".{job.recipe.master_format}",
        "outputHints": _OUTPUT_HINTS[job.recipe.master_format],
        "keywords": [_fits_keyword(card) for card in cards],
        "integration": {
            "inputHints": _input_hints(job),
            **options.parameters.get("ImageIntegration", {}),
            **asdict(job.recipe.integration),
        },
        "calibration": _calibration(job, places, options, checked.subtracts_dark),
    }


def _script(head: str, data: str, entry: Sequence[str], options: PixInsight) -> str:
    # The preprocessor searches the directive in the first lines only.
    engine = ["#engine v8"] if options.wants_v8 else []
    sources = [_source(name) for name in (*_SOURCES, *entry)]
    return "\n".join([*engine, head, data, *sources])


def _source(name: str) -> str:
    return (_DIRECTORY / f"{name}.js").read_text(encoding="ascii")


def _json(value: Any) -> str:
    # A path such as //server/share must not look like a comment.
    return json.dumps(value, indent=1).translate(_ESCAPED).replace("//", "/\\/")


def _calibration(
    job: MasterJob, places: Places, options: PixInsight, subtracts_dark: bool
) -> dict[str, Any] | None:
    if not (job.bias or job.dark):
        return None
    parameters = asdict(job.recipe.calibration or Calibration())
    del parameters["optimizeDarks"]  # the job has decided it
    return {
        "directory": _path(places.calibrated),
        "keep": places.keep_calibrated,
        "bias": _master(job.bias, places),
        "dark": _master(job.dark, places) if subtracts_dark else None,
        "optimizeDarks": job.optimize_dark and subtracts_dark,
        "parameters": {
            "inputHints": _input_hints(job),
            **options.parameters.get("ImageCalibration", {}),
            **parameters,
        },
    }


def _path(path: Path) -> str:
    return path.absolute().as_posix()


def _master(used: UsedMaster | None, places: Places) -> str | None:
    return _path(used.located(places.output_dir)) if used else None


def _input_hints(job: MasterJob) -> str:
    return _INPUT_HINTS + (_ADU_HINTS if reads_adu(job) else "")


def _fits_keyword(card: Card) -> tuple[str, str | None, str]:
    """Return the arguments of PixInsight's FITSKeyword: name, value as FITS text, comment.

    DATE is None: the script inserts the time of creation, so that its text does not change.
    """
    if card.keyword in ("HISTORY", "COMMENT"):
        return card.keyword, "", str(card.value)
    return card.keyword, None if card.keyword == "DATE" else fits_literal(card.value), card.comment
