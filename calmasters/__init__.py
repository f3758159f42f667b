"""Raw astronomical frames in, calibration masters out."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calmasters.headers.read_keywords import get_fits_headers, get_metadata_for_directory

__all__ = ["__version__", "get_fits_headers", "get_metadata_for_directory"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import what reads headers when it is asked for: most processes of a run read none."""
    if name not in __all__:
        raise AttributeError(f"module 'calmasters' has no attribute '{name}'")
    from calmasters.headers import read_keywords

    return getattr(read_keywords, name)
