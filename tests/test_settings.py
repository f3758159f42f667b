from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from calmasters.errors import ConfigError
from calmasters.frame import FrameType
from calmasters.settings import (
    Calibrated,
    Calibration,
    Integration,
    Library,
    PixInsight,
    QualityRules,
    Settings,
)

MakeSettings = Callable[..., Settings]
README = Path(__file__).parents[1] / "config" / "README.md"

AGREED_ORDER = (
    "engine", "input_dir", "output_dir", "library", "pixinsight", "siril",
    "required_keywords", "optional_keywords", "missing_keywords", "assume_keywords",
    "master_match_keywords", "ignored_types", "type_words", "keyword_aliases",
    "keyword_patterns", "value_aliases", "exclude", "fingerprint",
    "path_keywords", "types_from", "header_reader",
    "night", "round", "temperature",
    "minimum_frames", "mixed", "on_bad_frame", "outlier_frames", "bias_max_exposure_s",
    "flat_dark_tolerance_s",
    "integration", "calibration", "calibrated",
    "master_format", "layout", "float_range", "cubes", "overscan", "cameras", "quality", "engines",
    "prune",
)  # fmt: skip


# --- a valid configuration ------------------------------------------------------------------------


def test_the_defaults_are_valid_and_become_typed_settings(
    config: dict[str, Any], schema: Path
) -> None:
    settings = Settings.from_config(config, schema)
    assert (settings.engine, settings.input_dir) == ("native", Path("frames"))
    assert (settings.library, settings.pixinsight.binary) == (Library(), None)
    assert settings.required_keywords["dark"][-1] == "EXPOSURE"
    assert settings.optional_keywords == ("READOUTM", "FILTER")
    assert settings.integration["bias"] == Integration()
    assert settings.integration["flat"] == Integration(
        normalization="Multiplicative", rejectionNormalization="EqualizeFluxes"
    )
    assert settings.calibration == {"flat": Calibration()}
    assert settings.calibrated == Calibrated()
    assert settings.pixinsight == PixInsight(
        parameters={"ImageIntegration": {}, "ImageCalibration": {}}
    )


