"""List the files that a plan depends on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from calmasters import __version__
from calmasters.engines import needs_of
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.garbage import without_collection
from calmasters.inventory.scan import ScannedFile, fingerprint, scan_frames, scan_library
from calmasters.model.job import read_made_of
from calmasters.model.layout import record_path
from calmasters.settings import Settings

__all__ = ["Listing", "kept_identities", "list_files"]

#: Increase it when the same files and settings are decided in another way: trees made before are
#: planned again, and masters whose jobs stay the same are kept.
_DECISION_VERSION: Final = 5


@dataclass(frozen=True)
class Listing:
    """The files of ``input_dir`` and of the libraries, without their headers.

    Attributes
    ----------
    frames, library : tuple of ScannedFile
    digest : str
        Digest of these files and of the settings: a plan with another digest is out of date.
    """

    frames: tuple[ScannedFile, ...]
    library: tuple[ScannedFile, ...]
    digest: str


@without_collection()
def list_files(settings: Settings, digests: ContentDigests | None = None) -> Listing:
    """List frames and library masters.

    Parameters
    ----------
    settings : Settings
        With ``fingerprint: content`` files are identified by their content.
    digests : ContentDigests, optional
        The caller saves it; if omitted, computed digests are not cached.

    Raises
    ------
    ConfigError
        If ``input_dir`` or a library is missing, or there are no frames.
    """
    frames, library = scan_frames(settings), scan_library(settings)
    if settings.fingerprint == "content":
        digests = digests or ContentDigests(settings)
        frames = digests.add_digests(frames, settings.input_dir)
        library = digests.add_digests(library, Path())
    lines = "\n".join(map(_line, frames + library))
    # The plan does not depend on what other rules do.
    decisive_settings = replace(settings, engines=(), prune=False)
    versions = (needs_of(settings.engine).algorithm_version, _DECISION_VERSION, __version__)
    plan_inputs = (decisive_settings, *versions)
    return Listing(tuple(frames), tuple(library), fingerprint(lines, *plan_inputs))


def _line(file: ScannedFile) -> str:
    """Return what a plan depends on; a problem goes when what reads the file is installed."""
    problem = f"\t{file.problem}" if file.problem else ""
    return f"{file.path}\t{file.size}\t{file.version}{problem}"


def kept_identities(
    files: Iterable[ScannedFile], output_dir: Path, digests: ContentDigests
) -> dict[str, str]:
    """Identify kept masters: by the job that made them, or by content where they have no record.

    Parameters
    ----------
    files : iterable of ScannedFile
        Their paths are relative to ``output_dir``.
    output_dir : Path
    digests : ContentDigests
    """
    files = list(files)
    made = {file.path: read_made_of(output_dir / record_path(file.path)) for file in files}
    foreign = digests.add_digests([file for file in files if not made[file.path]], output_dir)
    by_job = {path: each.digest for path, each in made.items() if each}
    return by_job | {file.path: file.content for file in foreign}
