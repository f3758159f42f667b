"""What is wrong with settings or frames is said; everything else is made."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from astropy.io import fits
from real_workflow import BLUE, RED
from xisf import XISF

from calmasters.synthetic.camera import Camera, write_frame
from calmasters.synthetic.session import ObservingSession, nina_header

FLAT = "masterFlat_FILTER-B"


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("minimum_frame=3", "minimum_frame: unknown key; did you mean 'minimum_frames'?"),
        ("minimum_frames=two", "minimum_frames: 'two' is not of type 'integer'"),
        ("engine=natve", "engine: 'natve' is not one of"),
        ("input_dir=nowhere", "directory 'nowhere' does not exist"),
        ("input_dir=config", "no frames (FITS, XISF or camera raws) below"),
        ("library={bias: [gone], dark: []}", "library: directory 'gone' does not exist"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(session, setting, says):
    session.configure(night={"timezone": "UTC"})
    run = session.run("masters", "--config", setting, succeeds=False)
    assert says in run.output
    assert not (session.output / "masters").exists()


def test_darks_may_not_be_grouped_without_their_exposure(session):
    session.configure(required_keywords={"dark": ["TYPE", "INSTRUME"]})
    assert "EXPOSURE is missing" in session.run("masters", succeeds=False).output


def test_bad_frames_are_refused_and_the_rest_is_made(session):
    camera = Camera(width=48, height=32)
    spoiled = session.frames / "spoiled"
    spoiled.mkdir()
    good = next(session.frames.rglob("BIAS/*.fits"))
    whole = good.read_bytes()
    bias = nina_header(camera, ObservingSession(camera).shots()[0])
    (spoiled / "empty.fits").touch()
    (spoiled / "text.fits").write_text("not an image")
    (spoiled / "truncated.fits").write_bytes(whole[:-3000])
    (spoiled / "no_end.fits").write_bytes(whole[:400])
    (spoiled / "link.fits").symlink_to(spoiled / "gone.fits")
    (spoiled / "folder.fits").mkdir()
    write_frame(spoiled / "untyped.fits", camera.bias_frame(1), bias | {"IMAGETYP": None})
    write_frame(spoiled / "odd_type.fits", camera.bias_frame(1), bias | {"IMAGETYP": "Sausage"})
    write_frame(spoiled / "no_gain.fits", camera.bias_frame(1), bias | {"GAIN": None})
    write_frame(spoiled / "other_size.fits", camera.bias_frame(1)[:16], bias)
    fits.writeto(spoiled / "colour.fits", np.zeros((3, 8, 8), np.uint16), _header(bias))
    fits.writeto(spoiled / "float_adu.fits", np.full((32, 48), 3.0, np.float32), _header(bias))

    session.run("masters")

    table = session.inventory
    reasons = {
        path.removeprefix("spoiled/"): reason
        for path, reason in table["reason"].items()
        if path.startswith("spoiled/")
    }
    expected = {
        "empty.fits": "it is empty",
        "text.fits": "is not a FITS file",
        "truncated.fits": "is truncated",
        "no_end.fits": "its header has no END",
        "link.fits": "is not a regular file",
        "untyped.fits": "has no frame type; set IMAGETYP",
        "odd_type.fits": "is of type 'sausage'; if these are bias frames, set type_words",
        "no_gain.fits": "lacks GAIN; if all these were taken with GAIN 100, as other frames of",
        "other_size.fits": "only 1 frame of this group",
        "colour.fits": "is a colour image of 3 planes",
        "float_adu.fits": "set float_range: adu16",
    }
    assert reasons.keys() == expected.keys()
    for name, words in expected.items():
        assert words in reasons[name]
    assert (table.loc[table["reason"] != "", "status"] != "used").all()
    assert len(session.masters) == 5
    assert session.run("masters").nothing_to_do


def _header(cards) -> fits.Header:
    keep = {key: value for key, value in cards.items() if value is not None}
    return fits.Header([(key, value) for key, value in keep.items() if key != "BZERO"])


def test_a_frame_that_turns_unreadable_is_refused_in_the_next_run(session):
    session.run("masters")
    dark = next(session.frames.rglob("DARK/**/*_1.50s_*.fits"))
    dark.write_bytes(dark.read_bytes()[:-2880])
    # Two darks are too few, and the master of three is not used while one of its frames is bad.
    run = session.run_as_predicted()
    assert run.jobs == sorted(["inventory", BLUE, RED])
    assert "no flat uses masterDark_EXPOSURE-1.50_" in run.output
    verdict = session.inventory.loc[dark.relative_to(session.frames).as_posix()]
    assert verdict["status"] == "refused"
    assert "is truncated" in verdict["reason"]


def test_a_job_that_meets_a_spoiled_frame_fails_alone_and_says_so(session):
    session.run("inventory")
    dark = next(session.frames.rglob("DARK/**/*_1.50s_*.fits"))
    whole, times = dark.read_bytes(), dark.stat()
    dark.write_bytes(b"X" * len(whole))
    os.utime(dark, ns=(times.st_atime_ns, times.st_mtime_ns))
    run = session.run("masters", "--keep-going", succeeds=False)
    assert "is not a FITS file" in run.output
    assert [name.split("_")[0] for name in session.masters] == ["masterBias", "masterDark"]
    dark.write_bytes(whole)
    os.utime(dark, ns=(times.st_atime_ns, times.st_mtime_ns))
    session.run("masters")
    assert len(session.masters) == 5


def test_a_frame_with_damaged_pixels_is_left_out_or_stops_everything(session):
    good = sorted(session.frames.rglob("BIAS/*.fits"))
    damaged = good[0].with_name("damaged.fits.fz")
    with fits.open(good[0]) as (whole,):
        header = whole.header
        header["DATE-OBS"] = "2026-01-16T20:00:00"
        packed = fits.CompImageHDU(whole.data, header)
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(damaged)
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-2880] + bytes(2880))

    run = session.run_as_predicted()
    bias = next((session.output / "masters" / "bias").glob("*.json"))
    record = json.loads(bias.read_text(encoding="utf-8"))
    path = damaged.relative_to(session.frames).as_posix()
    assert [frame["path"] for frame in record["left_out"]] == [path]
    assert record["frames_used"] == len(good)
    assert len(run.jobs) == 6
    assert f"Frames: bias {len(good)} used, 1 left out of masters; " in run.output

    for arguments in (("-n",), ()):
        run = session.run("masters", *arguments, "--config", "on_bad_frame=fail", succeeds=False)
        assert f"{path}: cannot be unpacked" in run.output
    assert session.run("masters").jobs == ["inventory"]


# --- real frames ----------------------------------------------------------------------------------


def test_every_real_file_gets_a_row_and_a_sensible_status(workflow, real_frames):
    workflow.run("masters", "--config", f"input_dir={real_frames}")
    table = workflow.inventory
    assert len(table) == len([*real_frames.rglob("*.fit*")])
    by_name = {path.rpartition("/")[2]: row for path, row in table.iterrows()}
    lights = [row["status"] for name, row in by_name.items() if name.startswith("uint16")]
    assert lights == ["ignored"] * 4
    assert "contains 3 images (extensions)" in by_name["flat-mef.fits"]["reason"]
    for number in range(1, 6):
        # Floating-point ADU of a camera that writes no GAIN and no OFFSET.
        assert by_name[f"biastest{number}.fit"]["status"] == "used"


def test_the_real_biases_and_darks_become_masters(workflow, real_frames):
    workflow.configure(
        input_dir=str(real_frames / "msumastro_maxim"),
        exclude=["flattest.fit"],
    )
    workflow.run_as_predicted()
    bias, dark = workflow.masters
    assert bias == "masterBias_INSTRUME-Apogee Alta_SETTEMP--35.00"
    assert dark == "masterDark_EXPOSURE-30.00_INSTRUME-Apogee Alta_SETTEMP--35.00"
    assert workflow.inventory.loc["flattest.fit", "status"] == "ignored"
    pixels = [
        XISF(str(workflow.output / "masters" / kind / f"{name}.xisf")).read_image(0)
        for kind, name in (("bias", bias), ("dark", dark))
    ]
    # The pixels of these darks are those of the biases.
    assert np.array_equal(*pixels)
    assert 35_000 / 65535 < pixels[0].mean() < 36_100 / 65535
