"""``config.yaml`` as frozen dataclasses: one attribute a key, checked once."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from calmasters.errors import ConfigError

__all__ = ["Calibration", "Integration", "Library", "Settings"]


@dataclass(frozen=True)
class Integration:
    """How frames are combined: PixInsight's ImageIntegration, with its own names and values.

    The defaults are PixInsight's, but for the four that would spoil a calibration master
    (``rangeClipLow``, ``truncateOnOutOfRange``, ``weightMode``, ``generateRejectionMaps``).
    """

    combination: str = "Average"
    weightMode: str = "DontCare"
    normalization: str = "NoNormalization"
    rejection: str = "WinsorizedSigmaClip"
    rejectionNormalization: str = "NoRejectionNormalization"
    minMaxLow: int = 1
    minMaxHigh: int = 1
    pcClipLow: float = 0.2
    pcClipHigh: float = 0.1
    sigmaLow: float = 4.0
    sigmaHigh: float = 3.0
    winsorizationCutoff: float = 5.0
    linearFitLow: float = 5.0
    linearFitHigh: float = 4.0
    esdOutliersFraction: float = 0.3
    esdAlpha: float = 0.05
    esdLowRelaxation: float = 1.0
    clipLow: bool = True
    clipHigh: bool = True
    rangeClipLow: bool = False
    rangeLow: float = 0.0
    rangeClipHigh: bool = False
    rangeHigh: float = 0.98
    truncateOnOutOfRange: bool = True
    generateRejectionMaps: bool = False


@dataclass(frozen=True)
class Calibration:
    """How flats are calibrated before they are combined: PixInsight's ImageCalibration."""

    optimizeDarks: bool = True
    darkOptimizationLow: float = 3.0
    darkOptimizationWindow: int = 0
    enableCFA: bool = True
    outputPedestal: int = 0


@dataclass(frozen=True)
class Library:
    """Directories of masters made before, by whatever program."""

    bias: tuple[Path, ...] = ()
    dark: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Settings:
    """The configuration; ``config/README.md`` says what each key means."""

    engine: str
    input_dir: Path
    output_dir: Path
    library: Library
    required_keywords: Mapping[str, tuple[str, ...]]
    optional_keywords: tuple[str, ...]
    master_match_keywords: tuple[str, ...]
    ignored_types: tuple[str, ...]
    keyword_aliases: Mapping[str, tuple[str, ...]]
    exclude: tuple[str, ...]
    path_keywords: str
    night: Mapping[str, str]
    round: Mapping[str, float]
    temperature_tolerance_c: float
    minimum_frames: int
    flat_dark_tolerance_s: float
    integration: Mapping[str, Integration]
    calibration: Mapping[str, Calibration]
    master_format: str
    float_range: str
