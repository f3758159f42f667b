"""From a directory of frames to masters, through the real Snakefile."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from real_workflow import Workflow, add_another
from xisf import XISF

from calmasters import get_fits_headers, get_metadata_for_directory
from calmasters.commands.bug_report import replay
from calmasters.synthetic.camera import Camera
from calmasters.synthetic.session import ObservingSession, write_session

SETTINGS = "INSTRUME-ATR585M_SETTEMP--10.00_GAIN-100_OFFSET-150_READOUTM-Low Noise"
BIAS = f"masterBias_{SETTINGS}"
DARK = f"masterDark_EXPOSURE-1.50_{SETTINGS}"
LONG_DARK = f"masterDark_EXPOSURE-60.00_{SETTINGS}"
FLATS = [
    f"masterFlat_FILTER-{name}_INSTRUME-ATR585M_DATE-2026-01-16_SETTEMP--10.00_GAIN-100"
    "_OFFSET-150_READOUTM-Low Noise"
    for name in ("B", "Ha")
]
ALL = sorted([BIAS, DARK, LONG_DARK, *FLATS])


def test_a_directory_never_seen_before_is_predicted_and_made(made_once):
    workflow, predicted, run = made_once
    assert predicted.jobs == run.jobs == sorted(["inventory", *ALL])
    assert workflow.masters == ALL


def test_another_run_does_nothing(made_once):
    workflow, _, _ = made_once
    assert workflow.run("masters").nothing_to_do
    assert workflow.run("-n", "masters").nothing_to_do


@pytest.mark.parametrize(
    ("arguments", "shows"),
    [
        (["masters", "--dag"], "digraph"),
        (["masters", "--rulegraph"], "master_flat"),
        (["masters", "--summary"], "masters/flat"),
    ],
)
def test_pictures_show_the_whole_plan_and_write_nothing(session, arguments, shows):
    run = session.run(*arguments)
    assert shows in run.output
    if "--rulegraph" not in arguments:
        assert all(name in run.output for name in ALL)
    assert not session.output.exists()


def test_summary_prints_and_writes_nothing(session):
    run = session.run("summary")
    for line in (
        "bias          4  (4 used)",
        "1 frame: type light",
        f"4 frames, masters/bias/{BIAS}",
    ):
        assert line in run.output
    assert "is truncated" in run.output
    assert not session.output.exists()
    assert "summary" in session.run("summary").jobs


def test_a_bug_report_is_planned_as_the_frames_were(made_once, tmp_path):
    workflow, _, _ = made_once
    run = workflow.run("bug_report")
    bundle = workflow.output / "bug_report.zip"
    assert str(bundle.relative_to(workflow.directory)) in run.output
    replay(bundle, tmp_path / "again")
    bundle.unlink()
    again = Workflow(tmp_path / "again")
    assert again.run("-n", "masters").jobs == ["inventory"]


def test_a_bug_report_is_asked_for_alone(session):
    """In one call with the masters it would be written before them."""
    shown = session.show("masters", "bug_report", succeeds=False)
    assert len(shown) == 1
    assert "ask for it alone, after the run that shows the problem" in shown[0]
    # A plan may have been written: Snakemake looks at the targets in any order.
    assert session.masters == []


def test_a_flat_is_calibrated_with_the_masters_of_its_own_run(made_once):
    workflow, _, _ = made_once
    flat = workflow.plan["masters"][f"masters/flat/{FLATS[0]}.xisf"]
    assert flat["bias"]["path"] == f"masters/bias/{BIAS}.xisf"
    assert flat["dark"]["path"] == f"masters/dark/{DARK}.xisf"
    assert flat["optimize_dark"]
    assert "within 0.5 s of the flats'" in flat["dark"]["why"]


def test_the_json_beside_a_master_says_what_it_is_made_of(made_once):
    workflow, _, _ = made_once
    path = workflow.output / "masters" / "flat" / f"{FLATS[0]}.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["frames_used"] == len(record["frames"]) == 3
    assert record["rejected_high"] == sum(frame["high"] for frame in record["frames"])
    assert all(0.2 < frame["location"] < 0.8 for frame in record["frames"])
    assert all(frame["k"] >= 0 for frame in record["frames"])
    assert record["bias"]["origin"] == "run"
    assert record["seconds"] > 0
    assert record["noise"] > 0
    assert "calmasters" in record["versions"]


def test_a_master_carries_its_keywords(made_once):
    workflow, _, _ = made_once
    path = workflow.output / "masters" / "flat" / f"{FLATS[0]}.xisf"
    image = XISF(str(path)).get_images_metadata()[0]
    cards = {name: entries[0]["value"] for name, entries in image["FITSKeywords"].items()}
    assert image["dtype"] == np.float32
    assert image["geometry"] == (48, 32, 1)
    assert cards["IMAGETYP"].strip("'") == "Master Flat"
    expected = {"FILTER": "B", "NIGHT": "2026-01-16", "GAIN": 100, "SET-TEMP": -10.0}
    for keyword, value in expected.items():
        assert str(value) in cards[keyword]
    history = [entry["comment"] or entry["value"] for entry in image["FITSKeywords"]["HISTORY"]]
    assert any(BIAS in line for line in history)
    found = get_fits_headers(path)
    assert found["TYPE"] == "master flat"
    assert (found["INSTRUME"], found["OFFSET"], found["READOUTM"]) == (
        "ATR585M",
        150,
        "Low Noise",
    )


def test_the_users_own_scripts_find_the_masters(made_once):
    workflow, _, _ = made_once
    flat = next(workflow.frames.rglob("FLAT/**/*.fits"))
    gain = get_fits_headers(flat)["GAIN"]
    found = get_metadata_for_directory(
        workflow.output / "masters" / "bias",
        filter_func=lambda m: m.get("GAIN") == gain and m.get("SET-TEMP") == -10.0,
    )
    assert [Path(path).stem for path in found] == [BIAS]


def test_masters_can_be_fits(session):
    run = session.run("masters", "--config", "master_format=fits")
    assert run.jobs == sorted(["inventory", *ALL])
    with fits.open(session.output / "masters" / "bias" / f"{BIAS}.fits") as file:
        assert file[0].data.dtype == np.dtype(">f4")
        assert file[0].header["IMAGETYP"] == "Master Bias"
        assert file[0].header["NCOMBINE"] == 4
        assert "FILTER" not in file[0].header
    assert session.run("masters", "--config", "master_format=fits").nothing_to_do


def test_one_master_is_made_by_its_path(session):
    run = session.run(f"output/masters/flat/{FLATS[0]}.xisf")
    assert run.jobs == sorted(["inventory", BIAS, DARK, FLATS[0]])
    assert session.masters == sorted([BIAS, DARK, FLATS[0]])


def test_a_master_that_is_not_in_the_plan_is_named(session):
    run = session.run("output/masters/bias/masterBias_other.xisf", succeeds=False)
    assert "the plan has no master 'output/masters/bias/masterBias_other.xisf'" in run.output
    assert f"the nearest one is 'output/masters/bias/{BIAS}.xisf'" in run.output


def test_the_inventory_is_a_target(session):
    assert session.run("inventory").jobs == ["inventory"]
    table = session.inventory
    assert set(table["status"]) == {"used", "ignored", "refused"}
    assert (table.loc[table["TYPE"] == "bias", "group"] == BIAS).all()


def test_keyword_lists_of_the_configuration_make_the_groups(session):
    keywords = ["TYPE", "INSTRUME", "DATE"]
    session.configure(
        required_keywords={"flat": keywords}, master_match_keywords=["INSTRUME", "GAIN"]
    )
    session.run("masters")
    flats = [name for name in session.masters if name.startswith("masterFlat")]
    assert flats == ["masterFlat_INSTRUME-ATR585M_DATE-2026-01-16"]
    assert len(session.plan["masters"][f"masters/flat/{flats[0]}.xisf"]["frames"]) == 6


# --- what arrives, goes or changes ----------------------------------------------------------------


def test_a_frame_that_arrives_remakes_its_master_and_the_flats_that_use_it(session):
    session.run("masters")
    first = next(session.frames.rglob("BIAS/*.fits"))
    add_another(first, "one_more.fits")
    assert session.run_as_predicted().jobs == sorted(["inventory", BIAS, *FLATS])


def test_a_frame_that_goes_remakes_its_master(session):
    session.run("masters")
    bias = sorted(session.frames.rglob("BIAS/*.fits"))
    bias[-1].unlink()
    assert session.run_as_predicted().jobs == sorted(["inventory", BIAS, *FLATS])


def test_an_excluded_frame_is_left_out(session):
    session.run("masters")
    flat = sorted(path.name for path in session.frames.rglob("*_B_*.fits") if "FLAT" in path.parts)
    session.configure(exclude=[flat[0]], minimum_frames=3)
    run = session.run_as_predicted()
    # Two flats are left of three: no master any more, the old one stays.
    assert run.jobs == ["inventory"]
    reasons = set(session.inventory["reason"])
    assert f"exclude: {flat[0]}" in reasons
    assert any("only 2 frames of this group" in reason for reason in reasons)
    assert FLATS[0] in session.masters


def test_a_setting_remakes_what_it_changes(session):
    session.run("masters")
    session.configure(integration={"flat": {"sigmaHigh": 2.5}})
    assert session.run_as_predicted().jobs == sorted(["inventory", *FLATS])


# --- libraries ------------------------------------------------------------------------------------


def other_session(workflow, **counts: int) -> None:
    empty = {"bias": 0, "darks": 0, "flats": 0, "lights": 0, "nights": 1, "broken": 0}
    write_session(
        workflow.frames, ObservingSession(camera=Camera(width=48, height=32), **empty | counts)
    )


@pytest.mark.parametrize("master_format", ["xisf", "fits"])
def test_flats_use_a_library_whatever_its_format(workflow, made_once, tmp_path, master_format):
    made, _, _ = made_once
    library = tmp_path / "library"
    for kind, name in (("bias", BIAS), ("dark", DARK)):
        source = made.output / "masters" / kind / f"{name}.xisf"
        (library / kind).mkdir(parents=True)
        if master_format == "xisf":
            shutil.copy(source, library / kind / "some name.xisf")
        else:
            write_as_siril_does(source, library / kind / "stacked.fit", kind)
    other_session(workflow, flats=3)
    workflow.configure(library={"bias": ["library/bias"], "dark": ["library/dark"]})
    run = workflow.run_as_predicted()
    assert [name.split("_")[0] for name in run.jobs] == ["inventory", *["masterFlat"] * 2]
    for flat in workflow.plan["masters"].values():
        assert flat["bias"]["origin"] == flat["dark"]["origin"] == "library"
        assert flat["dark"]["path"].startswith("library/dark/")


def write_as_siril_does(source: Path, target: Path, kind: str) -> None:
    pixels = XISF(str(source)).read_image(0)[:, :, 0]
    header = fits.Header()
    header["IMAGETYP"] = kind.upper()
    header["STACKCNT"] = 20
    header["INSTRUME"], header["CCD-TEMP"], header["SET-TEMP"] = "ATR585M", -9.9, -10.0
    header["GAIN"], header["OFFSET"], header["READOUTM"] = 100, 150, "Low Noise"
    header["EXPTIME"] = 1.5 if kind == "dark" else 0.0
    header["DATE-OBS"] = "2025-07-01T00:00:00"
    fits.writeto(target, pixels, header)


def test_a_kept_master_serves_when_its_frames_are_archived(session):
    session.run("masters")
    for path in session.frames.rglob("DARK/**/*.fits"):
        path.unlink()
    # The same dark, by the same path: the flats that used it stay as they are.
    assert session.run_as_predicted().jobs == ["inventory"]
    assert session.plan["masters"][f"masters/flat/{FLATS[0]}.xisf"]["dark"]["origin"] == "kept"


@pytest.mark.parametrize(
    "counts",
    [{"bias": 3}, {"darks": 3}, {"flats": 3}, {"flats": 3, "darks": 3}, {"lights": 2}],
    ids=lambda counts: "+".join(counts),
)
def test_any_types_may_be_missing(workflow, counts):
    other_session(workflow, **counts)
    run = workflow.run_as_predicted()
    assert len(run.jobs) == 1 + len(workflow.plan["masters"])
    if "flats" in counts:
        *_, flat = workflow.plan["masters"].values()
        is_weak = any("no bias master" in warning["text"] for warning in flat["warnings"])
        # A dark of the flats' exposure contains the bias.
        assert is_weak == (not flat["bias"] and not flat["dark"])
