from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.cli import parse_config
from snakemake.utils import update_config

from calmasters.config_check import check_config, translated, typed_config
from calmasters.errors import ConfigError
from calmasters.settings import Settings


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


@pytest.mark.parametrize(
    ("keyword", "value", "mistake"),
    [
        ("GIAN", 100, "GIAN: no list of keywords has GIAN; did you mean 'GAIN'?"),
        ("ROTATOR", 1, "ROTATOR: no list of keywords has ROTATOR; add it to required_keywords"),
        ("EXPOSURE", 60, "EXPOSURE: differs from frame to frame; name folders EXPOSURE_value"),
        ("DATE", "2026-01-15", "DATE: differs from frame to frame; name folders DATE_value"),
        ("GAIN", "VALUE", "GAIN: VALUE stands for a value; write the one of your frames"),
    ],
)
def test_what_cannot_be_assumed_for_a_camera_is_reported(
    config: dict[str, Any], schema: Path, keyword: str, value: object, mistake: str
) -> None:
    config["assume_keywords"] = {"ST-7": {keyword: value}}
    assert mistakes(config, schema) == [f"assume_keywords.ST-7.{mistake}"]


def test_the_name_of_a_camera_may_look_like_a_number(config: dict[str, Any], schema: Path) -> None:
    config["assume_keywords"] = {585: {"GAIN": 100}, "": {"INSTRUME": "ST-7"}}
    assert Settings.from_config(config, schema).assume_keywords == {
        "585": {"GAIN": 100},
        "": {"INSTRUME": "ST-7"},
    }


@pytest.mark.parametrize(
    ("old", "types_from"),
    [(True, ["header", "folder"]), (False, ["header"]), ("true", ["header", "folder"])],
)
def test_the_old_key_folder_types_is_translated_and_reported(
    config: dict[str, Any], schema: Path, old: bool | str, types_from: list[str]
) -> None:
    new, messages = translated({**config, "folder_types": old})
    assert new == {**config, "types_from": types_from}
    assert messages == (
        f"folder_types: {str(old).lower()} is an old setting; "
        f"write types_from: [{', '.join(types_from)}] instead of it",
    )
    settings = Settings.from_config({**config, "folder_types": old}, schema)
    assert settings.types_from == tuple(types_from)


def test_types_from_wins_over_the_old_key(config: dict[str, Any]) -> None:
    new, messages = translated({**config, "types_from": ["name"], "folder_types": True})
    assert new == {**config, "types_from": ["name"]}
    assert messages == (
        "folder_types: true is an old setting; write types_from: [name] instead of it",
    )


def test_a_configuration_without_old_keys_stays(config: dict[str, Any]) -> None:
    assert translated(config) == (config, ())


@pytest.mark.parametrize("value", [[], ["header", "header"], ["path"], True])
def test_types_from_is_a_list_of_places(
    config: dict[str, Any], schema: Path, value: object
) -> None:
    with pytest.raises(ConfigError, match="types_from"):
        check_config({**config, "types_from": value}, schema)


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keyword_patterns": {"INSTRUME": "(FW"}}, "keyword_patterns.INSTRUME: '(FW' is not"),
        (
            {"value_aliases": {"FILTER": {"Ha": ["H-alpha"], "Hb": ["h-ALPHA"]}}},
            "value_aliases.FILTER: 'h-alpha' is listed for Ha and Hb; remove it from one of them",
        ),
        ({"value_aliases": {"FILTER": {"Ha": []}}}, "value_aliases.FILTER.Ha"),
        ({"bias_max_exposure_s": 0}, "bias_max_exposure_s"),
    ],
)
def test_patterns_and_aliases_that_are_not_valid_are_named(
    config: dict[str, Any], schema: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_config({**config, **change}, schema)
    assert message in str(caught.value)


# --- on the command line --------------------------------------------------------------------------


#: Settings that messages suggest, each in the form in which a message writes it.
SUGGESTED = (
    'value_aliases: {"FILTER": {"Ha": ["HA", "H-alpha 7nm"]}}',
    'keyword_patterns: {"INSTRUME": "(.+?) FW"}',
    'assume_keywords: {"ZWO ASI2600MM Pro": {"GAIN": 100, "READOUTM": "Low Noise"}}',
    'type_words: {"flat": ["skyflat"]}',
    'exclude: ["*cloudy*"]',
    "types_from: [folder, header]",
    "round: {SET-TEMP: 0.5}",
    "night: {timezone: Pacific/Honolulu}",
    "pixinsight: {js_engine: v8}",
    "missing_keywords: by_camera",
    "path_keywords: override",
    "float_range: adu16",
    "mixed: split",
    "outlier_frames: skip",
    "on_bad_frame: skip",
    "minimum_frames: 5",
    "flat_dark_tolerance_s: 0.25",
    "engine: native",
    "header_reader: native",
    "master_format: fits",
    "prune: true",
)


@pytest.mark.parametrize("line", SUGGESTED)
def test_what_messages_suggest_works_in_the_file_and_on_the_command_line(
    config: dict[str, Any], schema: Path, line: str
) -> None:
    key, value = line.split(": ", 1)
    given = parse_config([f"{key}={value}"])
    on_command_line, in_file = deepcopy(config), deepcopy(config)
    update_config(on_command_line, given)
    update_config(in_file, yaml.safe_load(line))
    settings = [
        Settings.from_config(each, schema)
        for each in (typed_config(on_command_line, schema), in_file)
    ]
    if key == "assume_keywords":  # texts of numbers are read as numbers where they are used
        values = [[*each.assume_keywords.values()] for each in settings]
        assert [{k: str(v) for k, v in every[0].items()} for every in values] == [
            {"GAIN": "100", "READOUTM": "Low Noise"}
        ] * 2
    else:
        assert settings[0] == settings[1]
    assert (
        settings[0] != Settings.from_config(config, schema)
        or yaml.safe_load(line)[key] == config[key]
    )


def test_no_page_and_no_message_suggests_what_snakemake_does_not_accept() -> None:
    root = Path(__file__).parents[1]
    files = [
        *(root / "README.md", root / "Snakefile", *root.glob("config/*"), *root.glob("rules/*")),
        *(*root.rglob("calmasters/**/*.py"), *root.rglob("docs/*.md"), *root.rglob("scripts/*.py")),
    ]
    found = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        for match in re.finditer(r"--config(?: |\n# )('[^'\n]+'|[^\s`'\"]+)", text):
            entry = match[1].strip("'").rstrip("`,;:)")
            if entry not in ("merged.", "gives", "(?="):
                found.append(entry)
                parse_config([entry])
    assert {"prune=true", "integration={flat: {sigmaHigh: 2.5}}"} <= {*found}
    # Sentences that a person pastes do not name nested keys with dots.
    for file in root.rglob("calmasters/**/*.py"):
        assert not re.search(r"\bset [a-z]+\.[a-z_]+: ", file.read_text(encoding="utf-8")), file
