"""Frames and trees as they come, through the real Snakefile."""

from __future__ import annotations

import bz2
import gzip
import shutil

import numpy as np
import pytest
from astropy.io import fits
from real_workflow import add_another
from xisf import XISF

from calmasters.images.master_file import read_image
from calmasters.synthetic.camera import write_frame

LIBRARY = "masters/MASTER {}/ATR585M"
SETTINGS = "GAIN_100_OFFSET_150_SETTEMP_-10.00_READOUTM_Low Noise"


def zipped(path):
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))


def bzipped(path):
    path.with_name(f"{path.name}.bz2").write_bytes(bz2.compress(path.read_bytes()))


def tiled(path):
    image, header = fits.getdata(path), fits.getheader(path)
    hdu = fits.CompImageHDU(image, header, compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path.with_name(f"{path.name}.fz"))


def wrapped(path):
    image, header = fits.getdata(path), fits.getheader(path)
    keywords = {
        card.keyword: [{"value": card.image[10:].partition("/")[0].strip(), "comment": ""}]
        for card in header.cards
        if card.keyword
    }
    metadata = {"FITSKeywords": keywords}
    target = str(path.with_suffix(".xisf"))
    XISF.write(target, image[:, :, None], image_metadata=metadata, codec="lz4hc", shuffle=True)


def extended(path):
    image, header = fits.getdata(path), fits.getheader(path)
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(image, header)])
    hdus.writeto(path.with_name(f"extended_{path.name}"))


def test_masters_of_packed_frames_are_those_of_plain_ones(workflow, made_once):
    plain, _, _ = made_once
    shutil.copytree(plain.frames, workflow.frames)
    pack = {"BIAS": (tiled, extended), "DARK": (zipped, bzipped), "FLAT": (wrapped, zipped)}
    for kind, ways in pack.items():
        for number, path in enumerate(sorted(workflow.frames.rglob(f"{kind}/**/*.fits"))):
            ways[number % 2](path)
            path.unlink()
    workflow.run("masters")
    assert workflow.masters == plain.masters
    for path in plain.output.glob("masters/*/*.xisf"):
        packed = workflow.output / path.relative_to(plain.output)
        assert np.array_equal(read_image(packed)[0], read_image(path)[0]), path.name


def test_frames_of_several_directories_make_masters_together(session):
    one, other = session.directory / "one", session.directory / "other"
    session.run("masters")
    expected = session.masters
    shutil.rmtree(session.output)
    other.mkdir()
    flats = next(path for path in session.frames.rglob("FLAT") if path.is_dir())
    flats.rename(other / "FLAT")
    session.frames.rename(one)
    session.configure(input_dir=["one", "other", "other/FLAT"])
    session.run_as_predicted()
    assert session.masters == expected
    paths = (session.output / "inventory.csv").read_text(encoding="utf-8")
    assert "\none/" in paths
    assert "\nother/FLAT/" in paths


def test_masters_go_straight_into_the_ap_library(session):
    session.configure(layout="ap-library")
    session.run_as_predicted()
    masters = sorted(path.relative_to(session.output).as_posix() for path in found(session))
    flats = f"{LIBRARY.format('FLAT')}/DATE_2026-01-16/masterFlat_FILTER_"
    assert masters == sorted(
        [
            f"{LIBRARY.format('BIAS')}/masterBias_{SETTINGS}.xisf",
            f"{LIBRARY.format('DARK')}/masterDark_EXPOSURE_1.50_{SETTINGS}.xisf",
            f"{LIBRARY.format('DARK')}/masterDark_EXPOSURE_60.00_{SETTINGS}.xisf",
            f"{flats}B_{SETTINGS}.xisf",
            f"{flats}Ha_{SETTINGS}.xisf",
        ]
    )
    assert all(path.with_suffix(".json").is_file() for path in found(session))
    assert set(session.plan["masters"]) == set(masters)


def found(session):
    return [*(session.output / "masters").rglob("*.xisf")]


def test_a_frame_that_arrives_remakes_its_master_in_the_ap_library(session):
    session.configure(layout="ap-library")
    session.run("masters")
    dark = next(session.frames.rglob("DARK/**/*.fits"))
    add_another(dark, "late.fits")
    run = session.run_as_predicted()
    assert "inventory" in run.jobs
    assert sum("masterDark" in job for job in run.jobs) == 1
    assert not any("masterBias" in job for job in run.jobs)


def test_scripts_and_single_masters_follow_the_layout(session):
    session.configure(layout="ap-library")
    session.run("scripts")
    scripts = [*(session.output / "scripts").rglob("*.js")]
    assert len(scripts) == 6  # of five masters, and of all
    assert session.output / f"scripts/bias/ATR585M/masterBias_{SETTINGS}.js" in scripts
    name = f"output/{LIBRARY.format('BIAS')}/masterBias_{SETTINGS}.xisf"
    assert session.run(name).jobs == [f"ATR585M/masterBias_{SETTINGS}"]


def test_masters_of_the_other_layout_go_on_serving(session):
    session.run("masters")
    for path in [*session.frames.rglob("BIAS"), *session.frames.rglob("DARK")]:
        shutil.rmtree(path)
    session.configure(layout="ap-library")
    session.run_as_predicted()
    flats = [entry for path, entry in session.plan["masters"].items() if "FLAT" in path]
    assert len(flats) == 2
    assert {entry["bias"]["origin"] for entry in flats} == {"kept"}


@pytest.mark.parametrize("path_keywords", ["fallback", "override"])
def test_the_users_own_tree_names_what_the_driver_leaves_out(workflow, path_keywords):
    tree = (
        workflow.frames / "FLAT/SQA55+ASCOM.ToupTek.Camera/DATE_2026-01-15_INSTRUME_ATR585M_"
        "OFFSET_150_READOUTM_Low Conversion Gain/FILTER_B_EXP_1.36_SETTEMP_-10.00"
    )
    cards = {"GAIN": 100, "EXPTIME": 1.36, "CCD-TEMP": -10.0, "IMAGETYP": "FLAT"}
    if path_keywords == "override":
        cards |= {"INSTRUME": "ASCOM.ToupTek.Camera", "OFFSET": 0}
    for number in range(3):
        image = np.full((32, 48), 20_000 + number, np.uint16)
        write_frame(tree / f"2026-01-16_07-12-3{number}.fits", image, cards)
    workflow.configure(path_keywords=path_keywords)
    workflow.run("masters")
    assert workflow.masters == [
        "masterFlat_FILTER-B_INSTRUME-ATR585M_DATE-2026-01-15_SETTEMP--10.00_GAIN-100_OFFSET-150_"
        "READOUTM-Low Conversion Gain"
    ]


def test_the_plan_does_not_depend_on_the_zone_of_the_machine(session, monkeypatch):
    for path in session.frames.rglob("*.fits"):
        path.write_bytes(path.read_bytes().replace(b"DATE-LOC=", b"DATE-XXX="))
    predicted = set()
    for zone in ("Pacific/Kiritimati", "America/Los_Angeles"):
        monkeypatch.setenv("TZ", zone)
        predicted.add(tuple(session.run("-n", "masters").jobs))
    assert len(predicted) == 1


def test_ap_common_that_is_not_installed_is_reported(session):
    session.configure(header_reader="ap-common")
    run = session.run("-n", "masters", succeeds=False)
    assert "header_reader: ap-common needs the package ap_common" in run.output
    assert "set header_reader: native" in run.output