def test_a_mistake_is_found_if_the_schema_is_given(config: dict[str, Any], schema: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'exclude'"):
        Settings.from_config({**config, "exlude": []}, schema)


def test_settings_cannot_be_changed(settings: Settings) -> None:
    with pytest.raises(AttributeError):
        settings.engine = "pixinsight"  # type: ignore[misc]


def test_omitted_parameters_of_a_process_have_their_defaults(make_settings: MakeSettings) -> None:
    settings = make_settings(integration={"bias": {"rejection": "MinMax"}})
    assert settings.integration["bias"] == Integration(rejection="MinMax")


def test_home_directories_are_expanded(make_settings: MakeSettings) -> None:
    settings = make_settings(
        input_dir="~/frames",
        output_dir="~/output",
        library={"dark": ["~/darks"]},
        pixinsight={"binary": "~/bin/PI"},
    )
    assert settings.library.dark == (Path.home() / "darks",)
    assert settings.input_dir == Path.home() / "frames"
    assert settings.output_dir == Path.home() / "output"
    assert settings.pixinsight.binary == Path.home() / "bin" / "PI"


@pytest.mark.parametrize("value", ["off", False])
def test_a_bare_off_is_off(make_settings: MakeSettings, value: object) -> None:
    assert make_settings(path_keywords=value).headers.path_keywords == "off"


def test_the_rules_for_headers_name_every_keyword_of_the_lists(
    make_settings: MakeSettings,
) -> None:
    rules = make_settings(
        required_keywords={"flat": ["TYPE", "FOCALLEN"]},
        optional_keywords=["USBLIMIT"],
        master_match_keywords=["GAIN", "EGAIN"],
        keyword_aliases={"INSTRUME": ["CAMNAME"]},
        night={"timezone": "+02:00"},
        temperature={"tolerance_c": 2.5, "action": "refuse"},
        types_from=["folder", "header"],
        header_reader="ap-common",
    ).headers
    assert {"FOCALLEN", "USBLIMIT", "EGAIN", "GAIN", "EXPOSURE"} <= set(rules.extra)
    assert len(rules.extra) == len(set(rules.extra))
    assert rules.aliases == {"INSTRUME": ("CAMNAME",)}
    assert (rules.timezone, rules.temperature_tolerance_c) == ("+02:00", 2.5)
    assert (rules.temperature_action, rules.types_from) == ("refuse", ("folder", "header"))
    assert rules.reader == "ap-common"


def test_pixel_parameters_omit_those_that_change_no_pixel(
    make_settings: MakeSettings,
) -> None:
    parameters = {
        "ImageIntegration": {"rcrLimit": 0.1, "bufferSizeMB": 64},
        "ImageCalibration": {"fileThreadOverload": 2.0},
    }
    settings = make_settings(pixinsight={"parameters": parameters})
    assert settings.pixinsight.pixel_parameters == {
        "ImageIntegration": {"rcrLimit": 0.1},
        "ImageCalibration": {},
    }


# --- one list of names ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def properties(schema: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(schema.read_text(encoding="utf-8"))
    return loaded


def names(part: Mapping[str, Any]) -> list[str]:
    return list(part["properties"])


def test_the_keys_are_in_the_agreed_order(config: dict[str, Any]) -> None:
    assert list(config) == [key for key in AGREED_ORDER if key in config]


def test_configuration_schema_and_settings_have_the_same_keys(
    config: dict[str, Any], properties: dict[str, Any]
) -> None:
    assert list(config) == names(properties) == properties["required"]
    assert list(config) == [each.name for each in fields(Settings) if each.default is MISSING]


@pytest.mark.parametrize(
    ("section", "of"),
    [
        ("library", Library),
        ("pixinsight", PixInsight),
        ("calibrated", Calibrated),
        ("quality", QualityRules),
    ],
)
def test_sections_have_the_same_keys(
    config: dict[str, Any], properties: dict[str, Any], section: str, of: type[Any]
) -> None:
    inner = properties["properties"][section]
    attributes = [field.name for field in fields(of)]
    assert list(config[section]) == names(inner) == inner["required"] == attributes


@pytest.mark.parametrize(
    ("process", "of"), [("integration", Integration), ("calibration", Calibration)]
)
def test_processes_have_the_same_parameters(
    config: dict[str, Any], properties: dict[str, Any], process: str, of: type[Any]
) -> None:
    assert names(properties["$defs"][process]) == [field.name for field in fields(of)]
    for given in config[process].values():
        assert set(given) <= {field.name for field in fields(of)}


def test_no_key_may_be_unknown_at_any_depth(properties: dict[str, Any]) -> None:
    def objects(part: object) -> Iterator[Mapping[str, Any]]:
        if isinstance(part, Mapping):
            if part.get("type") == "object":
                yield part
            for inner in part.values():
                yield from objects(inner)

    for part in objects(properties):
        assert part.get("additionalProperties") is not None
        properties_of_part = part.get("properties", {}).values()
        assert all("description" in inner for inner in properties_of_part)


def test_every_key_is_documented(config: dict[str, Any], properties: dict[str, Any]) -> None:
    sections = ("library", "pixinsight", "required_keywords", "night", "temperature", "calibrated")
    known = [
        *config,
        *(key for section in sections for key in config[section]),
        *names(properties["$defs"]["integration"]),
        *names(properties["$defs"]["calibration"]),
    ]
    documented = set(re.findall(r"`(\w+)`", README.read_text(encoding="utf-8")))
    assert set(known) - documented == set()


@pytest.mark.parametrize(
    ("kind", "frames", "rejection"),
    [
        (FrameType.FLAT, 5, "PercentileClip"),
        (FrameType.BIAS, 5, "PercentileClip"),
        (FrameType.FLAT, 6, "WinsorizedSigmaClip"),
        (FrameType.FLAT, 15, "WinsorizedSigmaClip"),
        (FrameType.FLAT, 16, "LinearFit"),
        (FrameType.DARK, 50, "WinsorizedSigmaClip"),
    ],
)
def test_auto_is_the_rejection_that_wbpp_uses(kind, frames, rejection, make_settings):
    settings = make_settings(integration={kind.value: {"rejection": "auto"}})
    assert settings.integration[kind.value].chosen_for(kind, frames).rejection == rejection


def test_a_named_rejection_is_kept():
    assert (
        Integration(rejection="SigmaClip").chosen_for(FrameType.FLAT, 30).rejection == "SigmaClip"
    )
