from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from astropy.io import fits
from xisf import XISF

from calmasters.errors import FrameError, RecordError
from calmasters.frame import FrameType, Status
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.listing import list_files
from calmasters.model.job import LeftOut, MasterJob
from calmasters.model.layout import job_path_of
from calmasters.model.master_record import MasterRecord
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.planning.checkpoint import refresh_plan
from calmasters.planning.plan_file import Plan
from calmasters.planning.planner import decide
from calmasters.planning.staleness import FileTimes, masters_to_rebuild, plan_holds
from calmasters.settings import Settings

AddFrames = Callable[..., list[Path]]

BIAS = "masterBias_INSTRUME-ATR585M_SETTEMP--10.00_GAIN-100_OFFSET-150_READOUTM-Low Noise"
DARK = BIAS.replace("masterBias", "masterDark_EXPOSURE-60.00")
FLAT = BIAS.replace("masterBias", "masterFlat_FILTER-B").replace("_SET", "_DATE-2026-01-15_SET")


@pytest.fixture
def add_frames(add_frame: Callable[..., Path]) -> AddFrames:
    """Write some frames of a type, one second apart."""

    def add(kind: str, count: int = 3, folder: str = "", **cards: Any) -> list[Path]:
        named = {key.replace("__", "-"): value for key, value in cards.items()}
        return [
            add_frame(
                f"{folder or kind}/{number}.fits",
                kind,
                {"DATE-OBS": f"2026-01-15T20:00:{number:02d}", **named},
            )
            for number in range(count)
        ]

    return add


def jobs(settings: Settings) -> dict[str, MasterJob]:
    return {job.name: job for job in decide(settings).jobs}


def only(settings: Settings, kind: str) -> MasterJob:
    (job,) = (job for job in decide(settings).jobs if job.type.value == kind)
    return job


# --- what is made ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("biases", "darks", "flats"), list(product(range(3), repeat=3)))
def test_any_number_of_groups_of_each_type_is_planned(
    settings: Settings, add_frames: AddFrames, biases: int, darks: int, flats: int
) -> None:
    add_frames("light")
    for kind, count in (("bias", biases), ("dark", darks), ("flat", flats)):
        for gain in range(count):
            exposure = 1.5 if kind == "dark" else None
            more = {"EXPTIME": exposure, "EXPOSURE": exposure} if exposure else {}
            add_frames(kind, folder=f"{kind}{gain}", GAIN=gain, **more)
    decision = refresh_plan(settings)
    made = [job.type.value for job in decision.jobs]
    assert made == ["bias"] * biases + ["dark"] * darks + ["flat"] * flats
    used = {
        (job.keywords["GAIN"], job.bias is not None, job.dark is not None)
        for job in decision.jobs
        if job.type is FrameType.FLAT
    }
    assert used == {(gain, gain < biases, gain < darks) for gain in range(flats)}
    statuses = [verdict.status for verdict in decision.verdicts.values()]
    assert statuses.count(Status.USED) == 3 * (biases + darks + flats)
    assert statuses.count(Status.IGNORED) == 3


def test_a_flat_uses_the_masters_of_its_own_run(settings: Settings, add_frames: AddFrames) -> None:
    for kind in ("bias", "dark", "flat"):
        add_frames(kind)
    flat = only(settings, "flat")
    assert flat.bias is not None
    assert flat.dark is not None
    assert (flat.bias.path, flat.bias.origin) == (f"masters/bias/{BIAS}.xisf", "run")
    assert (flat.dark.path, flat.dark.origin) == (f"masters/dark/{DARK}.xisf", "run")
    assert flat.optimize_dark
    assert set(jobs(settings)) == {BIAS, DARK, FLAT}


def test_masters_carry_the_pedestal_that_their_samples_contain(
    settings: Settings, add_frames: AddFrames
) -> None:
    for kind in ("bias", "dark", "flat"):
        add_frames(kind, PEDESTAL=-100)
    headers = {name: job.header.get("PEDESTAL") for name, job in jobs(settings).items()}
    assert headers == {BIAS: -100, DARK: -100, FLAT: None}  # the bias takes it from the flats
    assert not any("PEDESTAL" in str(job.warnings) for job in jobs(settings).values())


def test_flats_that_are_not_calibrated_carry_their_pedestal(
    settings: Settings, add_frames: AddFrames
) -> None:
    add_frames("flat", PEDESTAL=100)
    assert only(settings, "flat").header["PEDESTAL"] == 100


def test_frames_without_a_pedestal_have_no_card(settings: Settings, add_frames: AddFrames) -> None:
    add_frames("bias", PEDESTAL=0)
    assert "PEDESTAL" not in only(settings, "bias").header


def test_pedestals_that_differ_are_reported(settings: Settings, add_frames: AddFrames) -> None:
    add_frames("bias", folder="a", PEDESTAL=100)
    add_frames("bias", folder="b")
    add_frames("flat", PEDESTAL=100)
    bias, flat = only(settings, "bias"), only(settings, "flat")
    assert "PEDESTAL" not in bias.header
    assert any("PEDESTAL of its frames differs (0, 100 ADU" in each.text for each in bias.warnings)
    assert any("PEDESTAL of the flats is 100 ADU" in each.text for each in flat.warnings)


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_flats_without_bzero_beside_bias_frames_with_it_are_reported(
    settings: Settings, add_frames: AddFrames, dtype: type
) -> None:
    add_frames("bias")
    for path in add_frames("flat"):
        _rewrite(path, np.arange(9000, 9012, dtype=dtype).reshape(3, 4))
    flat = only(settings, "flat")
    is_reported = any(
        "set BZERO to 32768 again" in each.text and each.kind is WarningKind.LEVEL
        for each in flat.warnings
    )
    assert is_reported == (dtype is np.int16)  # integers of 32 bits need none
    assert not any("BZERO" in each.text for each in only(settings, "bias").warnings)


