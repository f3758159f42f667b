from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from calmasters.frame import Status, Verdict
from calmasters.inventory.suggestions import (
    settings_as_yaml,
    suggested_settings,
    write_suggestions,
)
from calmasters.settings import Settings


def refused(settings: dict[str, object], remedy: str = "set it") -> Verdict:
    return Verdict(Status.REFUSED, "lacks it", remedy, settings=settings)


GAIN = {"assume_keywords": {"ST-7": {"GAIN": 100}}}


def test_settings_of_all_verdicts_are_merged(settings: Settings) -> None:
    verdicts = [
        refused({"assume_keywords": {"ST-7": {"OFFSET": 10}}}),
        refused(GAIN),
        refused(GAIN),
        refused({"float_range": "adu16"}),
        refused({}),
    ]
    assert suggested_settings(verdicts, settings) == {
        "assume_keywords": {"ST-7": {"OFFSET": 10, "GAIN": 100}},
        "float_range": "adu16",
    }


def test_current_values_are_kept_because_a_configuration_file_replaces_lists(
    settings: Settings,
) -> None:
    current = replace(
        settings,
        ignored_types=("light", "focus"),
        type_words={"flat": ("a",), "dark": ("d",)},
    )
    verdicts = [refused({"ignored_types": ["bpm"], "type_words": {"flat": ["b"], "bias": ["c"]}})]
    assert suggested_settings(verdicts, current) == {
        "ignored_types": ["light", "focus", "bpm"],
        "type_words": {"flat": ["a", "b"], "dark": ["d"], "bias": ["c"]},
    }


def test_without_a_setting_that_helps_nothing_is_suggested(settings: Settings) -> None:
    ignored = Verdict(Status.IGNORED, "type light", settings=GAIN)
    assert suggested_settings([refused({}), Verdict(Status.USED), ignored], settings) == {}


@pytest.mark.parametrize("camera", ["ST-7: 1, #2", "585", "ünï", "\udc80\x07", ""])
def test_any_name_of_a_camera_can_be_read_back(camera: str) -> None:
    suggested = {"assume_keywords": {camera: {"GAIN": 1.5, "READOUTM": "1e3"}}}
    assert yaml.safe_load(settings_as_yaml(suggested)) == suggested


# --- the file -------------------------------------------------------------------------------------


def write(path: Path, verdicts: list[Verdict], settings: Settings) -> dict[str, object] | None:
    write_suggestions(path, suggested_settings(verdicts, settings), verdicts, settings)
    loaded: dict[str, object] | None = None
    if path.exists():
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def test_the_file_has_the_settings_and_the_reasons(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "out B" / "suggested.yaml"
    path.parent.mkdir()
    assert (
        write(path, [refused(GAIN, "if so, set\x07 it"), refused({}, "copy it")], settings) == GAIN
    )
    lines = path.read_text(encoding="utf-8").splitlines()
    assert f"# snakemake masters --configfile '{path}'" in lines
    assert "# 1 frame: if so, set? it" in lines
    assert not any("copy it" in line for line in lines)


def test_the_file_is_removed_when_nothing_is_suggested(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "suggested.yaml"
    write(path, [refused(GAIN)], settings)
    assert write(path, [], settings) is None
    assert write(path, [], settings) is None


def test_settings_of_the_file_that_are_in_use_stay_in_it(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "suggested.yaml"
    write(path, [refused(GAIN)], settings)
    using = replace(settings, assume_keywords={"ST-7": {"GAIN": 100}})
    assert write(path, [], using) == GAIN
    assert write(path, [refused({"float_range": "adu16"})], using) == {
        **GAIN,
        "float_range": "adu16",
    }
    assert write(path, [], settings) is None, "they are no longer in use"


@pytest.mark.parametrize("content", ["- a", "a: [", "{", ""])
def test_a_damaged_file_is_replaced(settings: Settings, tmp_path: Path, content: str) -> None:
    path = tmp_path / "suggested.yaml"
    path.write_text(content, encoding="utf-8")
    assert write(path, [refused(GAIN)], settings) == GAIN
