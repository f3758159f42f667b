"""Raw astronomical frames in, calibration masters out."""

from calmasters.headers import get_fits_headers, get_metadata_for_directory

__all__ = ["get_fits_headers", "get_metadata_for_directory"]
