"""Commands of the scripts for Siril, and settings that are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from calmasters.engines.siril.program import Version
from calmasters.engines.siril.script import script_text
from calmasters.errors import ConfigError
from calmasters.frame import FrameType, Geometry
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.settings import Calibration, Integration

OLD, NEW = Version(1, 0, "1.0.6"), Version(1, 4, "1.4.0-beta3")
FLAT = Integration(normalization="Multiplicative", rejectionNormalization="EqualizeFluxes")
BIAS = UsedMaster("masters/bias/B.xisf", "run", "the only one")
DARK = UsedMaster("masters/dark/D.xisf", "run", "the only one")


def job_of(
    type_: FrameType = FrameType.BIAS, calibration: Calibration | None = None, **changes: Any
) -> MasterJob:
    integration = FLAT if type_ is FrameType.FLAT else Integration()
    job = MasterJob(
        name="M",
        type=type_,
        keywords={},
        geometry=Geometry(4, 3),
        frames=(FrameFile("a.fits", 1, 1),),
        header={},
        recipe=Recipe("siril", 1, integration, calibration, "unit", "xisf"),
    )
    return replace(job, **changes)


def with_settings(job: MasterJob, **settings: Any) -> MasterJob:
    integration = replace(job.recipe.integration, **settings)
    return replace(job, recipe=replace(job.recipe, integration=integration))


def last_line(job: MasterJob, version: Version = OLD) -> str:
    return script_text(job, version, 2).splitlines()[-1]


# Commands --------------------------------------------------------------------------------


def test_the_script_overrides_all_relevant_preferences() -> None:
    assert script_text(job_of(), OLD, 2).splitlines() == [
        "requires 1.0.0",
        "setext fit",
        "set32bits",
        "setcompress 0",
        "setcpu 2",
        "stack frame_ rej w 4 3 -nonorm -out=master",
    ]


@pytest.mark.parametrize(("version", "name"), [(OLD, "preprocess"), (NEW, "calibrate")])
@pytest.mark.parametrize("used", [{"bias": BIAS}, {"dark": DARK}, {"bias": BIAS, "dark": DARK}])
def test_flats_are_calibrated_by_the_versions_own_command(
    version: Version, name: str, used: dict[str, UsedMaster]
) -> None:
    lines = script_text(job_of(FrameType.FLAT, **used), version, 2).splitlines()
    assert lines[-2:] == [
        f"{name} frame_ -bias=calibration -prefix=calibrated_",
        "stack calibrated_frame_ rej w 4 3 -norm=mul -out=master",
    ]


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        ({"rejection": "NoRejection"}, "rej n"),
        ({"rejection": "PercentileClip", "pcClipLow": 0.25}, "rej p 0.25 0.1"),
        ({"rejection": "SigmaClip", "sigmaHigh": 2.5}, "rej s 4 2.5"),
        ({"rejection": "LinearFit"}, "rej l 5 3.5"),
        ({"rejection": "Rejection_ESD"}, "rej g 0.3 0.05"),
        ({"rejection": "NoRejection", "combination": "Median"}, "med"),
    ],
)
def test_settings_become_commands_of_siril(settings: dict[str, Any], command: str) -> None:
    job = with_settings(job_of(), **settings)
    assert last_line(job) == f"stack frame_ {command} -nonorm -out=master"


# Refused settings ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "settings"),
    [
        ("combination", {"combination": "Minimum"}),
        ("rejection", {"rejection": "MinMax"}),
        ("rejection", {"rejection": "AveragedSigmaClip"}),
        ("rejection", {"combination": "Median"}),
        ("normalization", {"normalization": "Additive"}),
        ("normalization", {"rejectionNormalization": "EqualizeFluxes"}),
        (
            "normalization",
            {
                "rejection": "NoRejection",
                "normalization": "Multiplicative",
                "rejectionNormalization": "EqualizeFluxes",
            },
        ),
        ("weightMode", {"weightMode": "SNREstimate"}),
        ("winsorizationCutoff", {"winsorizationCutoff": 6.0}),
        ("esdLowRelaxation", {"rejection": "Rejection_ESD", "esdLowRelaxation": 1.5}),
        ("clipLow", {"clipLow": False}),
        ("rangeClipHigh", {"rangeClipHigh": True}),
        ("generateRejectionMaps", {"generateRejectionMaps": True}),
    ],
)
def test_an_unsupported_setting_is_refused_by_key(setting: str, settings: dict[str, Any]) -> None:
    refusal = rf"integration\.bias\.{setting}.* is not supported by engine siril; choose"
    with pytest.raises(ConfigError, match=refusal):
        script_text(with_settings(job_of(), **settings), OLD, 2)


def test_settings_of_another_rejection_do_not_matter() -> None:
    job = with_settings(job_of(), rejection="SigmaClip", winsorizationCutoff=6.0)
    assert last_line(job) == "stack frame_ rej s 4 3 -nonorm -out=master"


def test_a_scaled_dark_is_refused_with_the_supported_value() -> None:
    job = job_of(FrameType.FLAT, bias=BIAS, dark=DARK, optimize_dark=True)
    with pytest.raises(ConfigError, match=r"calibration\.flat\.optimizeDarks.*choose false"):
        script_text(job, OLD, 2)


def test_a_pedestal_is_refused_if_a_master_is_subtracted() -> None:
    pedestal = Calibration(outputPedestal=100)
    with pytest.raises(ConfigError, match=r"calibration\.flat\.outputPedestal"):
        script_text(job_of(FrameType.FLAT, pedestal, bias=BIAS), OLD, 2)
