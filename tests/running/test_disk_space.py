from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from calmasters.engines.needs import bytes_on_disk, sample_bytes
from calmasters.errors import OutputError
from calmasters.frame import FrameType, Geometry
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.running.disk_space import DiskNeed, disk_need, require_disk_space
from calmasters.settings import Calibrated, Calibration, Integration

#: Of 100 megapixels: what is beside the pixels hardly counts.
IMAGE = 10_000 * 10_000 * 4
BIAS = MasterJob(
    name="masterBias",
    type=FrameType.BIAS,
    keywords={},
    geometry=Geometry(10_000, 10_000),
    frames=tuple(FrameFile(f"{number}.fits", 1, 1) for number in range(20)),
    header={},
    recipe=Recipe("pixinsight", 1, Integration(), Calibration(), "unit", "xisf"),
)
FLAT = replace(BIAS, type=FrameType.FLAT, bias=UsedMaster("b.xisf", "run", "the only one"))
SMALL_FLAT = replace(FLAT, frames=FLAT.frames[:5])
NATIVE_FLAT = replace(FLAT, recipe=replace(FLAT.recipe, engine="native"))


def images(size: int) -> float:
    return pytest.approx(size / IMAGE, abs=0.01)  # type: ignore[return-value]


def test_a_master_takes_four_bytes_a_pixel_whatever_the_number_of_frames() -> None:
    need = disk_need([BIAS, BIAS, NATIVE_FLAT], Calibrated())
    assert images(need.masters) == 3
    assert (need.calibrated, need.copies) == (0, 0)


def test_rejection_maps_are_images_too() -> None:
    maps = replace(NATIVE_FLAT.recipe, integration=Integration(generateRejectionMaps=True))
    assert images(disk_need([replace(NATIVE_FLAT, recipe=maps)], Calibrated()).masters) == 3


def test_calibrated_flats_of_one_master_are_there_at_a_time_unless_they_are_kept() -> None:
    jobs = [BIAS, FLAT, SMALL_FLAT]
    assert images(disk_need(jobs, Calibrated()).calibrated) == 20
    assert images(disk_need(jobs, Calibrated(keep=True)).calibrated) == 25
    by_siril = [replace(job, recipe=replace(job.recipe, engine="siril")) for job in jobs]
    assert images(disk_need(by_siril, Calibrated(keep=True)).calibrated) == 20


@pytest.mark.parametrize("job", [BIAS, NATIVE_FLAT, replace(FLAT, bias=None)])
def test_what_is_not_calibrated_by_pixinsight_takes_no_space_for_it(job: MasterJob) -> None:
    assert disk_need([job], Calibrated(keep=True)).calibrated == 0


def by_engine(job: MasterJob, engine: str, extension: str, read_as: str = "") -> MasterJob:
    """Return the job of another engine, of frames of 16 bits in another format."""
    frames = tuple(
        FrameFile(f"{number}.{extension}", IMAGE // 2, 1, read_as=read_as) for number in range(20)
    )
    return replace(job, frames=frames, recipe=replace(job.recipe, engine=engine))


@pytest.mark.parametrize(
    ("engine", "extension", "read_as", "space"),
    [
        ("pixinsight", "cr2", "", 10),
        ("siril", "NEF", "", 10),
        ("native", "cr3", "", 0),
        ("pixinsight", "fits", "", 0),
        ("siril", "fits", "", 0),
        ("siril", "fits.fz", "", 20),
        ("siril", "fits", "bottom-up", 20),
    ],
)
def test_frames_that_are_rewritten_take_space_for_one_master(
    engine: str, extension: str, read_as: str, space: int
) -> None:
    job = by_engine(BIAS, engine, extension, read_as)
    need = disk_need([job, job], Calibrated())
    assert images(need.frames) == space
    assert ("for rewritten frames" in str(need)) == (space > 0)
    assert need.total == need.masters + need.frames


def test_the_frames_of_a_series_are_in_one_file() -> None:
    names = [f"series.fits[{number:02}]" for number in range(1, 21)]
    frames = tuple(FrameFile(name, 20 * IMAGE // 2 + 2880, 1) for name in names)
    job = replace(BIAS, frames=frames)
    assert images(disk_need([job], Calibrated()).frames) == 10
    native = replace(job, recipe=replace(job.recipe, engine="native"))
    single = by_engine(native, "native", "fits")
    assert bytes_on_disk(native) == pytest.approx(bytes_on_disk(single), rel=1e-6)
    assert sample_bytes(native) == sample_bytes(single) == 2


def test_nothing_to_make_takes_nothing() -> None:
    assert disk_need([], Calibrated()).total == 0


def test_what_fits_is_made_and_what_cannot_fit_is_refused_with_the_numbers(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    require_disk_space(DiskNeed(free // 4, free // 4, free // 4), tmp_path)
    needed = DiskNeed(masters=3 * 10**18, calibrated=2 * 10**18, copies=500)
    with pytest.raises(OutputError) as refused:
        require_disk_space(needed, tmp_path)
    for words in (
        str(tmp_path),
        "needs 5,000,000,000 GB (",
        "3,000,000,000 GB for masters",
        "2,000,000,000 GB for calibrated flats",
        "500 bytes for copies of previous masters), only ",
        " free; free disk space",
    ):
        assert words in str(refused.value)


@pytest.mark.parametrize(
    ("size", "text"),
    [(999, "999 bytes"), (1_234, "1.23 kB"), (999_600, "1 MB"), (234_000_000, "234 MB")],
)
def test_sizes_have_three_digits(size: int, text: str) -> None:
    assert str(DiskNeed(size)) == f"{text} for masters"
