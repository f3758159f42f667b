"""Raw astronomical frames in, calibration masters out."""

from calmasters.headers import get_fits_headers, get_metadata_for_directory

__all__ = ["__version__", "get_fits_headers", "get_metadata_for_directory"]

__version__ = "0.1.0"
