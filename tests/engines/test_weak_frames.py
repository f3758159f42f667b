"""Frames that agree with each other, and are not what they should be, make a weak master."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from calmasters.engines.frame_measures import measure_frame
from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.preflight import check_frames
from calmasters.engines.siril.engine import SirilEngine
from calmasters.frame import FrameType
from calmasters.images.open_frame import open_frame
from calmasters.model.job import MasterJob, Reference, UsedMaster
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.settings import BadFrames, Siril

BIAS, DARK, FLAT = FrameType.BIAS, FrameType.DARK, FrameType.FLAT
SHAPE = (80, 100)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]] / 80 - 0.5
VIGNETTING = 1 - 0.8 * (ROWS**2 + (COLUMNS - 0.125) ** 2)


def frames(level: Any, sigma: Any = 6.0, count: int = 5) -> np.ndarray:
    random = np.random.default_rng(4)
    samples = random.normal(0, 1, (count, *SHAPE)) * sigma + level
    return np.clip(np.rint(samples), 0, 65535).astype(np.uint16)


def digitized(full_well: float, bits: int, shift: int = 0) -> np.ndarray:
    """Flats of a camera whose white level is that of its bits, shifted to the left."""
    signal = full_well * VIGNETTING
    codes = frames(64 + signal, np.sqrt(signal + 4))
    return np.minimum(codes, 2**bits - 1) << shift


def found(site: Any, job: MasterJob) -> list[MasterWarning]:
    """What the native engine and the check of the other engines say, which is the same."""
    made = NativeEngine(threads=1).make(job, site.input_dir, site.output_dir, site.output, site.log)
    checked = check_frames(job, site.input_dir, site.output_dir, BadFrames())
    # The native engine also looks at the result.
    assert not {*checked.warnings} - {*made.warnings}
    assert not [
        each
        for each in made.warnings
        if each.kind is WarningKind.LEVEL and each not in checked.warnings
    ]
    return [*checked.warnings]


def flat_job(site: Any, codes: np.ndarray, bias_adu: float = 64) -> MasterJob:
    bias = site.master(np.full(SHAPE, bias_adu / 65535), "bias.fits")
    return site.job(site.write(codes), SHAPE, FLAT, bias=bias)


@pytest.mark.parametrize(
    ("bits", "shift", "white"),
    [(12, 0, 4095), (12, 4, 65520), (14, 0, 16383), (14, 2, 65532), (16, 0, 65535)],
)
@pytest.mark.parametrize("excess", [1.05, 1.4])
def test_flats_with_a_plateau_at_white_are_weak(
    site: Any, bits: int, shift: int, white: int, excess: float
) -> None:
    # 16-bit codes cannot be above white before they are cut off.
    full_well = min(excess * 2**bits, 65535 * excess)
    warnings = found(site, flat_job(site, digitized(full_well, bits, shift)))
    (clipped,) = (each for each in warnings if "saturated at" in each.text)
    assert clipped.kind is WarningKind.LEVEL
    assert f"5 of 5 flats are saturated at {white} ADU, such as frame00" in clipped.text
    share = float(clipped.text.split(" in ")[1].split("%")[0]) / 100
    codes = digitized(full_well, bits, shift)
    assert share == pytest.approx(np.mean(codes == white), abs=0.02)


@pytest.mark.parametrize(("bits", "shift"), [(12, 0), (12, 4), (14, 0), (14, 2), (16, 0)])
def test_flats_below_white_are_not_called_saturated(site: Any, bits: int, shift: int) -> None:
    codes = digitized(0.7 * 2**bits, bits, shift)
    codes[:, 3, 3] = codes[:, 40, 50:53] = (2**bits - 1) << shift  # hot pixels
    assert not [each for each in found(site, flat_job(site, codes)) if "saturated" in each.text]


def test_flats_of_few_different_values_are_not_called_saturated(site: Any) -> None:
    """Such as frames of 8 bits, or of a simulator."""
    row, column = np.indices(SHAPE)
    codes = np.array([20000 + 257 * ((row + column + i) % 3) for i in range(4)]).astype(np.uint16)
    assert "saturated" not in str(found(site, flat_job(site, codes)))


def test_a_plateau_is_found_in_samples_of_other_formats(site: Any) -> None:
    unit = (digitized(1.2 * 4096, 12, 4) / 65535).astype(np.float32)
    texts = [each.text for each in found(site, flat_job(site, unit))]
    assert any("saturated at 65520 ADU" in text for text in texts)


@pytest.mark.parametrize("averages", [1, 6, 8])
def test_averages_among_flats_are_reported(site: Any, averages: int) -> None:
    codes = frames(25_000, 150.0, 12)
    codes[:averages] = frames(25_000, 75.0, averages)
    (text,) = (each.text for each in found(site, flat_job(site, codes)) if "noise of" in each.text)
    assert re.match(rf"{averages} of 12 flats, such as frame00\d.fits, have (4.|5.)% of the", text)


@pytest.mark.parametrize("count", [12, 6])
def test_flats_whose_bytes_are_in_the_wrong_order_are_reported(site: Any, count: int) -> None:
    codes = frames(25_000 * VIGNETTING, 150.0, 12)
    codes[:count] = codes[:count].byteswap()
    texts = [each.text for each in found(site, flat_job(site, codes)) if "bytes" in each.text]
    assert [text.split(",")[0] for text in texts] == [f"in {count} of 12 flats"]


@pytest.mark.parametrize("structure", ["fibres along columns", "fibres along rows", "colours"])
def test_flats_with_much_structure_are_not_called_noise(site: Any, structure: str) -> None:
    row, column = np.indices(SHAPE)
    image = {
        "fibres along columns": np.where(column % 8 < 3, 20_000, 2000),
        "fibres along rows": np.where(row % 8 < 3, 20_000, 2000),
        "colours": np.where((row + column) % 2, 30_000, 9000),
    }[structure]
    assert "bytes" not in str(found(site, flat_job(site, frames(image, 100.0))))


@pytest.mark.parametrize(("level_adu", "is_reported"), [(6, True), (40, False), (506, False)])
def test_a_dark_without_bias_that_is_subtracted_alone_is_reported(
    site: Any, level_adu: float, is_reported: bool
) -> None:
    dark = site.master(np.full(SHAPE, level_adu / 65535), "dark.fits")
    job = site.job(site.write(frames(25_000, 100.0)), SHAPE, FLAT, dark=dark)
    assert ("the dark is at 6 ADU, as one from which" in str(found(site, job))) is is_reported


@pytest.mark.parametrize(("kind", "level"), [(BIAS, 500), (DARK, 700), (FLAT, 16383)])
def test_frames_of_equal_samples_are_reported(site: Any, kind: FrameType, level: int) -> None:
    codes = np.full((4, *SHAPE), level, np.uint16)
    job = flat_job(site, codes) if kind is FLAT else site.job(site.write(codes), SHAPE, kind)
    (warning,) = found(site, job)
    assert warning.kind is WarningKind.SAMPLES
    assert f"all samples are equal in 4 of 4 frames, such as frame000.fits with {level}" in str(
        warning
    )


@pytest.mark.parametrize("kind", [BIAS, DARK, FLAT])
def test_frames_with_the_pixels_of_others_are_reported(site: Any, kind: FrameType) -> None:
    codes = frames(20_000 if kind is FLAT else 500, 60.0)
    repeated = codes[[0, 1, 2, 1, 4, 1, 0]]
    texts = [warning.text for warning in found(site, site.job(site.write(repeated), SHAPE, kind))]
    (text,) = (each for each in texts if "have the pixels of others" in each)
    assert text.startswith("3 of 7 frames")
    assert "frame003.fits those of frame001.fits" in text


def test_equal_frames_with_a_time_in_the_image_are_reported(site: Any) -> None:
    codes = frames(500)[[0, 1, 2, 1, 1]]
    for number, image in enumerate(codes):
        image[1:8, 2:30] = 3000 + number
    texts = [warning.text for warning in found(site, site.job(site.write(codes), SHAPE, BIAS))]
    assert any(text.startswith("2 of 5 frames have the pixels of others") for text in texts)


def test_frames_with_few_different_samples_are_not_called_alike(site: Any) -> None:
    """As of 8 bits whose black level is 0: only some samples of each frame are 1."""
    random = np.random.default_rng(6)
    image = 257 * (random.random((12, *SHAPE)) < 0.002).astype(np.uint16)
    image[:, 40, 50] = 25_000  # a hot pixel
    texts = str(found(site, site.job(site.write(image), SHAPE, BIAS)))
    assert "pixels of others" not in texts
    assert "differ from the others" not in texts


@pytest.mark.parametrize(("level", "noise"), [(4, 0.25), (5, 0.3), (0.02, 0.2), (20, 0.6)])
@pytest.mark.parametrize("seed", range(5))
def test_frames_whose_noise_is_less_than_a_step_agree(
    site: Any, level: float, noise: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    image = np.clip(np.rint(random.normal(level, noise, (12, 60, 80))), 0, 255) * 257
    job = site.job(site.write(image.astype(np.uint16)), (60, 80), DARK)
    texts = [warning.text for warning in found(site, job)]
    assert not [each for each in texts if "differ" in each or "drift" in each]


@pytest.mark.parametrize("form", [np.float32, np.int32, np.float64])
def test_equal_pixels_are_known_in_any_format(tmp_path: Path, form: type) -> None:
    codes = frames(30_000, 200.0, count=2)
    contents = []
    for name, pixels in (("a", codes[0]), ("b", codes[0].astype(form)), ("c", codes[1])):
        fits.PrimaryHDU(pixels).writeto(tmp_path / f"{name}.fits")
        with open_frame(tmp_path / f"{name}.fits") as frame:
            contents.append(measure_frame(frame).content)
    assert contents[0] == contents[1] != contents[2]


def test_frames_of_one_value_but_a_few_samples_are_not_called_constant(site: Any) -> None:
    image = np.zeros((4, 200, 300), np.uint16)
    image[:, 2, 7] = 257  # in no row that is measured
    assert "all samples are equal" not in str(
        found(site, site.job(site.write(image), (200, 300), BIAS))
    )


@pytest.mark.parametrize(
    ("level", "kind", "expected"),
    [
        (600 + 20 * ROWS, BIAS, None),
        (600 + 0.2 * 600 * COLUMNS, BIAS, None),  # amplifiers, banding
        (600 + 400 * (COLUMNS + 0.5), BIAS, "the level of the bias frames goes from 6"),
        (3000 * VIGNETTING, BIAS, "the level of the bias frames goes from 1"),
        (600 + 400 * (COLUMNS + 0.5), DARK, None),  # glow of the amplifier
    ],
)
def test_bias_frames_with_light_are_reported(
    site: Any, level: Any, kind: FrameType, expected: str | None
) -> None:
    warnings = found(site, site.job(site.write(frames(level)), SHAPE, kind))
    assert [expected in each.text for each in warnings] == [True] * (expected is not None)


def coloured(red: float = 0.55, blue: float = 0.7) -> np.ndarray:
    """Flats of a colour camera, RGGB."""
    colours = np.ones(SHAPE)
    colours[::2, ::2], colours[1::2, 1::2] = red, blue
    return frames(20_000 * colours * VIGNETTING, 120.0, count=8)


@pytest.mark.parametrize(
    ("change", "is_reported"),
    [
        (lambda image: image[::-1], True),
        (lambda image: image[:, ::-1], True),
        (lambda image: np.roll(image, 1, axis=0), True),
        (lambda image: image, False),
    ],
)
def test_flats_whose_mosaic_is_flipped_or_moved_are_reported(
    site: Any, change: Any, is_reported: bool
) -> None:
    codes = coloured()
    codes[4:] = [change(image) for image in codes[4:]]
    texts = [each.text for each in found(site, flat_job(site, codes))]
    assert is_reported == any(
        text.startswith("4 of 8 flats, such as frame004.fits, have the colours of their mosaic")
        for text in texts
    )


def test_flats_in_light_of_another_colour_have_no_other_mosaic(site: Any) -> None:
    codes = np.concatenate([coloured(), coloured(red=0.9)])
    assert "mosaic" not in str(found(site, flat_job(site, codes)))


@pytest.mark.parametrize(("full", "is_reported"), [(18_000, True), (40_000, False)])
def test_flats_of_full_pixels_below_white_are_reported(
    site: Any, full: float, is_reported: bool
) -> None:
    random, shape = np.random.default_rng(5), (200, 240)
    rows, columns = np.mgrid[: shape[0], : shape[1]] / 200 - 0.5
    light = 25_000 * (1 - 0.8 * (rows**2 + (columns - 0.1) ** 2))
    codes = random.normal(light, np.sqrt(light), (5, *shape))
    codes = np.minimum(codes, random.normal(full, 20, codes.shape)).astype(np.uint16)
    job = site.job(site.write(codes), shape, FLAT)
    texts = [each.text for each in found(site, job)]
    assert is_reported == any("saturated there, below the highest value" in text for text in texts)


def test_a_master_among_flats_is_reported(site: Any) -> None:
    codes = frames(20_000, 140.0, count=9)
    codes[3] = frames(19_500, 140.0 / 5, count=1)[0]
    warnings = found(site, flat_job(site, codes))
    (text,) = (each.text for each in warnings if "of the noise" in each.text)
    assert text.startswith("1 of 9 flats, such as frame003.fits, have 20% of the noise")


@pytest.mark.parametrize("kind", [BIAS, DARK])
@pytest.mark.parametrize(("level", "is_reported"), [(6, True), (200, False)])
def test_an_offset_that_cuts_noise_off_is_reported(
    site: Any, kind: FrameType, level: float, is_reported: bool
) -> None:
    codes = frames(level, 8.0)
    codes[..., -4:] = 0  # columns that are not used
    texts = [each.text for each in found(site, site.job(site.write(codes), SHAPE, kind))]
    assert is_reported == any("the offset of the camera is too low" in text for text in texts)


def test_a_bias_of_a_library_far_above_any_offset_is_reported(site: Any) -> None:
    light = frames(40_000 * VIGNETTING, 150.0)
    texts = [each.text for each in found(site, flat_job(site, light, bias_adu=17_000))]
    assert any("subtracted from the flats is at 17000 ADU, 26% of the range" in t for t in texts)


def test_hot_pixels_are_no_light_in_bias_frames(site: Any) -> None:
    """The frames are so small that each cell has few pixels."""
    random = np.random.default_rng(8)
    codes = random.normal(600, 5, (4, 16, 24)).astype(np.uint16)
    for frame in codes:
        frame.reshape(-1)[random.choice(16 * 24, 12, replace=False)] = 9000
    warnings = found(site, site.job(site.write(codes), (16, 24), BIAS))
    assert not [each for each in warnings if each.kind is WarningKind.LEVEL]


@pytest.mark.parametrize(
    ("bias_adu", "dark_adu", "expected"),
    [
        (600, 610, None),
        (600, 2300, None),  # a warm sensor
        (600, 4000, "the dark is 3400 ADU brighter than the bias"),
        (64, 1200, "the dark is 1136 ADU brighter than the bias"),  # 12 bits
        (600, 500, "the dark is 100 ADU fainter than the bias"),
    ],
)
@pytest.mark.parametrize("is_raw", [True, False])
def test_darks_are_compared_with_their_bias_though_no_flat_uses_them(
    site: Any, bias_adu: float, dark_adu: float, expected: str | None, is_raw: bool
) -> None:
    if is_raw:
        reference = Reference(site.write(frames(bias_adu, count=1), "bias")[0].path, "frame")
    else:
        site.master(np.full(SHAPE, bias_adu / 65535), "bias.fits")
        reference = Reference("bias.fits", "kept")
    job = site.job(site.write(frames(dark_adu)), SHAPE, DARK)
    warnings = found(site, replace(job, reference=reference))
    assert [expected in each.text for each in warnings] == [True] * (expected is not None)


@pytest.mark.parametrize(
    ("bias_shift", "shift", "is_reported"),
    [(0, 4, True), (4, 0, True), (0, 2, True), (4, 4, False), (0, 0, False), (0, 1, False)],
)
@pytest.mark.parametrize("kind", [DARK, FLAT])
def test_frames_of_another_bit_depth_than_their_bias_are_reported(
    site: Any, kind: FrameType, bias_shift: int, shift: int, is_reported: bool
) -> None:
    biases = site.write(frames(64) << bias_shift, "bias")
    if kind is DARK:
        job = site.job(site.write(frames(80) << shift), SHAPE, DARK)
        job = replace(job, reference=Reference(biases[0].path, "frame"))
    else:
        made = site.output_dir / "bias.xisf"
        job = site.job(biases, SHAPE)
        NativeEngine(threads=1).make(job, site.input_dir, site.output_dir, made, site.log)
        flats = site.write(digitized(2000, 12, shift))
        job = site.job(flats, SHAPE, FLAT, bias=UsedMaster("bias.xisf", "run", "of the test"))
    steps = [each.text for each in found(site, job) if "steps of" in each.text]
    assert len(steps) == is_reported
    if steps:
        said = f"steps of {2**shift} ADU, and those of the bias or dark that belongs to it"
        assert f"{said} {2**bias_shift} ADU" in steps[0]


@pytest.mark.parametrize(
    ("card", "levels", "expected"),
    [
        ("LAMPNAME", [20000] * 3 + [24000] * 3, "clusters of level, and of LAMPNAME: "),
        ("LAMPNAME", [20000] * 6, ""),
        ("LAMPNAME", [20000, 21000, 22000, 23000, 24000, 25000], ""),  # a twilight
        ("PIERSIDE", [20000] * 3 + [24000] * 3, ""),
    ],
)
def test_flats_of_two_levels_and_two_values_of_a_card_are_reported(
    site: Any, card: str, levels: list[float], expected: str
) -> None:
    flats = [
        site.write_one(frames(level * VIGNETTING + 64, 90, count=1)[0], f"{i}.fits", {card: value})
        for i, (level, value) in enumerate(zip(levels, "aaabbb", strict=True))
    ]
    bias = site.master(np.full(SHAPE, 64 / 65535), "bias.fits")
    warnings = found(site, site.job(flats, SHAPE, FLAT, bias=bias))
    texts = [each.text for each in warnings if "two clusters" in each.text]
    assert len(texts) == bool(expected)
    assert all(expected in text and "a (3 flats, " in text for text in texts)


def test_a_step_is_not_looked_for_in_few_values(site: Any) -> None:
    # All of these happen to be multiples of 16.
    constant = np.full((5, *SHAPE), 512, np.uint16)
    job = site.job(site.write(frames(600)), SHAPE, DARK)
    reference = Reference(site.write(constant, "bias")[0].path, "frame")
    warnings = found(site, replace(job, reference=reference))
    assert not [each for each in warnings if "steps of" in each.text]


def test_a_bias_that_cannot_be_read_does_not_stop_the_dark(site: Any) -> None:
    job = site.job(site.write(frames(600)), SHAPE, DARK)
    assert not found(site, replace(job, reference=Reference("gone.fits", "frame")))


@pytest.mark.parametrize(
    ("light", "expected"),
    [
        (0, "5 of 5 flats are as dark as the bias"),
        (30, "5 of 5 flats are as dark as the bias"),
        (400, " ADU: expose flats longer"),
        (20000, None),
    ],
)
@pytest.mark.parametrize("offset", [500, 2000])
def test_flats_without_light_are_reported(
    site: Any, light: float, expected: str | None, offset: float
) -> None:
    warnings = found(site, flat_job(site, frames(offset + light), offset))
    assert [expected in each.text for each in warnings] == [True] * (expected is not None)


def test_one_covered_flat_among_good_ones_is_named(site: Any) -> None:
    codes = frames(20000, 90)
    codes[3] = frames(505, count=1)[0]
    texts = [each.text for each in found(site, flat_job(site, codes, 500))]
    assert any("1 of 5 flats are as dark as the bias, such as frame003.fits" in x for x in texts)


@pytest.mark.skipif(not shutil.which("siril-cli"), reason="there is no siril-cli")
def test_siril_reports_the_same(site: Any) -> None:
    job = flat_job(site, digitized(1.2 * 4096, 12))
    job = replace(job, recipe=replace(job.recipe, engine="siril"))
    engine = SirilEngine(Siril(), threads=1)
    made = engine.make(job, site.input_dir, site.output_dir, site.output, site.log)
    assert [each.text for each in made.warnings if "saturated at 4095 ADU" in each.text]
