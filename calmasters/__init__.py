"""Make calibration masters from raw astronomical frames."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from calmasters.headers.keywords import get_fits_headers, get_metadata_for_directory
    from calmasters.inventory.table import read_inventory

__all__ = [
    "SNAKEFILE",
    "WORKFLOW_FILES",
    "__version__",
    "get_fits_headers",
    "get_metadata_for_directory",
    "read_inventory",
]

_PACKAGE: Final = Path(__file__).parent
_VERSION: Final = _PACKAGE / "version.txt"
_INSTALLED: Final = _PACKAGE / "workflow_files"

#: The version of the tag, which the installation writes; importlib.metadata would cost each job
#: some hundredths of a second.
__version__ = _VERSION.read_text("ascii") if _VERSION.is_file() else "0.0"

#: Folder of the Snakefile, its rules and its configuration: part of a wheel, but beside the package
#: in a clone.
WORKFLOW_FILES = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent

#: The Snakefile, for ``snakemake --snakefile`` and for ``module`` of another workflow.
SNAKEFILE = WORKFLOW_FILES / "Snakefile"

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