def test_frames_that_are_all_without_bzero_are_not_reported(
    settings: Settings, add_frames: AddFrames
) -> None:
    for path in (*add_frames("bias"), *add_frames("flat")):
        _rewrite(path, np.arange(505, 517, dtype=np.int16).reshape(3, 4))
    assert "BZERO" not in str([job.warnings for job in jobs(settings).values()])


def test_flats_whose_names_say_different_filters_make_a_weak_master(
    settings: Settings, add_frames: AddFrames
) -> None:
    add_frames("flat", folder="flats/L", FILTER=None)
    add_frames("flat", folder="flats/Ha", FILTER=None)
    (flat,) = [job for job in jobs(settings).values() if job.type is FrameType.FLAT]
    (text,) = [each.text for each in flat.warnings if "FILTER" in each.text]
    assert "different filters (Ha for 3, L for 3)" in text
    assert "write FILTER_Ha and FILTER_L into the names" in text


def test_flats_of_one_filter_in_folders_of_different_filters_are_reported(
    settings: Settings, add_frames: AddFrames
) -> None:
    for name in ("Ha", "OIII"):
        add_frames("flat", folder=f"flats/{name}", FILTER="Ha")
    (job,) = decide(settings).jobs
    (text,) = (each.text for each in job.warnings if "different filters" in each.text)
    assert text.startswith("its flats have FILTER Ha, but their names say different filters (Ha")
    assert text.endswith("correct the FILTER cards, or exclude those of one filter")


def test_a_group_too_small_makes_no_master_and_says_so(
    settings: Settings, make_settings: Callable[..., Settings], add_frames: AddFrames
) -> None:
    add_frames("bias", 2)
    add_frames("flat")
    decision = decide(settings)
    (left_out,) = decision.not_made
    assert left_out.name == BIAS
    assert left_out.reason == "only 2 frames of this group: take at least 3 (minimum_frames)"
    assert left_out.frames == ("bias/0.fits", "bias/1.fits")
    verdict = decision.verdicts["bias/0.fits"]
    assert (verdict.status, verdict.group) == (Status.REFUSED, BIAS)
    assert "take at least 3 (minimum_frames)" in verdict.reason
    assert only(settings, "flat").bias is None
    assert len(decide(make_settings(minimum_frames=4)).not_made) == 2
    (settings.input_dir / "bias" / "1.fits").unlink()
    (left_out,) = decide(settings).not_made
    assert left_out.reason.startswith("only 1 frame of this group: take")


def test_a_damaged_frame_is_listed_by_the_master_it_would_belong_to(
    settings: Settings, add_frames: AddFrames
) -> None:
    *_, bad = add_frames("bias", 4)
    add_frames("flat")
    bad.write_bytes(bad.read_bytes()[:2900])
    decision = decide(settings)
    verdict = decision.verdicts["bias/3.fits"]
    assert (verdict.status, verdict.group) == (Status.REFUSED, BIAS)
    job = jobs(settings)[BIAS]
    ((path, reason),) = [(frame.path, frame.reason) for frame in job.left_out]
    assert (path, reason) == ("bias/3.fits", verdict.reason)
    assert "is truncated" in reason
    assert jobs(settings)[FLAT].left_out == ()
    bad.unlink()
    assert jobs(settings)[BIAS] == replace(job, left_out=())
    assert jobs(settings)[BIAS].digest == job.digest


def test_of_the_settings_for_outliers_only_skip_makes_another_master(
    make_settings: Callable[..., Settings], add_frames: AddFrames
) -> None:
    add_frames("bias")
    warn, fail, skip = (
        jobs(make_settings(outlier_frames=value))[BIAS] for value in ("warn", "fail", "skip")
    )
    assert warn == fail
    assert (warn.recipe.skip_outliers, skip.recipe.skip_outliers) == (False, True)
    assert skip.digest != warn.digest


def test_damaged_frames_stop_everything_where_that_is_asked_for(
    make_settings: Callable[..., Settings], add_frames: AddFrames
) -> None:
    bad = add_frames("bias", 15)[3:]
    for path in bad:
        path.write_bytes(b"")
    add_frames("dark", 1)
    settings = make_settings(on_bad_frame="fail")
    with pytest.raises(FrameError) as caught:
        refresh_plan(settings)
    message = str(caught.value)
    first, *lines = message.splitlines()
    assert first.startswith("12 damaged frames, and on_bad_frame is fail; copy them again")
    assert [line[:7] for line in lines] == ["  bias/"] * 10 + ["  and 2"]
    assert lines[1].startswith("  bias/11.fits: is not a FITS file: it is empty")
    assert lines[-1] == "  and 2 more: snakemake summary"
    # A group too small is no damage, and a plan can be looked at all the same.
    assert "dark" not in message
    assert len(decide(settings).jobs) == 1
    assert not (settings.output_dir / "plan.json").exists()
    refresh_plan(make_settings())


def test_frames_that_an_engine_left_out_stop_everything_too(
    make_settings: Callable[..., Settings],
    add_frames: AddFrames,
    write_record: Callable[..., MasterRecord],
) -> None:
    add_frames("bias")
    settings = make_settings(on_bad_frame="fail")
    (job,) = refresh_plan(settings).jobs
    master, left_out = settings.output_dir / job.master, (LeftOut("bias/1.fits", "is black"),)
    write_record(job, master, left_out=left_out)
    with pytest.raises(FrameError, match=r"bias/1.fits: is black"):
        refresh_plan(settings)
    # One that differs from the others is not damaged.
    write_record(job, master, left_out=(replace(left_out[0], outlier=True),))
    refresh_plan(settings)
    # The master is another one now, which may have no such frame.
    write_record(replace(job, header={}), master, left_out=left_out)
    refresh_plan(settings)


