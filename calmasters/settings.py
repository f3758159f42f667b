"""``config.yaml`` as frozen dataclasses: one attribute per key."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

from calmasters.config_check import check_config, translated
from calmasters.errors import ConfigError
from calmasters.frame import FrameType, Value

__all__ = [
    "BadFrames",
    "Calibrated",
    "Calibration",
    "HeaderRules",
    "Integration",
    "LayoutRules",
    "Library",
    "PixInsight",
    "QualityRules",
    "Settings",
    "Siril",
    "input_root",
]

#: Parameters of PixInsight's processes that affect speed and memory, but no pixel.
_SPEED: Final = frozenset(
    {
        "autoMemoryLimit",
        "autoMemorySize",
        "bufferSizeMB",
        "fileThreadOverload",
        "maxBufferThreads",
        "maxFileReadThreads",
        "maxFileWriteThreads",
        "stackSizeMB",
        "useBufferThreads",
        "useCache",
        "useFileThreads",
    }
)


@dataclass(frozen=True)
class Integration:
    """How frames are combined: the parameters of PixInsight's ImageIntegration.

    Names, values and defaults are PixInsight's, except four defaults that would damage a
    calibration master (``rangeClipLow``, ``truncateOnOutOfRange``, ``weightMode`` and
    ``generateRejectionMaps``), and ``linearFitHigh``, which is that of WBPP.
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
    linearFitHigh: float = 3.5
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

    def chosen_for(self, kind: FrameType, frames: int) -> Integration:
        """Replace the rejection ``auto`` by the one that WBPP uses for this number of frames."""
        if self.rejection != "auto":
            return self
        if frames < 6:
            return replace(self, rejection="PercentileClip")
        if frames <= 15 or kind is not FrameType.FLAT:
            return replace(self, rejection="WinsorizedSigmaClip")
        return replace(self, rejection="LinearFit")


@dataclass(frozen=True)
class Calibration:
    """How flats are calibrated before they are combined: PixInsight's ImageCalibration."""

    optimizeDarks: bool = True
    darkOptimizationLow: float = 3.0
    darkOptimizationWindow: int = 0
    enableCFA: bool = True
    outputPedestal: int = 0


@dataclass(frozen=True)
class Calibrated:
    """Where PixInsight writes calibrated flats, and whether they are kept.

    Attributes
    ----------
    directory : Path
        Their folder, with a subfolder per master; relative to ``output_dir``.
    keep : bool
        Keep them after the master is made.
    """

    directory: Path = Path("calibrated")
    keep: bool = False

    @classmethod
    def from_config(cls, value: Mapping[str, Any]) -> Calibrated:
        """Read ``calibrated`` from a checked configuration."""
        return cls(_path(value["directory"]), value["keep"])


@dataclass(frozen=True)
class BadFrames:
    """What to do with frames whose pixels turn out to be bad, or unlike the others.

    This decides whether a master is made, but not its pixels, so it is not part of a job.

    Attributes
    ----------
    skip : bool
        Leave the frame out; otherwise the master is not made.
    minimum_frames : int
        Number of frames that must remain.
    fail_on_outliers : bool
        Make no master of frames that differ from each other. Leaving such frames out changes the
        master, so that is part of its recipe.
    """

    skip: bool = True
    minimum_frames: int = 3
    fail_on_outliers: bool = False

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> BadFrames:
        """Read them from a checked configuration."""
        return cls(
            config["on_bad_frame"] == "skip",
            config["minimum_frames"],
            config["outlier_frames"] == "fail",
        )


@dataclass(frozen=True)
class PixInsight:
    """How to find and run PixInsight (``engine: pixinsight``).

    Attributes
    ----------
    binary : Path or None
        The program; None searches the usual places.
    js_engine : str
        JavaScript engine of the scripts: ``sm`` (the old one), ``v8`` (PixInsight 1.9.4 and
        later) or ``auto`` (``v8`` on Apple silicon, which has no other).
    timeout_minutes : float
        If a master takes longer, it fails and PixInsight is ended.
    retries : int
        Number of restarts of PixInsight after a crash.
    force_exit : bool
        Let PixInsight end itself after the script; otherwise it is ended from outside.
    session : str
        ``per_master`` (each master starts its own PixInsight) or ``shared`` (one PixInsight makes
        all masters of a run).
    jobs_per_session : int
        Number of masters that a shared PixInsight makes before it is restarted.
    parameters : mapping of str to mapping
        Other parameters of ``ImageIntegration`` and ``ImageCalibration``, by PixInsight's names.
    """

    binary: Path | None = None
    js_engine: str = "auto"
    timeout_minutes: float = 60.0
    retries: int = 1
    force_exit: bool = True
    session: str = "per_master"
    jobs_per_session: int = 25
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def from_config(cls, value: Mapping[str, Any]) -> PixInsight:
        """Read ``pixinsight`` from a checked configuration."""
        binary = _path(value["binary"]) if value["binary"] else None
        return cls(**{**value, "binary": binary})

    @property
    def pixel_parameters(self) -> dict[str, dict[str, Any]]:
        """The ``parameters`` without those that only affect speed and memory."""
        return {
            process: {name: value for name, value in given.items() if name not in _SPEED}
            for process, given in self.parameters.items()
        }

    @property
    def wants_v8(self) -> bool:
        """Whether scripts use the V8 engine."""
        apple_silicon = (platform.system(), platform.machine()) == ("Darwin", "arm64")
        return self.js_engine == "v8" or (self.js_engine == "auto" and apple_silicon)


