"""From files with an overscan or amplifiers to masters: compared with plain frames, to the bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from calmasters.commands.explain_pixel import explain
from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.siril.engine import SirilEngine
from calmasters.frame import Status
from calmasters.frame_layout import PEDESTAL_ADU
from calmasters.headers.fits_cards import Card
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import read_image, write_master
from calmasters.model.job import MasterJob
from calmasters.model.master_record import MasterRecord
from calmasters.planning.planner import Decision, decide
from calmasters.planning.stale_reasons import stale_reasons
from calmasters.running.disk_space import disk_need
from calmasters.settings import Settings, Siril

WIDTH, HEIGHT, COUNT = 40, 32, 6
OVERSCAN = 8
INNER = f"[1:{WIDTH},1:{HEIGHT}]"
SECTIONS = {"BIASSEC": f"[{WIDTH + 1}:{WIDTH + OVERSCAN},1:{HEIGHT}]", "TRIMSEC": INNER}
CARDS = {
    "INSTRUME": "Camera",
    "SET-TEMP": -10.0,
    "GAIN": 100,
    "OFFSET": 50,
    "READOUTM": "Low Noise",
}
OF_TYPE = {
    "bias": {"EXPTIME": 0.0},
    "dark": {"EXPTIME": 60.0},
    "flat": {"EXPTIME": 60.0, "FILTER": "Ha"},
}
LEVELS = {"bias": 0, "dark": 40, "flat": 20_000}


def signal(kind: str) -> np.ndarray:
    """Return what frames of a type contain besides their level: around 0 for a bias."""
    random = np.random.default_rng(["bias", "dark", "flat"].index(kind))
    slope = np.linspace(1, 1.2, WIDTH) if kind == "flat" else np.ones(WIDTH)
    noise = random.normal(0, 100 if kind == "flat" else 5, (COUNT, HEIGHT, WIDTH))
    return np.asarray(np.rint(LEVELS[kind] * slope + noise))


def level(number: int) -> np.ndarray:
    """Return the level of each row of a frame: it drifts within and between frames."""
    rows = np.arange(HEIGHT)[:, None]
    return np.asarray(500 + 8 * number + 2 * rows + 30 * (rows % 5 == 1))


def card_of(kind: str, number: int, **more: Any) -> fits.Header:
    time = f"2026-01-1{['bias', 'dark', 'flat'].index(kind) + 1}T20:00:{number:02}"
    own = {"IMAGETYP": kind.upper(), "DATE-OBS": time, **more}
    return fits.Header({**CARDS, **OF_TYPE[kind], **own})


def write(
    folder: Path,
    kind: str,
    number: int,
    image: np.ndarray,
    dtype: Any = np.uint16,
    **cards: Any,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    hdu = fits.PrimaryHDU(image.astype(dtype), card_of(kind, number, **cards))
    hdu.writeto(folder / f"{kind}{number:02}.fits")


def write_overscanned(folder: Path, *kinds: str, **cards: Any) -> None:
    for kind in kinds:
        for number, seen in enumerate(signal(kind)):
            image = np.hstack([seen, np.zeros((HEIGHT, OVERSCAN))]) + level(number)
            write(folder, kind, number, image, **{**SECTIONS, **cards})


def write_plain(folder: Path, *kinds: str, added: float = PEDESTAL_ADU) -> None:
    for kind in kinds:
        for number, seen in enumerate(signal(kind)):
            write(folder, kind, number, seen + added)


def made_by(engine: Any, settings: Settings, decision: Decision) -> dict[str, np.ndarray]:
    """Make all masters of a plan; give their pixels by type."""
    images = {}
    for job in decision.jobs:
        output = settings.output_dir / job.master
        log = settings.output_dir / f"{job.type}.log"
        engine.make(job, settings.input_dir, settings.output_dir, output, log)
        images[job.type.value] = read_image(output)[0]
    return images


@pytest.fixture
def site(tmp_path: Path, make_settings: Callable[..., Settings]) -> Callable[..., Settings]:
    def settings(name: str, **overrides: Any) -> Settings:
        made = make_settings(**overrides)
        return replace(made, input_dir=tmp_path / name, output_dir=tmp_path / f"{name} out")

    return settings


def masters(settings: Settings, engine: Any = None) -> dict[str, np.ndarray]:
    return made_by(engine or NativeEngine(1), settings, decide(settings))


def test_masters_are_those_of_trimmed_and_levelled_frames(site: Callable[..., Settings]) -> None:
    """Bias, dark and flat, to the bit: the pedestal cancels in the flat."""
    overscanned, plain = site("overscanned"), site("plain")
    write_overscanned(overscanned.input_dir, "bias", "dark", "flat")
    write_plain(plain.input_dir, "bias", "dark", "flat")
    ours, theirs = masters(overscanned), masters(plain)
    assert [*ours] == ["bias", "dark", "flat"]
    for kind in ours:
        assert np.array_equal(ours[kind], theirs[kind]), kind
    bias = ours["bias"].astype(float) * 65535 - PEDESTAL_ADU
    assert abs(bias.mean()) < 0.1  # 1280 pixels of 6 frames
    assert np.median(ours["flat"]) * 65535 == pytest.approx(21_960, abs=50)


@pytest.mark.parametrize("share", [0.0, 0.005, 0.1])
@pytest.mark.parametrize("name", ["native", "siril"])
def test_light_in_the_overscan_of_flats_makes_them_weak(
    site: Callable[..., Settings], name: str, share: float
) -> None:
    if name == "siril" and not shutil.which("siril-cli"):
        pytest.skip("there is no siril-cli")
    engine = NativeEngine(1) if name == "native" else SirilEngine(Siril(), threads=1)
    settings = site("lit", engine=name, calibration={"flat": {"optimizeDarks": False}})
    write_overscanned(settings.input_dir, "bias", "dark")
    for number, seen in enumerate(signal("flat")):
        lit = np.full((HEIGHT, OVERSCAN), share * LEVELS["flat"])
        write(
            settings.input_dir, "flat", number, np.hstack([seen, lit]) + level(number), **SECTIONS
        )
    decision = decide(settings)
    made_by(engine, settings, decision)
    flat = MasterRecord.read(settings.output_dir / decision.jobs[-1].record)
    found = [str(each) for each in flat.warnings if "light reaches it" in str(each)]
    assert len(found) == (share == 0.1)
    # The level drifts by 8 ADU from frame to frame.
    assert all("of the flats is 2020 ADU above that of their bias" in each for each in found)


def test_a_bias_around_0_has_no_mean_error(site: Callable[..., Settings]) -> None:
    """Below 0.05 ADU with 5 ADU of noise: no sample below 0 is cut off."""
    # The rejection cuts at 4 sigma below and 3 above: without it, as it shifts any mean.
    plain = {"bias": {"rejection": "NoRejection"}}
    settings, random = site("frames", integration=plain), np.random.default_rng(4)
    cards = {"BIASSEC": "[301:332,1:700]", "TRIMSEC": "[1:300,1:700]"}
    for number in range(8):
        image = np.rint(random.normal(500 + 8 * number, 5, (700, 332)))
        write(settings.input_dir, "bias", number, image, **cards)
    bias = masters(settings)["bias"].astype(float) * 65535 - PEDESTAL_ADU
    assert bias.shape == (700, 300)
    assert abs(bias.mean()) < 0.05
    assert bias.std() == pytest.approx(5 / np.sqrt(8), rel=0.1)


def test_a_flat_that_nothing_calibrates_contains_no_pedestal(site: Callable[..., Settings]) -> None:
    overscanned, plain = site("overscanned"), site("plain")
    write_overscanned(overscanned.input_dir, "flat")
    write_plain(plain.input_dir, "flat", added=0)
    ours, theirs = masters(overscanned), masters(plain)
    assert np.array_equal(ours["flat"], theirs["flat"])
    (job,) = decide(overscanned).jobs
    assert "PEDESTAL" not in read_cards(overscanned.output_dir / job.master)


def test_the_header_says_what_was_done(site: Callable[..., Settings]) -> None:
    settings = site("frames")
    write_overscanned(settings.input_dir, "bias", "flat")
    masters(settings)
    bias, flat = (read_cards(settings.output_dir / job.master) for job in decide(settings).jobs)
    for cards in (bias, flat):
        assert cards["OVERSCAN"] == f"{SECTIONS['BIASSEC']}, median of each line"
        assert cards["TRIM"] == INNER
        assert "BIASSEC" not in cards
    assert bias["PEDESTAL"] == PEDESTAL_ADU
    assert "PEDESTAL" not in flat


def test_a_bias_is_used_from_a_library_with_its_pedestal(
    tmp_path: Path, site: Callable[..., Settings]
) -> None:
    settings = site("frames")
    write_overscanned(settings.input_dir, "bias", "flat")
    complete = masters(settings)
    bias = decide(settings).jobs[0].master
    library = tmp_path / "library"
    library.mkdir()
    shutil.copy(settings.output_dir / bias, library)
    flats = site("flats", library={"bias": [str(library)], "dark": []})
    write_overscanned(flats.input_dir, "flat")
    assert np.array_equal(masters(flats)["flat"], complete["flat"])


@pytest.mark.parametrize(
    ("cards", "text"),
    [
        ({}, "no overscan subtracted, the flats have theirs subtracted"),
        ({"OVERSCAN": "[41:48,1:32]"}, "PEDESTAL 0 where their subtracted overscan leaves 1000"),
    ],
)
def test_a_bias_of_another_level_is_not_used(
    tmp_path: Path, site: Callable[..., Settings], cards: Mapping[str, Any], text: str
) -> None:
    settings = site("frames", library={"bias": [str(tmp_path / "library")], "dark": []})
    write_overscanned(settings.input_dir, "flat")
    named = {**CARDS, **cards, "IMAGETYP": "Master Bias"}
    header = [Card(key, value) for key, value in named.items()]
    (tmp_path / "library").mkdir()
    image = np.full((HEIGHT, WIDTH), 0.01, np.float32)
    write_master(tmp_path / "library" / "masterBias.xisf", image, header)
    (job,) = decide(settings).jobs
    assert job.bias is None
    assert text in " ".join(map(str, job.warnings))


def test_off_uses_frames_as_they_are(site: Callable[..., Settings]) -> None:
    settings = site("frames", overscan="off")
    write_overscanned(settings.input_dir, "bias")
    assert masters(settings)["bias"].shape == (HEIGHT, WIDTH + OVERSCAN)


def test_sections_may_come_from_the_configuration(site: Callable[..., Settings]) -> None:
    cameras = {"Camera": {"data": INNER, "overscan": [SECTIONS["BIASSEC"]]}}
    settings, expected = site("frames", cameras=cameras), site("expected")
    write_overscanned(settings.input_dir, "bias", BIASSEC="", TRIMSEC="")
    write_overscanned(expected.input_dir, "bias")
    assert np.array_equal(masters(settings)["bias"], masters(expected)["bias"])


def test_frames_of_two_layouts_are_not_averaged(site: Callable[..., Settings]) -> None:
    settings = site("frames")
    write_overscanned(settings.input_dir, "bias")
    write_plain(settings.input_dir / "trimmed", "bias", added=500)
    other = settings.input_dir / "trimmed"
    (other / "bias05.fits").unlink()
    decision = decide(settings)
    (job,) = decision.jobs
    assert len(job.frames) == COUNT
    refused = {each.reason for each in decision.verdicts.values() if each.status is Status.REFUSED}
    assert refused == {
        "has another layout than most of its group: no overscan, not overscan subtracted "
        "(median of each line); they are not averaged"
    }


def test_a_section_that_is_not_in_the_image_is_a_warning(site: Callable[..., Settings]) -> None:
    settings = site("frames")
    write_overscanned(settings.input_dir, "bias", BIASSEC="[49:56,1:32]", TRIMSEC="")
    decision = decide(settings)
    (warning,) = decision.frames[0].warnings
    assert warning.startswith("its overscan is not subtracted: the section [49:56,1:32]")
    assert decision.jobs[0].geometry.layout is None


def test_a_changed_setting_makes_masters_stale_and_says_why(site: Callable[..., Settings]) -> None:
    settings = site("frames")
    write_overscanned(settings.input_dir, "bias")
    masters(settings)
    (job,) = decide(settings).jobs
    assert stale_reasons([job], settings.output_dir) == {}
    (changed,) = decide(replace(settings, overscan="constant")).jobs
    (reasons,) = stale_reasons([changed], settings.output_dir).values()
    assert reasons == ("its frames are 40x32 binned 1x1, overscan subtracted (one median)",)


def test_jobs_and_records_of_plain_frames_do_not_know_layouts(
    site: Callable[..., Settings],
) -> None:
    settings = site("frames")
    write_plain(settings.input_dir, "bias")
    masters(settings)
    (job,) = decide(settings).jobs
    assert '"layout": null' not in job.to_json()
    record = (settings.output_dir / job.record).read_text(encoding="utf-8")
    assert "layout" not in json.loads(record)["geometry"]


def test_layouts_survive_job_files_records_and_the_header_cache(
    site: Callable[..., Settings],
) -> None:
    settings = site("frames")
    write_overscanned(settings.input_dir, "bias")
    masters(settings)
    (first,), (again,) = decide(settings).jobs, decide(settings).jobs
    assert first.geometry.layout is not None
    assert again.geometry == first.geometry
    assert MasterJob.from_json(first.to_json()).digest == first.digest
    record = MasterRecord.read(settings.output_dir / first.record)
    assert record.geometry == first.geometry


def test_a_pixel_is_explained_as_it_was_combined(site: Callable[..., Settings]) -> None:
    settings = site("frames")
    write_overscanned(settings.input_dir, "bias")
    image = masters(settings)["bias"]
    (job,) = decide(settings).jobs
    record = MasterRecord.read(settings.output_dir / job.record)
    explained = explain(job, record, 7, 11, settings.input_dir, settings.output_dir)
    assert explained.result == image[11, 7]


def test_siril_gets_frames_without_overscan(site: Callable[..., Settings]) -> None:
    if not shutil.which("siril-cli"):
        pytest.skip("there is no siril-cli")
    options = {"engine": "siril", "calibration": {"flat": {"optimizeDarks": False}}}
    overscanned, plain = site("overscanned", **options), site("plain", **options)
    write_overscanned(overscanned.input_dir, "bias", "flat")
    # As floating-point samples: of codes Siril rejects by other roundings.
    for kind in ("bias", "flat"):
        for number, seen in enumerate(signal(kind)):
            write(plain.input_dir, kind, number, (seen + PEDESTAL_ADU) / 65535, np.float32)
    siril = SirilEngine(Siril(), threads=1)
    ours, theirs = masters(overscanned, siril), masters(plain, siril)
    for kind in ours:
        assert np.array_equal(ours[kind], theirs[kind]), kind
    jobs = decide(overscanned).jobs
    need = disk_need(jobs, overscanned.calibrated)
    assert need.frames == COUNT * WIDTH * HEIGHT * 4
    assert "for rewritten frames" in str(need)
    assert not [*overscanned.output_dir.rglob("*.fit")]


# --- amplifiers -----------------------------------------------------------------------------------


def amplifier_files(folder: Path, kind: str, number: int, turns: tuple[int, int]) -> None:
    """Write a frame of four amplifiers, each with its own level and overscan."""
    folder.mkdir(parents=True, exist_ok=True)
    seen = signal(kind)[number]
    header = card_of(kind, number)
    hdus: list[Any] = [fits.PrimaryHDU(header=header)]
    across, down = WIDTH // 2, HEIGHT // 2
    for place, (x, y) in enumerate(((0, 0), (across, 0), (0, down), (across, down))):
        part = seen[y : y + down, x : x + across][:: turns[1], :: turns[0]]
        rows = 400 + 30 * place + 8 * number + np.arange(down)[:, None]
        image = np.hstack([part, np.zeros((down, 4))]) + rows
        hdu = fits.ImageHDU(image.astype(np.uint16), name=f"AMP{place}")
        hdu.header["DATASEC"] = f"[1:{across},1:{down}]"
        hdu.header["BIASSEC"] = f"[{across + 1}:{across + 4},1:{down}]"
        columns = (x + 1, x + across)[:: turns[0]]
        lines = (y + 1, y + down)[:: turns[1]]
        hdu.header["DETSEC"] = "[{}:{},{}:{}]".format(*columns, *lines)
        hdu.header["GAIN"] = 1.0 + place
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(folder / f"{kind}{number:02}.fits")


@pytest.mark.parametrize("turns", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_masters_of_amplifiers_are_those_of_the_sensor(
    site: Callable[..., Settings], turns: tuple[int, int]
) -> None:
    several, plain = site("several"), site("plain")
    for kind in ("bias", "flat"):
        for number in range(COUNT):
            amplifier_files(several.input_dir, kind, number, turns)
        write_plain(plain.input_dir, kind)
    ours, theirs = masters(several), masters(plain)
    for kind in ("bias", "flat"):
        assert np.array_equal(ours[kind], theirs[kind]), kind
    cards = read_cards(several.output_dir / decide(several).jobs[0].master)
    assert (cards["NAMPS"], cards["OVERSCAN"]) == (4, "of 4 amplifiers, median of each line")
    assert cards["GAIN"] == 100


def test_a_frame_that_lacks_an_amplifier_is_left_out(site: Callable[..., Settings]) -> None:
    settings = site("frames")
    for number in range(COUNT):
        amplifier_files(settings.input_dir, "bias", number, (1, 1))
    path = settings.input_dir / "bias03.fits"
    with fits.open(path) as hdus:
        fits.HDUList([hdu.copy() for hdu in hdus[:4]]).writeto(path, overwrite=True)
    decision = decide(settings)
    assert len(decision.jobs[0].frames) == COUNT - 1
    assert "lacks an amplifier" in decision.verdicts["bias03.fits"].reason


def test_an_image_without_a_place_needs_a_setting(site: Callable[..., Settings]) -> None:
    def write_pair(folder: Path) -> None:
        for number, seen in enumerate(signal("bias")):
            halves = np.hsplit(seen + 500, 2)
            hdus = [fits.ImageHDU(half.astype(np.uint16)) for half in halves]
            folder.mkdir(exist_ok=True)
            primary = fits.PrimaryHDU(header=card_of("bias", number))
            fits.HDUList([primary, *hdus]).writeto(folder / f"bias{number}.fits")

    settings = site("frames")
    write_pair(settings.input_dir)
    decision = decide(settings)
    assert decision.jobs == ()
    reason = decision.verdicts["bias0.fits"].reason
    assert "contains 2 images (extensions)" in reason
    assert "describe them in cameras" in reason
    half = WIDTH // 2
    amplifiers = [
        {"extension": 1, "data": "[*,*]", "detector": f"[1:{half},1:{HEIGHT}]"},
        {"extension": 2, "data": "[*,*]", "detector": f"[{half + 1}:{WIDTH},1:{HEIGHT}]"},
    ]
    described = site("frames", cameras={"Camera": {"amplifiers": amplifiers}})
    plain = site("plain")
    write_plain(plain.input_dir, "bias", added=500)
    assert np.array_equal(masters(described)["bias"], masters(plain)["bias"])


def test_a_compressed_frame_of_amplifiers_is_the_same(site: Callable[..., Settings]) -> None:
    plain, packed = site("plain"), site("packed")
    for number in range(COUNT):
        amplifier_files(plain.input_dir, "bias", number, (1, 1))
    packed.input_dir.mkdir()
    for path in plain.input_dir.iterdir():
        with fits.open(path) as hdus:
            images = [fits.CompImageHDU(hdu.data, hdu.header) for hdu in hdus[1:]]
            fits.HDUList([hdus[0], *images]).writeto(packed.input_dir / f"{path.name}.fz")
    assert np.array_equal(masters(plain)["bias"], masters(packed)["bias"])
