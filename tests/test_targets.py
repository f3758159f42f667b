"""Targets that do not exist are answered with the nearest one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from calmasters.workflow.targets import RULES, nearest_target, unknown_target_message

BLUE = "output/masters/flat/masterFlat_FILTER-B_INSTRUME-ATR585M_DATE-2026-01-16.xisf"
RED = BLUE.replace("FILTER-B", "FILTER-Ha")
BIAS = "output/masters/bias/masterBias_INSTRUME-ATR585M.xisf"


@pytest.mark.parametrize(
    ("target", "near"),
    [
        ("mastres", "masters"),
        ("master", "masters"),
        ("raport", "report"),
        ("inventroy", "inventory"),
        (BLUE.replace("-16", "-15"), BLUE),
        (RED.replace("Ha", "H"), RED),
        (BLUE.replace("masters/flat", "master/flats"), BLUE),
        (RED.replace("output", "/somewhere/else"), RED),
        (RED.replace(".xisf", ".fits"), RED),
        (RED.rpartition("/")[2], RED),
        ("output/masters/bias/xyz.xisf", BIAS),
    ],
)
def test_the_nearest_rule_or_master_is_found(target: str, near: str) -> None:
    assert nearest_target(target, [BIAS, BLUE, RED]) == near


@pytest.mark.parametrize("target", ["xyz", "42", "calibration_of_everything"])
def test_nothing_is_suggested_for_a_word_that_is_not_similar(target: str) -> None:
    assert nearest_target(target, [BIAS]) == ""


def test_without_masters_no_file_is_suggested() -> None:
    assert nearest_target("output/masters/flat/xyz.xisf", []) == ""


def test_the_message_says_what_to_type() -> None:
    lists = "('snakemake --list' shows all rules, 'snakemake -n masters' all masters to be made)"
    assert unknown_target_message("mastres", []) == (
        f"'mastres' is no rule, and no file that a rule makes; did you mean 'masters'? {lists}"
    )
    assert unknown_target_message("xyz", []) == (
        "'xyz' is no rule, and no file that a rule makes; masters and report are the usual targets "
        f"{lists}"
    )


def test_the_rules_are_those_that_run_here() -> None:
    """Every target is a rule that also a cluster runs on the submitting machine."""
    repository = Path(__file__).parents[1]
    files = [repository / "Snakefile", *(repository / "rules").glob("*.smk")]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    local = r"^(?:rule|checkpoint) (\w+):\n(?:    .*\n|\n(?!\n))*?    localrule: True$"
    assert {*RULES} == {*re.findall(local, text, re.MULTILINE)}
