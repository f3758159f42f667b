"""Read the keywords of raw frames with the installed package ``ap_common``.

With ``header_reader: ap-common`` frames are grouped as the ap-* tools group them: tokens of the
path override the header (unless ``path_keywords: off``), the night is that of the computer's time
zone, and exposures have two decimals.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

from calmasters.errors import ConfigError, FrameError
from calmasters.frame import Value
from calmasters.headers.dialects import ALIASES
from calmasters.headers.frame_types import canonical_type
from calmasters.headers.values import is_known, typed_value
from calmasters.settings import HeaderRules

__all__ = ["ap_keywords"]

#: Canonical keyword to the key of ap_common; all other keys are the keyword in lower case.
_KEYS: Final[Mapping[str, str]] = {
    "INSTRUME": "camera",
    "SET-TEMP": "settemp",
    "READOUTM": "readoutmode",
    "EXPOSURE": "exposureseconds",
    "TELESCOP": "optic",
}


def ap_keywords(path: Path, rules: HeaderRules) -> dict[str, Value]:
    """Read the canonical keywords of a raw frame with ``ap_common``.

    Parameters
    ----------
    path : Path
        A FITS or XISF file.
    rules : HeaderRules
        ``extra`` and ``path_keywords`` apply; aliases do not.

    Raises
    ------
    ConfigError
        If the package is not installed.
    FrameError
        If the package cannot read the file.
    """
    package = _ap_common()
    read = package.get_xisf_headers if path.suffix.lower() == ".xisf" else package.get_fits_headers
    try:
        ap_headers: Mapping[str, object] = read(
            str(path), profileFromPath=False, file_naming_override=rules.path_keywords != "off"
        )
    except Exception as error:  # the package has no exceptions of its own
        raise FrameError(f"cannot be read by ap_common: {error}") from error
    keywords = {}
    for keyword in dict.fromkeys(("TYPE", "DATE", *ALIASES, *rules.extra)):
        text = str(ap_headers.get(_KEYS.get(keyword, keyword.lower()), "")).strip()
        value = canonical_type(text) if keyword == "TYPE" and text else typed_value(keyword, text)
        if value is not None and value != "" and is_known(keyword, value):
            keywords[keyword] = value
    return keywords


def _ap_common() -> ModuleType:
    try:
        return import_module("ap_common.fits")
    except ImportError as error:
        raise ConfigError(
            f"header_reader: ap-common needs the package ap_common, which cannot be imported here "
            f"({error}); install it into this environment, or set header_reader: native"
        ) from error