@pytest.mark.parametrize("differing", [("bias/1.fits",), ()])
def test_masters_of_frames_that_differ_stop_everything_with_fail(
    make_settings: Callable[..., Settings],
    add_frames: AddFrames,
    write_record: Callable[..., MasterRecord],
    differing: tuple[str, ...],
) -> None:
    """The frames are named, or their level drifts."""
    add_frames("bias")
    settings = make_settings(outlier_frames="fail")
    (job,) = refresh_plan(settings).jobs
    master = settings.output_dir / job.master
    warning = MasterWarning(WarningKind.OUTLIERS, "the level of the frames drifts")
    unlike = {"warnings": (warning,), "differences": dict.fromkeys(differing, "level 9 ADU")}
    write_record(job, master, **unlike)
    with pytest.raises(FrameError, match=r"bias, ATR585M.*: the level of the frames drifts"):
        refresh_plan(settings)
    for other in ("warn", "skip"):
        refresh_plan(make_settings(outlier_frames=other))
    # Other weaknesses do not count, nor does a master that is made again anyway.
    write_record(job, master, warnings=(replace(warning, kind=WarningKind.LEVEL),))
    refresh_plan(settings)
    write_record(replace(job, header={}), master, **unlike)
    refresh_plan(settings)


def test_every_frame_found_has_one_verdict_and_one_row(
    settings: Settings, tmp_path: Path, add_frames: AddFrames
) -> None:
    add_frames("bias")
    add_frames("dark", 1)
    add_frames("flat", 2, GAIN=None)
    add_frames("light", 2)
    (tmp_path / "frames" / "broken.fits").write_bytes(b"")
    decision = refresh_plan(settings)
    table = pd.read_csv(tmp_path / "output" / "inventory.csv", dtype="str", keep_default_na=False)
    assert list(table["path"]) == sorted(decision.verdicts) == [f.path for f in decision.frames]
    statuses = dict(zip(table["path"].str.split("/").str[0], table["status"], strict=True))
    assert statuses == {
        "bias": "used",
        "broken.fits": "refused",
        "dark": "refused",
        "flat": "refused",
        "light": "ignored",
    }
    assert all(table.loc[table["status"] != "used", "reason"])
    assert set(table.loc[table["status"] == "used", "group"]) == {BIAS}


