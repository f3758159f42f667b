"""List the files that a plan depends on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from calmasters import __version__
from calmasters.engines import needs_of
from calmasters.garbage import without_collection
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.scan import ScannedFile, fingerprint, scan_frames, scan_library
from calmasters.settings import Settings

__all__ = ["Listing", "list_files"]


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
    lines = "\n".join(f"{file.path}\t{file.size}\t{file.version}" for file in frames + library)
    # The plan does not depend on prune.
    decisive_settings = replace(settings, prune=False)
    plan_inputs = (decisive_settings, needs_of(settings.engine).algorithm_version, __version__)
    return Listing(tuple(frames), tuple(library), fingerprint(lines, *plan_inputs))