@dataclass(frozen=True)
class Siril:
    """How to find and run Siril (``engine: siril``).

    Attributes
    ----------
    binary : Path or None
        The program ``siril-cli``; None searches the usual places.
    timeout_minutes : float
        If a master takes longer, it fails and Siril is ended.
    """

    binary: Path | None = None
    timeout_minutes: float = 60.0

    @classmethod
    def from_config(cls, value: Mapping[str, Any]) -> Siril:
        """Read ``siril`` from a checked configuration."""
        return cls(_path(value["binary"]) if value["binary"] else None, value["timeout_minutes"])


@dataclass(frozen=True)
class LayoutRules:
    """How overscan and amplifiers are found, and what becomes of them.

    Attributes
    ----------
    overscan : str
        How the level of an overscan is measured: ``auto`` (as the table of the camera says,
        otherwise ``median``), ``median`` (of each line), ``polynomial``, ``constant``; or ``off``:
        it is neither subtracted nor cut off.
    cameras : mapping of str to mapping
        Sections and amplifiers by camera, as in ``config.yaml``.
    """

    overscan: str = "auto"
    cameras: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class HeaderRules:
    """The settings for reading headers.

    Attributes
    ----------
    aliases : mapping of str to tuple of str
        For a canonical keyword, the cards to try before those of
        :data:`calmasters.headers.dialects.ALIASES`.
    extra : tuple of str
        Other keywords to read, by their own name.
    path_keywords : str
        ``fallback`` (a token in the path is used if the header has no value), ``override`` or
        ``off``.
    timezone : str
        Time zone of the observatory: IANA name, offset (``+02:00``), or ``auto`` (unknown).
    round : mapping of str to float
        Rounding step of SET-TEMP or EXPOSURE.
    temperature_tolerance_c : float
        Largest allowed difference between set-point and measured temperature.
    temperature_action : str
        What to do with a frame beyond the tolerance: ``warn`` or ``refuse``.
    types_from : tuple of str
        Where the type of a frame is searched, in order: ``header``, ``folder`` (its name, such as
        ``Darks``), ``name`` (of the file).
    reader : str
        Reader of the keywords of raw frames: ``native`` or ``ap-common``.
    layouts : LayoutRules
        How overscan and amplifiers are found.
    """

    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    path_keywords: str = "fallback"
    timezone: str = "auto"
    round: Mapping[str, float] = field(default_factory=dict)
    temperature_tolerance_c: float = 1.0
    temperature_action: str = "warn"
    types_from: tuple[str, ...] = ("header", "folder")
    reader: str = "native"
    layouts: LayoutRules = LayoutRules()


@dataclass(frozen=True)
class Library:
    """Directories of existing masters, made by any program."""

    bias: tuple[Path, ...] = ()
    dark: tuple[Path, ...] = ()


@dataclass(frozen=True)
class QualityRules:
    """The expected ranges of the quality numbers of a master.

    Attributes
    ----------
    fail_on : str
        ``error``: the report fails if a number is outside its range; ``none``: it only warns.
    ranges : mapping of str to mapping
        For bias, dark and flat: name of a number to its lowest and highest value, None for no
        limit.
    history_masters : int
        With this number of other masters of one kind and setting, these decide; 0 for never.
    """

    fail_on: str = "none"
    history_masters: int = 5
    ranges: Mapping[str, Mapping[str, tuple[float | None, float | None]]] = field(
        default_factory=dict
    )