def test_the_header_of_a_master_tells_what_its_frames_say_together(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    exposures = {"c": 1.36, "a": 1.69, "b": 1.4}
    for number, (name, exposure) in enumerate(exposures.items()):
        cards = {
            "DATE-OBS": f"2026-01-15T20:00:0{number}",
            "EXPTIME": exposure,
            "EXPOSURE": exposure,
            "CCD-TEMP": -9.9 - number / 10,
        }
        add_frame(f"{name}.fits", "flat", cards)
    flat = only(settings, "flat")
    assert [frame.path for frame in flat.frames] == ["c.fits", "a.fits", "b.fits"]
    assert flat.header == {
        "EXPTIME": 1.4,
        "EXPOSURE": 1.4,
        "EXPMIN": 1.36,
        "EXPMAX": 1.69,
        "CCD-TEMP": -10.0,
        "DATE-OBS": "2026-01-15T20:00:00",
        "TELESCOP": "Refractor 80",
        "FOCALLEN": 384,
    }
    add_frame("d.fits", "flat", {"FOCALLEN": 385})
    assert "FOCALLEN" not in only(settings, "flat").header


def test_darks_have_one_exposure_and_no_telescope(
    settings: Settings, add_frames: AddFrames
) -> None:
    add_frames("dark")
    assert only(settings, "dark").header == {
        "EXPTIME": 60.0,
        "EXPOSURE": 60.0,
        "CCD-TEMP": -10.1,
        "DATE-OBS": "2026-01-15T20:00:00",
    }


def test_the_recipe_is_that_of_the_configuration(
    make_settings: Callable[..., Settings], add_frames: AddFrames
) -> None:
    for kind in ("bias", "flat"):
        add_frames(kind)
    parameters = {"ImageIntegration": {"rcrLimit": 0.2, "useCache": False}, "ImageCalibration": {}}
    overrides = {"master_format": "fits", "float_range": "adu16"}
    settings = make_settings(pixinsight={"parameters": parameters}, **overrides)
    bias, flat = only(settings, "bias").recipe, only(settings, "flat").recipe
    assert (bias.master_format, bias.float_range, bias.engine) == ("fits", "adu16", "native")
    assert (bias.calibration, flat.calibration) == (None, settings.calibration["flat"])
    assert (bias.integration, flat.integration) == tuple(
        settings.integration[kind] for kind in ("bias", "flat")
    )
    assert bias.parameters == {}
    pixinsight = make_settings(engine="pixinsight", pixinsight={"parameters": parameters})
    message = only(pixinsight, "bias").recipe.parameters
    assert message == {"ImageIntegration": {"rcrLimit": 0.2}, "ImageCalibration": {}}


def test_the_range_of_floats_does_not_count_in_jobs_of_plain_frames(
    make_settings: Callable[..., Settings], add_frames: AddFrames
) -> None:
    for kind in ("bias", "dark", "flat"):
        add_frames(kind, ROWORDER="TOP-DOWN")
    auto, unit = jobs(make_settings()), jobs(make_settings(float_range="unit"))
    assert {name: job.digest for name, job in auto.items()} == {
        name: job.digest for name, job in unit.items()
    }
    assert not any(frame.read_as for job in auto.values() for frame in job.frames)


def _rewrite(path: Path, pixels: np.ndarray, **cards: Any) -> None:
    header = fits.getheader(path)
    for card in ("BZERO", "BSCALE"):
        header.remove(card, ignore_missing=True)
    header.update(cards)
    fits.writeto(path, pixels, header, overwrite=True)


def test_frames_of_one_scale_after_reading_make_one_group(
    settings: Settings, add_frames: AddFrames
) -> None:
    level = np.arange(505, 517).reshape(3, 4)
    paths = add_frames("bias", 6)
    _rewrite(paths[1], level.astype(np.int16))
    _rewrite(paths[2], level.astype(np.int32))
    _rewrite(paths[3], level.astype(np.float32))
    _rewrite(paths[4], (level / 65535).astype(np.float32))
    _rewrite(paths[5], level.astype(np.uint16)[::-1], ROWORDER="BOTTOM-UP")
    (job,) = decide(settings).jobs
    assert [frame.read_as for frame in job.frames] == [
        *("", "signed", "signed, 32-bit integers as ADU", "adu16", "", "bottom-up")
    ]
    plain = replace(job, frames=tuple(frame._replace(read_as="") for frame in job.frames))
    assert job.digest != plain.digest
    assert MasterJob.from_json(job.to_json()) == job


def test_frames_of_8_bits_are_left_out_where_others_are_finer(
    settings: Settings, add_frames: AddFrames
) -> None:
    level = np.arange(2, 14, dtype=np.uint8).reshape(3, 4)
    fine = add_frames("bias", 3, "fine")
    coarse = add_frames("bias", 3, "coarse")
    for number, path in enumerate(coarse):
        _rewrite(path, level + np.uint8(number))
    decision = decide(settings)
    (job,) = decision.jobs
    assert {frame.path for frame in job.frames} == {f"fine/{path.name}" for path in fine}
    verdict = decision.verdicts["coarse/0.fits"]
    assert (verdict.status, verdict.group) == (Status.REFUSED, job.name)
    assert "8 bits" in verdict.reason
    for path in fine:
        path.unlink()
    assert len(decide(settings).jobs[0].frames) == 3


def test_a_library_master_that_is_not_read_plainly_counts_by_how_it_is_read(
    make_settings: Callable[..., Settings], add_frames: AddFrames, add_master: Callable[..., Path]
) -> None:
    add_frames("flat")
    path = add_master("library/bias.fits", "bias")
    settings = make_settings(library={"bias": [str(path.parent)], "dark": []})
    plain = only(settings, "flat")
    assert plain.bias is not None
    assert plain.bias.read_as == ""
    adu = (65535 * fits.getdata(path)).astype(np.float32)
    fits.writeto(path, adu, fits.getheader(path), overwrite=True)
    flat = only(settings, "flat")
    assert flat.bias is not None
    assert flat.bias.read_as == "adu16"
    assert flat.digest != plain.digest


def test_a_group_too_small_for_its_rejection_makes_no_master_and_says_so(
    make_settings: Callable[..., Settings], add_frames: AddFrames
) -> None:
    settings = make_settings(integration={"bias": {"rejection": "LinearFit"}})
    add_frames("bias", 4)
    add_frames("dark", 4)
    decision = decide(settings)
    (left_out,) = decision.not_made
    assert (left_out.name, [job.name for job in decision.jobs]) == (BIAS, [DARK])
    (verdict,) = {decision.verdicts[path] for path in left_out.frames}
    assert verdict.remedy == "take at least 5 (integration.bias.rejection: LinearFit)"
    assert verdict.reason == left_out.reason
    assert decide(make_settings()).not_made == ()


# --- masters that are there -----------------------------------------------------------------------


def test_a_rejection_by_number_of_frames_is_named_in_the_job(
    make_settings: Callable[..., Settings], add_frames: AddFrames
) -> None:
    settings = make_settings(integration={"flat": {"rejection": "auto"}})
    add_frames("flat", 16)
    assert only(settings, "flat").recipe.integration.rejection == "LinearFit"


def test_a_kept_master_serves_when_its_frames_are_gone(
    settings: Settings, tmp_path: Path, add_frames: AddFrames, add_master: Callable[..., Path]
) -> None:
    darks = add_frames("dark")
    add_frames("flat")
    add_frames("bias")
    before = refresh_plan(settings)
    add_master(f"output/masters/dark/{DARK}.xisf", "dark")
    assert holds(settings)
    for path in darks:
        path.unlink()
    after = refresh_plan(settings)
    assert after.kept == (f"masters/dark/{DARK}.xisf",)
    flat, was = after.jobs[-1], before.jobs[-1]
    assert flat.dark is not None
    assert (flat.dark.origin, flat.dark.path) == ("kept", f"masters/dark/{DARK}.xisf")
    # The flat is what it was: nothing is to be made again.
    assert flat.digest == was.digest


def write_foreign_xisf(path: Path, cards: dict[str, str]) -> None:
    keywords = {key: [{"value": value, "comment": ""}] for key, value in cards.items()}
    image = np.zeros((3, 4, 1), np.float32)
    XISF.write(str(path), image, image_metadata={"FITSKeywords": keywords})


def write_foreign_fits(path: Path, cards: dict[str, str]) -> None:
    image = fits.PrimaryHDU(np.full((3, 4), 0.01, np.float32))
    for key, value in cards.items():
        image.header[key] = value.strip("'")
    image.writeto(path)


@pytest.mark.parametrize(
    ("name", "write_foreign", "more"),
    [
        ("wbpp.xisf", write_foreign_xisf, {"IMAGETYP": "'Master Bias'"}),
        ("ap.xisf", write_foreign_xisf, {"IMAGETYP": "'MASTER BIAS'"}),
        ("asiair.fit", write_foreign_fits, {"IMAGETYP": "'Bias'", "STACKCNT": "100"}),
        ("masterBias_by_hand.fits", write_foreign_fits, {"IMAGETYP": "'BIAS'"}),
        ("masterBias.fits", write_foreign_fits, {}),
    ],
)
def test_a_library_master_is_found_by_its_header_whoever_made_it(
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    add_frames: AddFrames,
    name: str,
    write_foreign: Callable[[Path, dict[str, str]], None],
    more: dict[str, str],
) -> None:
    add_frames("flat")
    (tmp_path / "library" / "2024").mkdir(parents=True)
    cards = {
        "INSTRUME": "'ATR585M'",
        "SET-TEMP": "-10.",
        "GAIN": "100",
        "OFFSET": "150",
        "READOUTM": "'Low Noise'",
        "FILTER": "'Dark'",
        "DATE-OBS": "'2024-03-01T20:00:00'",
    }
    path = tmp_path / "library" / "2024" / name
    write_foreign(path, cards | more)
    settings = make_settings(library={"bias": [str(tmp_path / "library")]})
    flat = only(settings, "flat")
    assert flat.bias is not None
    assert (flat.bias.origin, flat.bias.path) == ("library", path.as_posix())
    assert decide(settings).warnings == ()


def test_files_of_a_library_that_cannot_be_used_are_reported(
    make_settings: Callable[..., Settings], tmp_path: Path, add_frames: AddFrames
) -> None:
    add_frames("flat")
    library = tmp_path / "library"
    library.mkdir()
    write_foreign_fits(library / "raw.fits", {"IMAGETYP": "'BIAS'"})
    (library / "broken.xisf").write_bytes(b"XISF")
    broken, raw = decide(make_settings(library={"dark": [str(library)]})).warnings
    assert "broken.xisf cannot be read as XISF" in broken
    assert "raw.fits is not used" in raw


def test_patterns_leave_out_frames_and_not_the_masters(
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    add_frames: AddFrames,
    add_master: Callable[..., Path],
) -> None:
    add_frames("flat", folder="flat")
    add_frames("bias", folder="bias")
    add_master(f"output/masters/bias/{BIAS}.xisf", "bias")
    add_master("library/dark.xisf", "dark")
    library = {"dark": [str(tmp_path / "library")]}
    settings = make_settings(exclude=["*bias*", "*dark*", "library"], library=library)
    flat = only(settings, "flat")
    assert flat.bias is not None
    assert flat.dark is not None
    assert (flat.bias.origin, flat.dark.origin) == ("kept", "library")


# --- files ----------------------------------------------------------------------------------------


def test_the_plan_has_the_keys_agreed(
    settings: Settings, tmp_path: Path, add_frames: AddFrames
) -> None:
    for kind, count in (("bias", 3), ("flat", 3), ("dark", 1)):
        add_frames(kind, count)
    refresh_plan(settings)
    plan = json.loads((tmp_path / "output" / "plan.json").read_text(encoding="utf-8"))
    assert {"version", "digest", "masters", "not_made"} <= set(plan)
    assert plan["version"] == 1
    assert list(plan["masters"]) == [f"masters/bias/{BIAS}.xisf", f"masters/flat/{FLAT}.xisf"]
    agreed = [
        *("short_name", "type", "keywords", "geometry", "frames", "digest", "recipe"),
        *("bias", "dark"),
        *("optimize_dark", "warnings", "left_out", "why"),
    ]
    for entry in plan["masters"].values():
        assert list(entry) == agreed
    flat = plan["masters"][f"masters/flat/{FLAT}.xisf"]
    assert flat["frames"] == ["flat/0.fits", "flat/1.fits", "flat/2.fits"]
    keys = {"path", "origin", "why", "content", "job", "read_as", "exposure_s"}
    assert set(flat["bias"]) == keys
    assert flat["dark"] is None
    assert flat["warnings"][:-1] == [
        {"kind": "calibration", "text": "no dark master: there is none at all"}
    ]
    assert flat["warnings"][-1]["kind"] == "frame_count"
    assert flat["recipe"]["integration"]["normalization"] == "Multiplicative"
    (left_out,) = plan["not_made"]
    assert {"keywords", "frames", "reason"} <= set(left_out)


def test_the_plan_that_is_written_is_the_one_that_is_decided(
    settings: Settings, tmp_path: Path, add_frames: AddFrames
) -> None:
    for kind in ("bias", "dark", "flat"):
        add_frames(kind)
    predicted = Plan.of(decide(settings))
    assert not (tmp_path / "output").exists()
    written = Plan.of(refresh_plan(settings))
    assert Plan.load(tmp_path / "output" / "plan.json") == written == predicted
    assert Plan.of(decide(settings)) == written


def test_each_job_file_is_the_job(
    settings: Settings, tmp_path: Path, add_frames: AddFrames
) -> None:
    add_frames("bias")
    add_frames("flat")
    for job in refresh_plan(settings).jobs:
        path = tmp_path / "output" / job.file
        assert MasterJob.from_json(path.read_text(encoding="utf-8")) == job
        assert job_path_of(job.master) == job.file


def holds(settings: Settings) -> bool:
    plan = Plan.load(settings.output_dir / "plan.json")
    times = FileTimes(settings.output_dir)
    digest = list_files(settings).digest
    return plan_holds(plan, settings, digest, times, ContentDigests(settings))


def test_a_plan_holds_until_something_changes(
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    add_frames: AddFrames,
    add_master: Callable[..., Path],
) -> None:
    settings = make_settings()
    frame = add_frames("bias")[0]
    (bias,) = refresh_plan(settings).jobs
    assert holds(settings)
    (tmp_path / "frames" / "notes.txt").write_text("cloudy")
    assert holds(settings)
    assert not holds(make_settings(minimum_frames=4))

    (tmp_path / "output" / bias.file).unlink()
    assert not holds(settings)
    refresh_plan(settings)
    assert holds(settings)

    add_master("output/masters/dark/old.xisf", "dark")
    assert not holds(settings)
    refresh_plan(settings)
    assert holds(settings)

    os.utime(frame, ns=(0, frame.stat().st_mtime_ns - 10**9))
    assert not holds(settings)
    refresh_plan(settings)
    frame.rename(frame.with_name("renamed.fits"))
    assert not holds(settings)


def pretend(settings: Settings) -> dict[str, Path]:
    """Have the masters of the plan count as made; by type."""
    found = {}
    for job in refresh_plan(settings).jobs:
        found[job.type.value] = master = settings.output_dir / job.master
        master.parent.mkdir(parents=True, exist_ok=True)
        (settings.output_dir / job.record).write_text(job.to_json())
        master.touch()
    return found


def age(path: Path, seconds: int) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns - seconds * 10**9))


