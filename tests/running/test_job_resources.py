from __future__ import annotations

from dataclasses import replace

import pytest

from calmasters.engines import needs_of
from calmasters.frame import FrameType, Geometry
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.running import job_resources as resources
from calmasters.settings import Calibration, Integration

native, siril = needs_of("native"), needs_of("siril")

#: Eight megapixels of 16 bits.
SIZE = Geometry(4000, 2000)
MASTER = UsedMaster("masters/bias/b.xisf", "run", "")


def job(frames: int = 30, kind: str = "bias", engine: str = "native", **changes) -> MasterJob:
    recipe = Recipe(engine, 1, Integration(), Calibration(), "unit", "xisf")
    files = tuple(FrameFile(f"{i}.fits", 16_005_600, 0) for i in range(frames))
    made = MasterJob("M", FrameType(kind), {}, SIZE, files, {}, recipe)
    return replace(made, **changes)


def test_a_group_of_more_samples_gets_more_threads():
    assert [resources.threads(job(n)) for n in (3, 17, 34, 1000)] == [1, 2, 3, 4]
    assert resources.threads(job(3, engine="pixinsight")) == 4
    assert resources.threads(job(3, engine="siril")) == 4


@pytest.mark.parametrize("engine", ["native", "pixinsight", "siril"])
@pytest.mark.parametrize(
    "larger",
    [
        {"geometry": Geometry(8000, 2000)},
        {"frames": job(1000).frames},
    ],
    ids=["pixels", "frames"],
)
def test_memory_grows_with_what_is_held(engine, larger):
    plain = job(engine=engine)
    assert resources.memory_mb(replace(plain, **larger), 2) > resources.memory_mb(plain, 2)


PACKED = tuple(file._replace(path="a.fits.FZ") for file in job().frames)
WITH_MAPS = replace(job().recipe, integration=Integration(generateRejectionMaps=True))


@pytest.mark.parametrize(
    ("changes", "bytes_a_pixel", "bytes_in_strips"),
    [
        ({"type": FrameType.FLAT}, 2 * 2, 0),
        ({"type": FrameType.FLAT, "bias": MASTER}, 2 * 2 + 12, 2 * 4),
        ({"type": FrameType.FLAT, "dark": MASTER}, 2 * 2 + 12, 2 * 4),
        ({"recipe": WITH_MAPS}, 8, 0),
        ({"frames": PACKED}, 3, 0),
    ],
    ids=["levels", "bias", "dark", "maps", "packed"],
)
def test_each_image_that_the_native_engine_holds_counts(changes, bytes_a_pixel, bytes_in_strips):
    plain, more = (native.process_mb(each, 2) for each in (job(), replace(job(), **changes)))
    assert more - plain == pytest.approx(8 * bytes_a_pixel + bytes_in_strips * 2**20 / 1e6)


def test_samples_of_more_than_16_bits_are_read_as_float():
    wide = replace(job(), frames=tuple(file._replace(size=32_008_000) for file in job().frames))
    more = native.process_mb(wide, 1) - native.process_mb(job(), 1)
    assert more == pytest.approx((4 + 4 - 2) * 2**20 / 1e6)


def test_a_larger_group_is_given_more_time(settings):
    assert resources.runtime_min(job(3), settings) == 11
    # 1,000 frames of 16 MB, read twice at 10 MB/s: 53 minutes and 21 seconds.
    assert resources.runtime_min(job(1000), settings) == 10 + 54


def test_a_program_is_given_the_time_that_it_is_allowed(settings):
    patient = replace(
        settings,
        pixinsight=replace(settings.pixinsight, timeout_minutes=20, retries=2),
        siril=replace(settings.siril, timeout_minutes=30),
    )
    assert resources.runtime_min(job(engine="pixinsight"), patient) == 10 + 60
    assert resources.runtime_min(job(engine="siril"), patient) == 10 + 30


def test_siril_holds_every_frame():
    more = siril.process_mb(job(100), 2) - siril.process_mb(job(50), 2)
    assert more == pytest.approx(50 * 8 * 2)
    asked = resources.memory_mb(job(100, engine="siril"), 2)
    assert asked == pytest.approx(300 + 1.2 * siril.process_mb(job(100), 2), abs=1)


@pytest.mark.parametrize("changes", [{"bias": MASTER}, {"dark": MASTER}, {"frames": PACKED}])
def test_siril_holds_frames_that_are_rewritten_as_floats(changes):
    plain, more = (siril.process_mb(each, 2) for each in (job(), replace(job(), **changes)))
    assert more - plain == pytest.approx(8 * 30 * 2)


def test_measuring_a_master_needs_little_more_for_more_frames():
    few, many, more = (resources.measuring_mb(SIZE, frames) for frames in (3, 1000, 100_000))
    assert few < many == more < 2 * few


def test_more_is_asked_for_than_a_process_takes():
    asked, taken = resources.memory_mb(job(), 2), native.process_mb(job(), 2)
    assert 1.1 * taken + 250 < asked < 2 * taken + 500