@dataclass(frozen=True)
class Settings:
    """The configuration; see ``config/README.md`` for the meaning of each key.

    The paths of frames are relative to ``input_dir``. If the configuration lists several
    directories, it is the folder that contains them all, and only ``input_dirs`` are searched.
    """

    engine: str
    input_dir: Path
    output_dir: Path
    library: Library
    pixinsight: PixInsight
    siril: Siril
    required_keywords: Mapping[str, tuple[str, ...]]
    optional_keywords: tuple[str, ...]
    missing_keywords: str
    assume_keywords: Mapping[str, Mapping[str, Value]]
    master_match_keywords: tuple[str, ...]
    ignored_types: tuple[str, ...]
    type_words: Mapping[str, tuple[str, ...]]
    keyword_aliases: Mapping[str, tuple[str, ...]]
    keyword_patterns: Mapping[str, str]
    value_aliases: Mapping[str, Mapping[str, tuple[Value, ...]]]
    exclude: tuple[str, ...]
    fingerprint: str
    path_keywords: str
    types_from: tuple[str, ...]
    header_reader: str
    night: Mapping[str, str]
    round: Mapping[str, float]
    temperature: Mapping[str, Any]
    minimum_frames: int
    mixed: str
    on_bad_frame: str
    outlier_frames: str
    bias_max_exposure_s: float
    flat_dark_tolerance_s: float
    integration: Mapping[str, Integration]
    calibration: Mapping[str, Calibration]
    calibrated: Calibrated
    master_format: str
    layout: str
    float_range: str
    cubes: str
    overscan: str
    cameras: Mapping[str, Mapping[str, Any]]
    quality: QualityRules
    engines: tuple[str, ...]
    prune: bool
    # Not a key, but the list that input_dir may be.
    several_inputs: tuple[Path, ...] = ()

    @classmethod
    def from_config(cls, config: Mapping[str, Any], schema: Path | None = None) -> Settings:
        """Check a configuration, and convert it to frozen settings.

        Parameters
        ----------
        config : mapping
            All keys of ``config.yaml``: defaults, the user's file and ``--config`` merged. Old
            keys are accepted, see :func:`~calmasters.config_check.translated`.
        schema : Path
            ``config.schema.yaml``. Omit it if the configuration was checked before, as in the jobs
            of a run: the check takes longer than the rest of their start.

        Raises
        ------
        ConfigError
            Lists every mistake with its key; see :func:`~calmasters.config_check.check_config`.
        """
        config, _ = translated(config)
        if schema:
            check_config(config, schema)
        convert: dict[str, Callable[[Any], Any]] = {
            "input_dir": input_root,
            "output_dir": _path,
            "library": lambda value: Library(**{key: _paths(value[key]) for key in value}),
            "pixinsight": PixInsight.from_config,
            "siril": Siril.from_config,
            "calibrated": Calibrated.from_config,
            # A camera's name may look like a number.
            "assume_keywords": lambda value: {str(key): dict(value[key]) for key in value},
            "value_aliases": lambda value: {
                key: {str(name): tuple(value[key][name]) for name in value[key]} for key in value
            },
            "prune": lambda value: value in (True, "true"),
            # YAML reads a bare off as false.
            "path_keywords": lambda value: value or "off",
            "overscan": lambda value: value or "off",
            "cameras": lambda value: {str(key): _frozen(value[key]) for key in value},
            "integration": lambda value: {key: Integration(**value[key]) for key in value},
            "calibration": lambda value: {key: Calibration(**value[key]) for key in value},
            "quality": lambda value: QualityRules(**_frozen(value)),
        }
        several = _input_dirs(config["input_dir"])
        return cls(
            **{key: convert.get(key, _frozen)(value) for key, value in config.items()},
            several_inputs=several if len(several) > 1 else (),
        )

    @property
    def input_dirs(self) -> tuple[Path, ...]:
        """The directories that are searched for frames, all below ``input_dir``."""
        return self.several_inputs or (self.input_dir,)

    @property
    def headers(self) -> HeaderRules:
        """The settings for reading headers."""
        named = (*self.required_keywords.values(), self.optional_keywords)
        return HeaderRules(
            aliases=self.keyword_aliases,
            extra=tuple(dict.fromkeys((*chain(*named), *self.master_match_keywords))),
            path_keywords=self.path_keywords,
            timezone=self.night["timezone"],
            round=self.round,
            temperature_tolerance_c=self.temperature["tolerance_c"],
            temperature_action=self.temperature["action"],
            types_from=self.types_from,
            reader=self.header_reader,
            layouts=LayoutRules(self.overscan, self.cameras),
        )


def input_root(value: str | Sequence[str]) -> Path:
    """Return the directory that the paths of frames are relative to.

    Parameters
    ----------
    value : str or sequence of str
        ``input_dir`` of a checked configuration.

    Returns
    -------
    Path
        The directory itself; of several directories the innermost folder that contains them all.

    Raises
    ------
    ConfigError
        If no folder contains all directories: drives of Windows.
    """
    directories = _input_dirs(value)
    if len(directories) == 1:
        return directories[0]
    try:
        return Path(os.path.commonpath(directories))
    except ValueError as error:
        names = ", ".join(map(str, directories))
        raise ConfigError(
            f"input_dir: no folder contains all of {names}; give directories of one drive"
        ) from error


def _input_dirs(value: str | Sequence[str]) -> tuple[Path, ...]:
    """Return the different directories of ``input_dir``; comparable if there are several."""
    if isinstance(value, str):
        return (_path(value),)
    directories = tuple(dict.fromkeys(Path(os.path.normpath(_path(name))) for name in value))
    are_below_here = not any(path.is_absolute() or ".." in path.parts for path in directories)
    if len(directories) == 1 or are_below_here:
        return directories
    return tuple(dict.fromkeys(Path(os.path.normpath(Path.cwd() / path)) for path in directories))


def _path(name: str) -> Path:
    return Path(name).expanduser()


def _paths(names: Iterable[str]) -> tuple[Path, ...]:
    return tuple(_path(name) for name in names)


def _frozen(value: Any) -> Any:
    """Convert lists to tuples, also inside mappings."""
    if isinstance(value, Mapping):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