CHANGES: dict[str, tuple[Callable[[dict[str, Path]], object], set[str]]] = {
    "nothing": (lambda made: None, set()),
    "the flat is gone": (lambda made: made["flat"].unlink(), {"flat"}),
    "the dark is gone": (lambda made: made["dark"].unlink(), {"dark", "flat"}),
    "a JSON is gone": (lambda made: made["flat"].with_suffix(".json").unlink(), {"flat"}),
    "the bias is newer": (lambda made: age(made["flat"], 60), {"flat"}),
    "the bias is older than its job": (
        lambda made: os.utime(made["bias"], (1, 1)),
        {"bias", "flat"},
    ),
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_only_masters_that_may_be_stale_are_looked_at(
    settings: Settings,
    add_frames: AddFrames,
    change: Callable[[dict[str, Path]], object],
    expected: set[str],
) -> None:
    for kind in ("bias", "dark", "flat"):
        add_frames(kind)
    made = pretend(settings)
    change(made)
    plan = Plan.load(settings.output_dir / "plan.json")
    times = FileTimes(settings.output_dir)
    found = {settings.output_dir / path for path in masters_to_rebuild(plan, times)}
    assert found == {made[kind] for kind in expected}


def test_a_job_file_is_written_only_when_its_job_changes(
    settings: Settings, tmp_path: Path, add_frames: AddFrames
) -> None:
    for kind in ("bias", "dark", "flat"):
        add_frames(kind)
    files = {job.type.value: tmp_path / "output" / job.file for job in refresh_plan(settings).jobs}
    for path in files.values():
        os.utime(path, ns=(0, 0))
    refresh_plan(settings)
    assert {path.stat().st_mtime_ns for path in files.values()} == {0}
    add_frames("dark", 4)
    refresh_plan(settings)
    assert {kind for kind, path in files.items() if path.stat().st_mtime_ns} == {"dark", "flat"}
    files["bias"].write_text("damaged")
    refresh_plan(settings)
    assert MasterJob.read(files["bias"])


def test_job_files_of_groups_that_are_gone_are_removed(
    settings: Settings, tmp_path: Path, add_frames: AddFrames
) -> None:
    add_frames("bias")
    for path in [*add_frames("dark"), *add_frames("dark", folder="other", GAIN=7)]:
        refresh_plan(settings)
        path.unlink()
    refresh_plan(settings)
    found = [path.name for path in (tmp_path / "output" / "jobs").rglob("*.json")]
    assert found == [f"{BIAS}.json"]


def test_jobs_do_not_depend_on_where_the_directories_are(
    make_settings: Callable[..., Settings], tmp_path: Path, add_frames: AddFrames
) -> None:
    for kind in ("bias", "dark", "flat"):
        add_frames(kind)
    here = jobs(make_settings())
    shutil.copytree(tmp_path / "frames", tmp_path / "moved")
    there = make_settings(input_dir=str(tmp_path / "moved"), output_dir=str(tmp_path / "new"))
    assert jobs(there) == here


def test_setting_the_speed_of_pixinsight_makes_nothing_again(
    make_settings: Callable[..., Settings], add_frames: AddFrames
) -> None:
    add_frames("bias")
    faster = {"parameters": {"ImageIntegration": {"bufferSizeMB": 64}, "ImageCalibration": {}}}
    digests = {
        only(make_settings(engine="pixinsight", **more), "bias").digest
        for more in ({}, {"pixinsight": faster}, {"pixinsight": {"timeout_minutes": 5}})
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    "damage", ["", "[]", "{}", '{"digest": 1}', '{"masters": {"a": {}}, "kept": []}', '{"dig', "\0"]
)
def test_a_damaged_plan_cannot_be_taken_for_a_plan(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(damage)
    with pytest.raises(RecordError, match="is not a plan"):
        Plan.load(path)


def test_file_names_that_are_no_text_are_survived(
    settings: Settings, tmp_path: Path, add_frames: AddFrames
) -> None:
    for number, path in enumerate(add_frames("bias")):
        try:
            path.rename(path.with_name(os.fsdecode(b"\xff, \n%d.fits" % number)))
        except OSError:
            pytest.skip("such names are not allowed here")
    (job,) = refresh_plan(settings).jobs
    assert len(job.frames) == 3
    assert holds(settings)
    table = pd.read_csv(
        tmp_path / "output" / "inventory.csv", encoding_errors="surrogateescape", dtype="str"
    )
    assert list(table["path"]) == [frame.path for frame in job.frames]


@pytest.mark.parametrize("layout", ["by-type", "ap-library"])
def test_the_job_file_of_a_master_is_found_by_its_path_in_every_layout(
    make_settings: Callable[..., Settings], add_frames: AddFrames, layout: str
) -> None:
    for kind in ("bias", "dark", "flat"):
        add_frames(kind)
    settings = make_settings(layout=layout)
    decision = refresh_plan(settings)
    assert len(decision.jobs) == 3
    for job in decision.jobs:
        assert job_path_of(job.master) == job.file
        assert (settings.output_dir / job.file).is_file()
    assert len([*(settings.output_dir / "jobs").rglob("*.json")]) == 3


def test_job_files_of_another_layout_are_removed_and_its_masters_kept(
    make_settings: Callable[..., Settings], add_frames: AddFrames, add_master: Callable[..., Path]
) -> None:
    add_frames("bias")
    by_type, library = make_settings(), make_settings(layout="ap-library")
    (before,) = refresh_plan(by_type).jobs
    add_master(by_type.output_dir / before.master, "bias")
    decision = refresh_plan(library)
    (after,) = decision.jobs
    assert not (by_type.output_dir / before.file).exists()
    assert decision.kept == (before.master,)
    assert after.master.startswith("masters/MASTER BIAS/ATR585M/masterBias_")


@pytest.mark.parametrize("is_one_file", [True, False])
def test_files_whose_names_differ_in_case_only_are_those_of_the_plan_if_the_disk_ignores_case(
    settings: Settings, add_frames: AddFrames, add_master: Callable[..., Path], is_one_file: bool
) -> None:
    add_frames("bias")
    (job,) = refresh_plan(settings).jobs
    job_file, master = (settings.output_dir / name for name in (job.file, job.master))
    add_master(master, "bias")
    others = [path.with_name(path.name.lower()) for path in (job_file, master)]
    if not is_one_file and others[0].exists():
        pytest.skip("this disk ignores case")
    for path, other in zip((job_file, master), others, strict=True):
        if not other.exists():
            # One file under both names is what a disk that ignores case shows.
            (os.link if is_one_file else shutil.copy)(path, other)
    kept = () if is_one_file else (f"masters/bias/{others[1].name}",)
    assert refresh_plan(settings).kept == kept
    assert holds(settings)
    assert [path.exists() for path in (job_file, master, *others)] == [
        True,
        True,
        is_one_file,
        True,
    ]


# --- what a person has to know about nights and values --------------------------------------------


@pytest.mark.parametrize(
    ("times", "more", "is_reported"),
    [
        (["15T17:00", "16T04:10"], {}, True),
        (["15T19:00", "17T19:00"], {}, True),
        (["15T19:00", "15T19:40"], {}, False),
        (["15T17:00", "16T04:10"], {"SITELONG": -155.5}, False),
        (["15T17:00", "16T04:10"], {"LOCALTIM": "2026-01-15 08:00:00 AM"}, False),
    ],
)
def test_flats_whose_night_is_a_date_of_utc_are_reported(
    settings: Settings,
    add_frame: Callable[..., Path],
    times: list[str],
    more: dict[str, Any],
    is_reported: bool,
) -> None:
    for part, time in enumerate(times):
        for number in range(3):
            moment = {"DATE-OBS": f"2026-01-{time}:{number:02d}", "DATE-LOC": None}
            add_frame(f"{part}/{number}.fits", "flat", {**moment, **more})
    notes = [each for each in decide(settings).warnings if each.startswith("the nights of flats")]
    assert bool(notes) == is_reported
    if notes:
        assert f"{3 * len(times)} flats are without local time and longitude" in notes[0]
        assert "set night.timezone" in notes[0]


def test_a_configured_zone_makes_nights_certain(
    make_settings: Callable[..., Settings], add_frame: Callable[..., Path]
) -> None:
    for day in (15, 17):
        for number in range(3):
            moment = {"DATE-OBS": f"2026-01-{day}T19:00:{number:02d}", "DATE-LOC": None}
            add_frame(f"{day}/{number}.fits", "flat", moment)
    assert decide(make_settings(night={"timezone": "Pacific/Honolulu"})).warnings == ()


def test_settings_for_values_rebuild_no_master_whose_frames_they_do_not_change(
    make_settings: Callable[..., Settings], add_frames: AddFrames
) -> None:
    for kind in ("bias", "dark", "flat"):
        add_frames(kind)
    before = {job.master: job.digest for job in decide(make_settings()).jobs}
    changed = make_settings(
        keyword_patterns={"INSTRUME": "(.+?) FW"},
        value_aliases={"FILTER": {"Ha": ["H-alpha"]}},
        bias_max_exposure_s=0.5,
    )
    assert {job.master: job.digest for job in decide(changed).jobs} == before


def test_extra_cards_of_plain_frames_rebuild_no_master(
    settings: Settings, add_frames: AddFrames
) -> None:
    kinds = ("bias", "dark", "flat")
    fields = {"name", "keywords", "geometry", "header", "recipe"}

    def described() -> list[dict[str, Any]]:
        return [
            {key: value for key, value in json.loads(job.to_json()).items() if key in fields}
            for job in decide(settings).jobs
        ]

    for kind in kinds:
        add_frames(kind)
    plain = described()
    for kind in kinds:
        add_frames(
            kind, TRIMSEC="[1:4,1:3]", BIASCORR="OMIT", CALSTAT="", OVERSCAN=0, ISMASTER=False
        )
    assert described() == plain


@pytest.mark.parametrize(
    ("keyword", "many", "few", "fix"),
    [
        ("FILTER", "Ha", "HA", {"value_aliases": {"FILTER": {"Ha": ["HA"]}}}),
        ("INSTRUME", "QSI SN 12", "QSI SN 13", {}),
        (
            "INSTRUME",
            "QSI 583 FW 2",
            "QSI 583 FW 3",
            {"keyword_patterns": {"INSTRUME": "(.+?) FW"}},
        ),
        ("FILTER", "B", "V", {}),
        ("FILTER", "Ha", "H-alpha", {"value_aliases": {"FILTER": {"Ha": ["H-alpha"]}}}),
        ("FILTER", "OIII 6nm", "O3", {"value_aliases": {"FILTER": {"OIII 6nm": ["O3"]}}}),
        ("FILTER", "R", "r", {}),
    ],
)
def test_frames_too_few_by_their_spelling_get_the_setting_that_joins_them(
    make_settings: Callable[..., Settings],
    add_frames: AddFrames,
    keyword: str,
    many: str,
    few: str,
    fix: dict[str, Any],
) -> None:
    add_frames("flat", 4, "many", **{keyword: many})
    add_frames("flat", 2, "few", **{keyword: few})
    decision = decide(make_settings())
    assert (len(decision.jobs), decision.suggested) == (1, fix)
    if fix:
        (job,) = decide(make_settings(**fix)).jobs
        assert len(job.frames) == 6


@pytest.mark.parametrize(
    ("names", "aliases"),
    [
        (("Ha", "HA", "H-alpha 7nm"), {"Ha": ["H-alpha 7nm", "HA"]}),
        (("O3", "OIII"), {"O3": ["OIII"]}),
        (("S II", "SII 8nm", "B", "b"), {"S II": ["SII 8nm"]}),
    ],
)
def test_spellings_of_a_filter_that_make_several_masters_are_reported(
    make_settings: Callable[..., Settings],
    add_frames: AddFrames,
    names: tuple[str, ...],
    aliases: dict[str, list[str]],
) -> None:
    for number, name in enumerate(names):
        add_frames("flat", 5 - bool(number), f"flat{number}", FILTER=name)
    add_frames("flat", 3, "other", FILTER=names[1], INSTRUME="another camera")
    (note,) = (each for each in decide(make_settings()).warnings if "spelling" in each)
    fix = {"value_aliases": {"FILTER": aliases}}
    assert note.startswith("flats of ATR585M have names of filters")
    assert yaml.safe_load("value_aliases:" + note.rpartition("value_aliases:")[2]) == fix
    joined = decide(make_settings(**fix))
    assert not [each for each in joined.warnings if "spelling" in each]
    expected = 1 + (len(names) - sum(map(len, aliases.values())))
    assert len(joined.jobs) == expected


def test_spellings_are_added_to_the_aliases_that_are_set(
    make_settings: Callable[..., Settings], add_frames: AddFrames
) -> None:
    settings = make_settings(value_aliases={"FILTER": {"Ha": ["Hydrogen"], "L": ["Lum"]}})
    add_frames("flat", 3, "one", FILTER="Hydrogen")
    add_frames("flat", 9, "two", FILTER="Ha 7nm")
    (note,) = (each for each in decide(settings).warnings if "spelling" in each)
    fix = {"FILTER": {"Ha": ["Hydrogen", "Ha 7nm"], "L": ["Lum"]}}
    assert yaml.safe_load("value_aliases:" + note.rpartition("value_aliases:")[2]) == {
        "value_aliases": fix
    }
    (job,) = decide(make_settings(value_aliases=fix)).jobs
    assert len(job.frames) == 12


@pytest.mark.parametrize(
    ("of_bias", "of_flats", "is_reported"),
    [
        (None, "BOTTOM-UP", True),
        ("BOTTOM-UP", None, True),
        ("TOP-DOWN", "BOTTOM-UP", False),
        (None, "TOP-DOWN", False),
        ("BOTTOM-UP", "BOTTOM-UP", False),
        (None, None, False),
    ],
)
@pytest.mark.parametrize("is_library", [False, True])
def test_rows_in_another_order_than_those_of_the_bias_for_want_of_a_card_are_reported(
    make_settings: Callable[..., Settings],
    add_frames: AddFrames,
    tmp_path: Path,
    of_bias: str | None,
    of_flats: str | None,
    is_reported: bool,
    is_library: bool,
) -> None:
    biases = add_frames("bias", ROWORDER=of_bias)
    add_frames("flat", ROWORDER=of_flats)
    library: list[str] = []
    if is_library:
        library = [str(tmp_path / "library")]
        Path(*library).mkdir()
        biases[0].rename(Path(*library) / "masterBias.fits")
        for path in biases[1:]:
            path.unlink()
    decision = decide(make_settings(library={"bias": library, "dark": []}))
    (flat,) = (job for job in decision.jobs if job.type is FrameType.FLAT)
    assert flat.bias is not None
    notes = [each for each in decision.warnings if "upside down" in each]
    assert len(notes) == is_reported
    names = [decision.short_names.get(path, path) for path in (flat.master, flat.bias.path)]
    for note in notes:
        bottom_up, without = names if of_flats else reversed(names)
        assert note.startswith(f"frames of {bottom_up} say ROWORDER 'BOTTOM-UP'")
        assert f"those of {without} have no ROWORDER" in note


@pytest.mark.parametrize(("count", "says"), [(1, "1 flat has an"), (3, "3 flats have an")])
def test_flats_without_exposure_are_reported(
    settings: Settings, add_frames: AddFrames, count: int, says: str
) -> None:
    add_frames("bias", EXPTIME=0.0, EXPOSURE=0.0)
    add_frames("flat")
    add_frames("flat", count, "none", EXPTIME=0, EXPOSURE=0, DATE__OBS="2026-01-15T21:00:00")
    (note,) = (each for each in decide(settings).warnings if "exposure of 0 s" in each)
    assert says in note
    assert "none/0.fits" in note
    assert "EXPOSURE_2" in note


def test_two_small_groups_of_one_value_are_joined_in_one_direction(
    make_settings: Callable[..., Settings], add_frames: AddFrames
) -> None:
    for folder, name in (("one", "Ha"), ("two", "HA")):
        add_frames("flat", 2, folder, FILTER=name)
    suggested = decide(make_settings()).suggested
    assert suggested == {"value_aliases": {"FILTER": {"HA": ["Ha"]}}}
    (job,) = decide(make_settings(**suggested)).jobs
    assert len(job.frames) == 4


def test_nights_and_numbers_have_no_spellings(settings: Settings, add_frames: AddFrames) -> None:
    for number, (gain, night) in enumerate([(100, 15), (200, 15), (100, 16)]):
        time = f"2026-01-{night}T20:00:0{number}"
        cards = {"GAIN": gain, "DATE__OBS": time, "DATE__LOC": time}
        add_frames("flat", 1 + 3 * (number == 0), f"{gain}/{night}", **cards)
    decision = decide(settings)
    assert [len(group.frames) for group in decision.not_made] == [1, 1]
    assert decision.suggested == {}


def test_a_dark_is_compared_with_a_frame_from_the_middle_of_its_bias(
    settings: Settings, add_frames: AddFrames
) -> None:
    add_frames("bias", 7)
    add_frames("dark")
    assert jobs(settings)[DARK].reference == ("bias/3.fits", "frame")
    assert jobs(settings)[BIAS].reference is None


@pytest.mark.parametrize(
    ("cards", "texts"),
    [
        ({}, ("no overscan", "overscan subtracted (median of each line)")),
        (
            {"BIASSEC": "[4:4,1:3]", "TRIMSEC": "[1:3,1:3]"},
            ("other sections", "theirs"),
        ),
    ],
)
def test_frames_of_another_layout_than_most_say_which(
    settings: Settings, add_frames: AddFrames, cards: dict[str, str], texts: tuple[str, str]
) -> None:
    most = {"BIASSEC": "[1:1,1:3]", "TRIMSEC": "[2:4,1:3]"}
    add_frames("bias", 4, "most", **most)
    if not cards:  # of the size of the cut frames
        cards = {"TRIMSEC": "[2:4,1:3]"}
        texts = ("cut to [2:4,1:3]", texts[1])
    add_frames("bias", 2, "other", **cards)
    verdict = decide(settings).verdicts["other/0.fits"]
    ours, theirs = texts
    assert verdict.reason.startswith(
        f"has another layout than most of its group: {ours}, not {theirs}; they are not averaged"
    )
    assert verdict.group == BIAS
