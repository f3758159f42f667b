"""Everything that a plan depends on besides the settings: which files there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from calmasters import __version__
from calmasters.engines import needs_of
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.scan import ScannedFile, fingerprint, scan_frames, scan_library
from calmasters.settings import Settings

__all__ = ["Listing", "list_files"]


@dataclass(frozen=True)
class Listing:
    """The files of ``input_dir`` and of the libraries; no header is read for it.

    Attributes
    ----------
    frames, library : tuple of ScannedFile
    digest : str
        Of these files and of the settings: a plan with another digest does not hold any more.
    """

    frames: tuple[ScannedFile, ...]
    library: tuple[ScannedFile, ...]
    digest: str


def list_files(settings: Settings, digests: ContentDigests | None = None) -> Listing:
    """List frames and library masters.

    Parameters
    ----------
    settings : Settings
        With ``fingerprint: content`` files are identified by their content.
    digests : ContentDigests, optional
        To be saved by the caller; without it, digests that are computed are not remembered.

    Raises
    ------
    ConfigError
        If ``input_dir`` or a library is missing, or no frame is found.
    """
    frames, library = scan_frames(settings), scan_library(settings)
    if settings.fingerprint == "content":
        digests = digests or ContentDigests(settings)
        frames = digests.identify(frames, settings.input_dir)
        library = digests.identify(library, Path())
    lines = "\n".join(f"{file.path}\t{file.size}\t{file.version}" for file in frames + library)
    # Whether orphans are to be moved decides nothing here.
    deciding = replace(settings, prune=False)
    decided_by = (deciding, needs_of(settings.engine).algorithm_version, __version__)
    return Listing(tuple(frames), tuple(library), fingerprint(lines, *decided_by))
