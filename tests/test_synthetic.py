"""The model camera's frames, whose true values other tests use, and their files."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from calmasters.frame import FrameType
from calmasters.synthetic.camera import Camera, write_frame
from calmasters.synthetic.session import ObservingSession, Shot, main, nina_header, write_session

CAMERA = Camera(width=96, height=64)
SMALL = ObservingSession(CAMERA, bias=4, darks=3, flats=3, lights=2)
SHOT = Shot(FrameType.FLAT, datetime.fromisoformat("2026-01-18T06:30:00-07:00"), 1.5, 2e4, "Ha", 7)


def read(path: Path) -> tuple[fits.Header, np.ndarray]:
    with fits.open(path) as hdus:
        hdus.verify("exception")
        return hdus[0].header, hdus[0].data


def test_equal_seeds_give_equal_frames_and_other_seeds_others() -> None:
    again = Camera(width=96, height=64)
    np.testing.assert_array_equal(CAMERA.bias_frame(1), again.bias_frame(1))
    assert np.mean(CAMERA.bias_frame(1) == CAMERA.bias_frame(2)) < 0.2
    assert not np.array_equal(CAMERA.bias, Camera(width=96, height=64, seed=2).bias)


@pytest.mark.parametrize(("exposure_s", "flux"), [(0.0, 0.0), (60.0, 0.0), (1.5, 2e4)])
def test_frames_have_the_mean_and_the_noise_of_the_camera(exposure_s: float, flux: float) -> None:
    camera = Camera(width=96, height=64, hits=0)
    mean, sigma = camera.mean_adu(exposure_s, flux), camera.sigma_adu(exposure_s, flux)
    frames = np.stack([camera.expose(seed, exposure_s, flux) for seed in range(50)])
    z = (frames - mean.astype(float)) / sigma
    assert abs(z.mean()) < 3 / np.sqrt(z.size)
    assert z.std() == pytest.approx(1, abs=3 / np.sqrt(2 * z.size))
    # The noise of neighbouring pixels is independent.
    assert abs(np.mean(z[:, :, 1:] * z[:, :, :-1])) < 3 / np.sqrt(z.size)


def test_dark_current_and_light_add_to_the_bias_by_exposure() -> None:
    np.testing.assert_array_equal(CAMERA.mean_adu(), CAMERA.bias)
    dark = CAMERA.mean_adu(60.0) - CAMERA.bias
    np.testing.assert_allclose(dark, 60 * CAMERA.dark_rate, rtol=1e-5, atol=1e-3)
    light = CAMERA.mean_adu(2.0, 1e4) - CAMERA.mean_adu(2.0)
    np.testing.assert_allclose(light, 2e4 * CAMERA.flat_field, rtol=1e-6)


def test_the_flat_field_has_median_1_and_darkens_to_the_corners() -> None:
    field = CAMERA.flat_field
    assert np.median(field) == pytest.approx(1, abs=1e-6)
    assert field[:4, :4].mean() < 0.75 < 1.05 < field[30:34, 46:50].mean()


def test_the_number_of_hot_pixels_is_the_configured_one() -> None:
    hot = CAMERA.dark_rate > 3 * CAMERA.dark_rate_adu_s
    assert hot.sum() == round(CAMERA.hot_pixels * CAMERA.width * CAMERA.height)


def test_hits_are_at_their_positions_and_nowhere_else() -> None:
    hits = CAMERA.cosmic_hits(3)
    excess = CAMERA.bias_frame(3) - CAMERA.bias
    rows, columns = np.nonzero(excess > 100)
    assert set(zip(rows, columns, strict=True)) == set(zip(hits.rows, hits.columns, strict=True))
    assert len(rows) == CAMERA.hits
    np.testing.assert_allclose(excess[hits.rows, hits.columns], hits.adu, atol=40)


def test_a_frame_is_written_in_the_format_of_nina(tmp_path: Path) -> None:
    path = SHOT.write(tmp_path, CAMERA)
    header, pixels = read(path)
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, CAMERA.flat_frame(1.5, 2e4, 7))
    names = ("IMAGETYP", "INSTRUME", "FILTER", "READOUTM", "GAIN")
    assert {key: header[key] for key in names} == {
        "IMAGETYP": "FLAT",
        "INSTRUME": "ATR585M",
        "FILTER": "Ha",
        "READOUTM": "Low Noise",
        "GAIN": 100,
    }
    assert (header["EXPTIME"], header["EXPOSURE"], header["SET-TEMP"]) == (1.5, 1.5, -10)
    assert header["DATE-LOC"] == "2026-01-18T06:30:00.0000000"
    assert header["DATE-OBS"] == "2026-01-18T13:30:00.0000000"
    # A frame at dawn belongs to the night before.
    assert path.relative_to(tmp_path).parts[:2] == ("2026-01-17", "FLAT")
    assert path.stat().st_size % 2880 == 0


def test_all_16_bits_survive_the_file(tmp_path: Path) -> None:
    codes = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    write_frame(tmp_path / "codes.fits", codes, {})
    np.testing.assert_array_equal(read(tmp_path / "codes.fits")[1], codes)


def test_cards_can_be_replaced_added_and_left_out(tmp_path: Path) -> None:
    header = nina_header(CAMERA, SHOT) | {"GAIN": None, "OFFSET": 20.5, "OBSERVER": "O'Neill"}
    write_frame(tmp_path / "frame.fits", CAMERA.bias_frame(1), header)
    written, _ = read(tmp_path / "frame.fits")
    assert "GAIN" not in written
    assert (written["OFFSET"], written["OBSERVER"]) == (20.5, "O'Neill")


def test_a_text_too_long_for_a_card_is_refused_with_its_keyword(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="OBSERVER"):
        write_frame(tmp_path / "frame.fits", CAMERA.bias_frame(1), {"OBSERVER": "x" * 80})


def test_a_session_has_the_configured_frames_by_night_and_type(tmp_path: Path) -> None:
    files = write_session(tmp_path, SMALL)
    assert sorted(files) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    counts = Counter(tuple(file.relative_to(tmp_path).parts[:2]) for file in files)
    assert counts == {
        ("2026-01-16", "BIAS"): 4,
        ("2026-01-16", "DARK"): 6,
        ("2026-01-16", "FLAT"): 7,
        ("2026-01-17", "FLAT"): 6,
        ("2026-01-16", "LIGHT"): 2,
        ("2026-01-17", "LIGHT"): 2,
    }


def test_flats_of_a_night_are_exposed_longer_as_the_twilight_fades() -> None:
    flats = [shot for shot in ObservingSession().shots() if shot.filter == "Ha"][:12]
    exposures = [shot.exposure_s for shot in sorted(flats, key=lambda shot: shot.start)]
    assert exposures == sorted(exposures)
    assert (exposures[0], exposures[-1]) == (1.36, 1.69)
    levels = [shot.exposure_s * shot.flux_adu_s for shot in flats]
    assert 0 < np.std(levels) / np.mean(levels) < 0.03


def test_shots_have_their_own_seeds_and_do_not_overlap_in_time() -> None:
    shots = ObservingSession().shots()
    assert len({shot.seed for shot in shots}) == len(shots)
    exposures = sorted((shot for shot in shots if shot.exposure_s), key=lambda shot: shot.start)
    for earlier, later in pairwise(exposures):
        assert earlier.start + timedelta(seconds=earlier.exposure_s) <= later.start


def test_a_broken_frame_lacks_the_end_of_its_file(tmp_path: Path) -> None:
    broken = write_session(tmp_path, SMALL)[-1]
    original = broken.with_stem(broken.stem.removesuffix("_broken"))
    content = original.read_bytes()
    assert content.startswith(broken.read_bytes())
    assert 2880 < broken.stat().st_size < len(content)


def test_the_command_line_writes_the_session_of_its_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {"--bias": 4, "--darks": 3, "--flats": 3, "--lights": 2}
    options = [str(part) for option in counts.items() for part in option]
    main([str(tmp_path / "command"), "--size", "96", "64", *options])
    assert "27 frames of 96x64" in capsys.readouterr().out
    for file in write_session(tmp_path / "library", SMALL):
        twin = tmp_path / "command" / file.relative_to(tmp_path / "library")
        assert twin.read_bytes() == file.read_bytes()
