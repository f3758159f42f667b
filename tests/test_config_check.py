from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from calmasters.config_check import check_config, typed_config
from calmasters.errors import ConfigError


def mistakes(config: Mapping[str, Any], schema: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_config(config, schema)
    first, *lines = str(caught.value).splitlines()
    assert first == "the configuration is not valid:"
    return [line.strip() for line in lines]


def with_value(config: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    """Set a key, nested ones written with dots."""
    *path, last = key.split(".")
    inner = config
    for step in path:
        inner = inner[step]
    inner[last] = value
    return config


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("exlude", "exclude"),
        ("minimun_frames", "minimum_frames"),
        ("library.biases", "bias"),
        ("integration.flat.sigmalow", "sigmaLow"),
        ("pixinsight.timeout", "timeout_minutes"),
        ("pixinsight.parameters.ImageIntegration.bufferSize", "bufferSizeMB"),
    ],
)
def test_an_unknown_key_is_reported_with_the_most_similar_one(
    config: dict[str, Any], schema: Path, key: str, near: str
) -> None:
    assert mistakes(with_value(config, key, 1), schema) == [
        f"{key}: unknown key; did you mean '{near}'?"
    ]


def test_an_unknown_key_without_a_similar_one_is_reported_with_all_keys(
    config: dict[str, Any], schema: Path
) -> None:
    assert mistakes(with_value(config, "library.xyzzy", 1), schema) == [
        "library.xyzzy: unknown key; known keys: bias, dark"
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("engine", "wbpp"),
        ("input_dir", ""),
        ("library", None),
        ("library.bias", "masters"),
        ("exclude", "*.bad"),
        ("required_keywords.bias", []),
        ("optional_keywords", {}),
        ("keyword_aliases.GAIN", "EGAIN"),
        ("round.EXPOSURE", 0),
        ("night.timezone", 2),
        ("minimum_frames", 2),
        ("minimum_frames", "5"),
        ("minimum_frames", True),
        ("flat_dark_tolerance_s", -0.1),
        ("integration.bias.sigmaLow", "4"),
        ("integration.dark.rejection", "SigmaClipping"),
        ("integration.flat.winsorizationCutoff", 2.9),
        ("calibration.flat.optimizeDarks", "yes"),
        ("calibrated.keep", 1),
        ("pixinsight.retries", -1),
        ("master_format", "tiff"),
        ("float_range", "adu"),
    ],
)
def test_a_wrong_value_is_reported_with_its_key(
    config: dict[str, Any], schema: Path, key: str, value: object
) -> None:
    (mistake,) = mistakes(with_value(config, key, value), schema)
    where, _, what = mistake.partition(": ")
    assert where == key
    assert repr(value) in what


def test_a_missing_key_is_reported(config: dict[str, Any], schema: Path) -> None:
    del config["engine"], config["library"]["dark"]
    assert mistakes(config, schema) == [
        "top level: 'engine' is a required property",
        "library: 'dark' is a required property",
    ]


def test_all_mistakes_are_reported_together(config: dict[str, Any], schema: Path) -> None:
    config |= {"exlude": [], "engin": "native", "minimum_frames": 1, "path_keywords": "always"}
    keys = sorted(line.partition(":")[0] for line in mistakes(config, schema))
    assert keys == ["engin", "exlude", "minimum_frames", "path_keywords"]


def test_darks_grouped_without_exposure_and_a_wrong_zone_are_reported_together(
    config: dict[str, Any], schema: Path
) -> None:
    config["required_keywords"]["dark"].remove("EXPOSURE")
    config["night"]["timezone"] = "Mars/Olympus"
    darks, zone = mistakes(config, schema)
    assert re.search("required_keywords.dark: EXPOSURE is missing; .* add EXPOSURE", darks)
    assert "'Mars/Olympus' is not a time zone" in zone


@pytest.mark.parametrize("keyword", ["DATE", "FILTER"])
def test_flats_cannot_be_matched_to_masters_by_date_or_filter(
    config: dict[str, Any], schema: Path, keyword: str
) -> None:
    config["master_match_keywords"].append(keyword)
    (mistake,) = mistakes(config, schema)
    assert re.search(f"master_match_keywords: {keyword} .* remove {keyword} from the list", mistake)


# --- values of --config ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("integration.flat.sigmaHigh", "2.5", 2.5),
        ("integration.flat.minMaxLow", "2", 2),
        ("calibration.flat.optimizeDarks", "false", False),
        ("quality.ranges.bias.frames", ["4", "null"], [4, None]),
    ],
)
def test_texts_inside_of_braces_become_what_is_expected(
    config: dict[str, Any], schema: Path, key: str, text: object, value: object
) -> None:
    given = with_value(deepcopy(config), key, text)
    assert typed_config(given, schema) == with_value(config, key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("integration.flat.sigmaHigh", "high"),
        ("integration.flat.sigmaHigh", "{"),
        ("calibration.flat.optimizeDarks", "2"),
        ("keyword_aliases.INSTRUME", ["2600"]),
        ("minimum_frames", "5"),
    ],
)
def test_other_values_stay_as_they_were_given(
    config: dict[str, Any], schema: Path, key: str, value: object
) -> None:
    given = with_value(config, key, value)
    assert typed_config(given, schema) == given


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "is empty, expected a text"),
        (2026, "2026 is a number, expected a text: write ./2026 for a path"),
    ],
)
def test_a_directory_that_is_no_text_is_refused_with_what_to_write(
    config: dict[str, Any], schema: Path, value: object, says: str
) -> None:
    assert mistakes(with_value(config, "input_dir", value), schema) == [f"input_dir: {says}"]
