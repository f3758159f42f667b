"""Make calibration masters from raw astronomical frames."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calmasters.headers.keywords import get_fits_headers, get_metadata_for_directory
    from calmasters.inventory.table import read_inventory

__all__ = ["__version__", "get_fits_headers", "get_metadata_for_directory", "read_inventory"]

__version__ = "0.1.0"

#: Where the public functions are defined.
_MODULES = {
    "get_fits_headers": "calmasters.headers.keywords",
    "get_metadata_for_directory": "calmasters.headers.keywords",
    "read_inventory": "calmasters.inventory.table",
}


def __getattr__(name: str) -> object:
    """Import a public function on first use: most processes of a run need none of them."""
    if name not in _MODULES:
        raise AttributeError(f"module 'calmasters' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)
