"""PixInsight gets camera raws and series as plain copies, and makes the native masters."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from dng import EXIF, write_dng
from jobs_for_pixinsight import Site, assert_equals_native, make_job
from standin.images import read

from calmasters.engines.pixinsight.needs import NEEDS
from calmasters.frame import FrameType, Geometry
from calmasters.images.master_file import read_image
from calmasters.model.job import FrameFile, MasterJob, UsedMaster


def with_frames(site: Site, job: MasterJob, extension: str) -> MasterJob:
    """Write the frames of a job in another format, and return its job.

    They are twice as wide and high, since LibRaw refuses very small images.
    """
    files = []
    for frame in job.frames:
        pixels = np.tile(fits.getdata(site.input_dir / frame.path).astype(np.uint16), (2, 2))
        name = frame.path.replace(".fits", f"_large.{extension}")
        path = site.input_dir / name
        if extension == "dng":
            write_dng(path, pixels, EXIF, white=65535, margins=(2, 2, 2, 2))
        else:
            fits.PrimaryHDU(pixels).writeto(path)
        stat = path.stat()
        files.append(FrameFile(name, stat.st_size, stat.st_mtime_ns))
    geometry = Geometry(2 * job.geometry.width, 2 * job.geometry.height)
    return replace(job, frames=tuple(files), geometry=geometry)


def as_raws(site: Site, job: MasterJob) -> MasterJob:
    return with_frames(site, job, "dng")


def test_masters_of_raws_equal_those_of_fits_files(site: Site) -> None:
    plain = make_job(site, FrameType.BIAS)
    assert_equals_native(site, as_raws(site, plain))
    made = read_image(site.output_dir / plain.master)[0]
    large = with_frames(site, plain, "fits")
    assert np.array_equal(made, read_image(site.make_native(large))[0])


def test_flats_of_raws_are_calibrated(site: Site) -> None:
    masters = {}
    for kind in (FrameType.BIAS, FrameType.DARK):
        job = as_raws(site, make_job(site, kind))
        target = site.output_dir / job.master
        target.parent.mkdir(parents=True)
        site.make_native(job).rename(target)
        masters[kind.value] = UsedMaster(job.master, "run", "nearest")
    assert_equals_native(site, as_raws(site, make_job(site, FrameType.FLAT, **masters)))


def test_copies_are_removed_and_counted(site: Site) -> None:
    job = as_raws(site, make_job(site, FrameType.DARK))
    assert (
        NEEDS.rewritten_bytes(job) >= 2 * len(job.frames) * job.geometry.width * job.geometry.height
    )
    site.make(job)
    left = [path.name for path in site.output_dir.rglob("*") if path.name.endswith(".frames")]
    assert left == []
    plain = make_job(site, FrameType.FLAT)
    assert NEEDS.rewritten_bytes(plain) == 0


def test_a_script_for_a_user_says_that_raws_need_the_workflow(site: Site) -> None:
    job = as_raws(site, make_job(site, FrameType.BIAS))
    text = site.script(job)
    start = text.index("var JOB = ") + len("var JOB = ")
    found, _ = json.JSONDecoder().raw_decode(text[start:].replace("/\\/", "//"))
    assert (
        "written as plain files before PixInsight reads them (bias/0/image_large.dng)"
        in found["problem"]
    )


def test_the_stand_in_does_not_read_raws(site: Site) -> None:
    job = as_raws(site, make_job(site, FrameType.BIAS))
    with pytest.raises(Exception, match=r"dng|FITS|SIMPLE"):
        read(str(site.input_dir / job.frames[0].path), "raw cfa")


@pytest.mark.parametrize("order", ["TOP-DOWN", "BOTTOM-UP"])
def test_masters_of_a_series_equal_those_of_its_frames(site: Site, order: str) -> None:
    job = make_job(site, FrameType.BIAS)
    cube = np.array([fits.getdata(site.input_dir / frame.path) for frame in job.frames])
    path = site.input_dir / "series.fits"
    fits.PrimaryHDU(cube.astype(np.uint16), fits.Header({"ROWORDER": order})).writeto(path)
    stat = path.stat()
    names = [f"series.fits[{number + 1}]" for number in range(len(cube))]
    files = tuple(FrameFile(name, stat.st_size, stat.st_mtime_ns) for name in names)
    assert_equals_native(site, replace(job, frames=files))
    made, single = read_image(site.output_dir / job.master)[0], read_image(site.make_native(job))[0]
    assert np.array_equal(made[::-1] if order == "BOTTOM-UP" else made, single)
