from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from xisf import XISF

from calmasters.frame import Frame, Status, Verdict
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.scan import ScannedFile, scan_frames
from calmasters.inventory.verdicts import check_frame
from calmasters.settings import Settings


def read(settings: Settings) -> dict[str, Frame]:
    """Scan and read the frames, and save the cache."""
    cache = HeaderCache(settings)
    frames = cache.read(scan_frames(settings), settings.input_dir, settings.exclude)
    cache.save()
    return {frame.path: frame for frame in frames}


def as_values(frames: dict[str, Frame]) -> list[object]:
    """All values of frames, for comparison."""
    return [{**frame._asdict(), "traits": asdict(frame.traits)} for frame in frames.values()]


def problem(settings: Settings, path: str) -> str:
    return "; ".join(read(settings)[path].problems)


# --- excluded and refused frames ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "excluded"),
    [
        ("2026-01-15/flat/a.fits", {"2026-01-15/flat/a.fits"}),
        ("2026-01-15/*", {"2026-01-15/flat/a.fits", "2026-01-15/flat/b_cloudy.fits"}),
        ("2026-01-15/flat", {"2026-01-15/flat/a.fits", "2026-01-15/flat/b_cloudy.fits"}),
        ("flat/", {"2026-01-15/flat/a.fits", "2026-01-15/flat/b_cloudy.fits"}),
        ("*cloudy*", {"2026-01-15/flat/b_cloudy.fits"}),
        ("a.fits", {"2026-01-15/flat/a.fits"}),
        ("A.FITS", set()),
        ("fla", set()),
        ("/2026-01-15/flat/a.fits", {"2026-01-15/flat/a.fits"}),
        ("/bias", {"bias/c.fits"}),
        ("/bias/*", {"bias/c.fits"}),
        ("/flat", set()),
        ("/a.fits", set()),
    ],
)
def test_frames_are_excluded_by_path_folder_or_name(
    make_settings: Callable[..., Settings],
    add_frame: Callable[..., Path],
    pattern: str,
    excluded: set[str],
) -> None:
    for name in ("2026-01-15/flat/a.fits", "2026-01-15/flat/b_cloudy.fits", "bias/c.fits"):
        add_frame(name)
    frames = read(make_settings(exclude=["*.none", pattern]))
    reasons = {path: frame.excluded for path, frame in frames.items() if frame.excluded}
    assert reasons == dict.fromkeys(excluded, f"exclude: {pattern}")


def test_damaged_files_are_refused_with_their_reasons(
    settings: Settings, tmp_path: Path, add_frame: Callable[..., Path]
) -> None:
    valid = add_frame("valid.fits").read_bytes()
    for name, content in {
        "cut.fits": valid[:-2880],
        "no_end.fits": valid[:1000],
        "empty.fits": b"",
        "text.fits": b"The sky was clear.",
    }.items():
        (tmp_path / "frames" / name).write_bytes(content)
    problems = {path: frame.problems for path, frame in read(settings).items()}
    assert problems == {
        "valid.fits": (),
        "cut.fits": ("is truncated: 2880 bytes where 2904 were expected; copy it again",),
        "no_end.fits": ("is truncated: its header has no END; copy it again",),
        "empty.fits": (
            "is not a FITS file: it is empty; copy it again, or leave it out (exclude)",
        ),
        "text.fits": ("is not a FITS file; copy it again, or leave it out (exclude)",),
    }


def write_float(path: Path, pixels: list[list[float]], kind: str = "Bias") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = fits.PrimaryHDU(np.array(pixels, np.float32))
    image.header["IMAGETYP"] = kind
    image.writeto(path)


def test_float_frames_outside_their_range_are_refused_with_the_setting(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    frames = tmp_path / "frames"
    write_float(frames / "adu.fits", [[100, 65535], [0, 1]])
    write_float(frames / "unit.fits", [[0, 1], [0.5, 0.25]])
    write_float(frames / "light.fits", [[100, 65535], [0, 1]], "Light")
    unit, adu16 = make_settings(float_range="unit"), make_settings(float_range="adu16")
    assert "set float_range: auto" in problem(unit, "adu.fits")
    assert "set float_range: auto" in problem(adu16, "unit.fits")
    assert problem(unit, "unit.fits") == problem(unit, "light.fits") == ""
    assert problem(adu16, "adu.fits") == ""
    assert problem(make_settings(), "adu.fits") == problem(make_settings(), "unit.fits") == ""


@pytest.mark.parametrize(
    ("float_range", "of_adu", "of_unit"), [("auto", "adu16", ""), ("adu16", "", None)]
)
def test_each_float_frame_is_judged_by_its_own_samples(
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    float_range: str,
    of_adu: str,
    of_unit: str | None,
) -> None:
    frames = tmp_path / "frames"
    write_float(frames / "adu.fits", [[510, 540], [505, 512]])
    write_float(frames / "unit.fits", [[0.01, 0.02], [0.01, 0.01]])
    write_float(frames / "master.fits", [[0.01, 0.02], [0.01, 0.01]], "Master Bias")
    write_float(frames / "both.fits", [[0.2, 1.2], [0.2, 0.3]])
    write_float(frames / "both_master.fits", [[0.2, 1.2], [0.2, 0.3]], "Master Bias")
    found = read(make_settings(float_range=float_range))
    assert found["adu.fits"].traits.read_as == of_adu
    assert found["unit.fits"].traits.read_as == (of_unit or "")
    assert bool(found["unit.fits"].problems) == (of_unit is None)
    assert found["master.fits"].problems == ()
    if float_range == "auto":
        (problem,) = found["both.fits"].problems
        assert problem.endswith("; if they are 16-bit ADU, set float_range: adu16")
    (problem,) = found["both_master.fits"].problems
    assert problem.endswith("; save it again with samples from 0 to 1")


READINGS: dict[str, tuple[np.ndarray, dict[str, Any], str]] = {
    "plain": (np.full((3, 4), 500, np.uint16), {}, ""),
    "top down": (np.full((3, 4), 500, np.uint16), {"ROWORDER": "TOP-DOWN"}, ""),
    "8 bits": (np.full((3, 4), 50, np.uint8), {}, ""),
    "32 bits": (np.full((3, 4), 1 << 30, np.uint32), {}, ""),
    "floats": (np.full((3, 4), 0.1, np.float32), {}, ""),
    "bottom up": (np.full((3, 4), 500, np.uint16), {"ROWORDER": "BOTTOM-UP"}, "bottom-up"),
    "signed": (np.full((3, 4), 500, np.int16), {}, "signed"),
    "ADU in 32 bits": (np.full((3, 4), 500, np.uint32), {}, "32-bit integers as ADU"),
    "signed ADU": (np.full((3, 4), 500, np.int32), {}, "signed, 32-bit integers as ADU"),
    "floats in ADU": (
        np.full((3, 4), 500, np.float64),
        {"ROWORDER": "BOTTOM-UP"},
        "bottom-up, adu16",
    ),
}


@pytest.mark.parametrize(("pixels", "cards", "read_as"), READINGS.values(), ids=READINGS)
def test_what_is_not_read_plainly_is_found_and_cached(
    settings: Settings, pixels: np.ndarray, cards: dict[str, Any], read_as: str
) -> None:
    settings.input_dir.mkdir()
    header = fits.Header({"IMAGETYP": "Bias", **cards})
    fits.PrimaryHDU(pixels, header).writeto(settings.input_dir / "a.fits")
    for _ in range(2):  # from the file, and from the cache
        frame = read(settings)["a.fits"]
        assert (frame.traits.read_as, frame.problems) == (read_as, ())


def test_the_bounds_of_xisf_are_found(
    settings: Settings, write_bounded: Callable[..., None]
) -> None:
    cards = {"IMAGETYP": "Bias"}
    write_bounded(settings.input_dir / "a.xisf", np.full((3, 4), 500), "0:65535", cards)
    write_bounded(settings.input_dir / "b.xisf", np.full((3, 4), 0.1), "0:1", cards)
    write_bounded(settings.input_dir / "c.xisf", np.full((3, 4), 900), "0:100", cards)
    write_bounded(settings.input_dir / "d.xisf", np.full((3, 4), 900), "0:1", cards)
    found = read(settings)
    assert "900 to 900 where 0 to 1 (the bounds of the file)" in found["d.xisf"].problems[0]
    assert found["a.xisf"].traits.read_as == "bounds 0:65535"
    assert found["b.xisf"].traits.read_as == ""
    assert "900 to 900 where 0 to 100 (the bounds of the file)" in found["c.xisf"].problems[0]


def test_signed_samples_below_0_are_refused(settings: Settings) -> None:
    settings.input_dir.mkdir()
    pixels = np.full((3, 4), -32_000, np.int16)
    fits.PrimaryHDU(pixels, fits.Header({"IMAGETYP": "Bias"})).writeto(
        settings.input_dir / "a.fits"
    )
    (problem,) = read(settings)["a.fits"].problems
    assert "set BZERO" in problem


# --- the cache ------------------------------------------------------------------------------------


def replace_gain(path: Path, old: int, new: int, mtime_ns: int) -> None:
    """Change a header without changing the file's size."""
    content = path.read_bytes()
    path.write_bytes(content.replace(b"%20d" % old, b"%20d" % new))
    os.utime(path, ns=(mtime_ns, mtime_ns))


def test_headers_are_read_again_only_when_size_or_time_changes(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    path = add_frame("a.fits")
    before = path.stat().st_mtime_ns
    assert read(settings)["a.fits"].keywords["GAIN"] == 100
    replace_gain(path, 100, 240, before)
    assert read(settings)["a.fits"].keywords["GAIN"] == 100
    replace_gain(path, 240, 120, before - 10**9)
    assert read(settings)["a.fits"].keywords["GAIN"] == 120


def test_headers_are_read_again_when_the_rules_change(
    make_settings: Callable[..., Settings], add_frame: Callable[..., Path]
) -> None:
    add_frame("a.fits", cards={"CAMNAME": "mine"})
    assert read(make_settings())["a.fits"].keywords["INSTRUME"] == "ATR585M"
    aliased = make_settings(keyword_aliases={"INSTRUME": ["CAMNAME"]})
    assert read(aliased)["a.fits"].keywords["INSTRUME"] == "mine"


def test_frames_are_the_same_from_the_cache(
    settings: Settings, tmp_path: Path, add_frame: Callable[..., Path]
) -> None:
    add_frame("a.fits", cards={"BAYERPAT": "RGGB", "XBINNING": 2, "CCD-TEMP": 5.0})
    add_frame("b.fits", cards={"SET-TEMP": None, "NAXIS3": 3, "STACKCNT": 5})
    (tmp_path / "frames" / "c.fits").touch()
    assert as_values(read(settings)) == as_values(read(settings))


@pytest.mark.parametrize("damage", ["", "[]", '{"rules":', "\x00\xff", '{"rules": "other"}'])
def test_a_damaged_cache_is_ignored(
    settings: Settings, tmp_path: Path, add_frame: Callable[..., Path], damage: str
) -> None:
    add_frame("a.fits")
    expected = as_values(read(settings))
    cache = tmp_path / "output" / ".cache" / "headers.json"
    cache.write_text(damage, encoding="latin-1")
    assert as_values(read(settings)) == expected
    assert json.loads(cache.read_text(encoding="utf-8"))


def test_a_value_that_was_changed_in_the_cache_is_not_believed(
    settings: Settings, tmp_path: Path, add_frame: Callable[..., Path]
) -> None:
    add_frame("a.fits", "dark")
    expected = as_values(read(settings))
    cache = tmp_path / "output" / ".cache" / "headers.json"
    text = cache.read_text(encoding="utf-8")
    assert '"EXPOSURE": 60.0' in text
    cache.write_text(text.replace('"EXPOSURE": 60.0', '"EXPOSURE": 61.0'), encoding="utf-8")
    assert as_values(read(settings)) == expected


SHARING = """
import sys, yaml
from pathlib import Path
from typing import Any
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.scan import ScannedFile, scan_frames
from calmasters.settings import Settings

config, schema, frames, output = map(Path, sys.argv[1:])
folders = {"input_dir": str(frames), "output_dir": str(output)}
settings = Settings.from_config(yaml.safe_load(config.read_text()) | folders, schema)
for _ in range(30):
    cache = HeaderCache(settings)
    assert len(cache.read(scan_frames(settings), frames)) == 3
    cache.save()
"""


def test_a_cache_can_be_shared_by_processes(
    settings: Settings, add_frame: Callable[..., Path], schema: Path
) -> None:
    for number in range(3):
        add_frame(f"{number}.fits")
    config = schema.with_name("config.yaml")
    paths = (config, schema, settings.input_dir, settings.output_dir)
    command = [sys.executable, "-c", SHARING, *map(str, paths)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate()[1] for process in processes] == [b"", b""]
    (cache,) = (settings.output_dir / ".cache").iterdir()
    assert len(json.loads(cache.read_text())["frames"][str(settings.input_dir)]) == 3


def test_traits_are_cached_once_and_removed_with_the_last_frame(
    settings: Settings, tmp_path: Path, add_frame: Callable[..., Path]
) -> None:
    for number in range(3):
        add_frame(f"bias/{number}.fits")
        add_frame(f"flat/{number}.fits", "flat")
    first, *_ = read(settings).values()
    cache = tmp_path / "output" / ".cache" / "headers.json"
    assert len(json.loads(cache.read_text())["traits"]) == 2
    for number in range(3):
        (tmp_path / "frames" / "bias" / f"{number}.fits").unlink()
    flats = read(settings)
    assert len(json.loads(cache.read_text())["traits"]) == 1
    assert as_values(read(settings)) == as_values(flats)
    assert {frame.keywords["TYPE"] for frame in flats.values()} == {"flat"}
    assert len({frame.traits for frame in flats.values()}) == 1
    assert first.traits not in {frame.traits for frame in flats.values()}


def test_entries_of_missing_files_are_removed(
    settings: Settings, tmp_path: Path, add_frame: Callable[..., Path]
) -> None:
    add_frame("a.fits")
    add_frame("b.fits")
    read(settings)
    (tmp_path / "frames" / "a.fits").unlink()
    read(settings)
    assert "a.fits" not in (tmp_path / "output" / ".cache" / "headers.json").read_text()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: gzip.compress(content[:-2000]), "is truncated: 6640 bytes where 8640"),
        (
            lambda content: gzip.compress(content)[:-20],
            "end-of-stream marker was reached; copy it again",
        ),
        (lambda content: gzip.compress(content) + b"appended", "Not a gzipped file"),
        (lambda content: content, "Not a gzipped file"),
    ],
    ids=["truncated before zipping", "truncated", "bytes appended", "not zipped"],
)
def test_damaged_zipped_files_are_refused(
    settings: Settings, tmp_path: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    image = np.random.default_rng(1).integers(0, 65536, (40, 60)).astype(np.uint16)
    path = tmp_path / "frames" / "x.fits"
    path.parent.mkdir()
    fits.PrimaryHDU(image, fits.Header({"IMAGETYP": "BIAS"})).writeto(path)
    content = path.read_bytes()
    path.unlink()
    zipped = path.with_name("x.fits.gz")
    zipped.write_bytes(gzip.compress(content))
    assert not problem(settings, "x.fits.gz")
    zipped.write_bytes(damage(content))
    assert reason in problem(settings, "x.fits.gz")


@pytest.mark.parametrize("name", ["x.fits.fz", "x.xisf"])
def test_truncated_packed_files_are_refused(settings: Settings, tmp_path: Path, name: str) -> None:
    image = np.random.default_rng(1).integers(0, 65536, (40, 60)).astype(np.uint16)
    path = tmp_path / "frames" / name
    path.parent.mkdir()
    if name.endswith("fz"):
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image)]).writeto(path)
    else:
        XISF.write(str(path), image[:, :, None], codec="zlib")
    assert not problem(settings, name)
    path.write_bytes(path.read_bytes()[:-2880])
    assert problem(settings, name).startswith("is truncated: ")


@pytest.mark.parametrize("folder", ["Darks", "dark 300s -10C"])
def test_a_folder_gives_the_type_if_the_header_has_none(
    make_settings: Callable[..., Settings], add_frame: Callable[..., Path], folder: str
) -> None:
    add_frame(f"{folder}/x.fits", "dark", {"IMAGETYP": None})
    add_frame("Flats/y.fits", "dark")
    assert "TYPE" not in read(make_settings(types_from=["header"]))[f"{folder}/x.fits"].keywords
    frames = read(make_settings())
    assert frames[f"{folder}/x.fits"].keywords["TYPE"] == "dark"
    assert frames[f"{folder}/x.fits"].traits.sources["TYPE"] == "folder name"
    assert frames["Flats/y.fits"].keywords["TYPE"] == "dark"


def test_frames_of_a_warm_sensor_are_refused_with_the_action_refuse(
    make_settings: Callable[..., Settings], add_frame: Callable[..., Path]
) -> None:
    add_frame("warm.fits", "bias", {"CCD-TEMP": 10.7})
    add_frame("near.fits", "bias", {"CCD-TEMP": -9.1})
    add_frame("light.fits", "light", {"CCD-TEMP": 10.7})
    refusing = make_settings(temperature={"action": "refuse"})
    verdicts = {path: check_frame(frame, refusing) for path, frame in read(refusing).items()}
    assert verdicts["near.fits"] is None
    assert verdicts["light.fits"] == Verdict(Status.IGNORED, "type light")
    warm = verdicts["warm.fits"]
    assert warm is not None
    assert warm.reason.startswith("sensor at 10.7 C, set-point -10.0 C; retake it")
    assert warm.remedy == "retake it after the sensor has cooled"
    assert warm.settings == {}
    warning = make_settings()
    assert all(
        check_frame(read(warning)[path], warning) is None for path in ("warm.fits", "near.fits")
    )


# --- what the cache adds to a header --------------------------------------------------------------


def rewrite(path: Path, pixels: np.ndarray, **cards: Any) -> None:
    header = fits.getheader(path)
    for card in ("BZERO", "BSCALE"):
        header.remove(card, ignore_missing=True)
    fits.writeto(path, pixels, header, overwrite=True)
    with fits.open(path, mode="update") as hdus:
        hdus[0].header.update(cards)


def test_frames_of_8_bits_are_known(settings: Settings, add_frame: Callable[..., Path]) -> None:
    add_frame("fine.fits")
    rewrite(add_frame("coarse.fits"), np.full((3, 4), 7, np.uint8))
    frames = read(settings)
    assert {path: each.traits.has_8_bits for path, each in frames.items()} == {
        "fine.fits": False,
        "coarse.fits": True,
    }


def test_the_layout_of_a_frame_is_a_part_of_it(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    cut = {"BIASSEC": "[4:4,1:3]", "TRIMSEC": "[1:3,1:3]"}
    outside = {"BIASSEC": "[5:8,1:3]", "TRIMSEC": "[1:4,1:3]"}
    wrong = {"BIASSEC": "[3:4,1:3]", "TRIMSEC": "[1:3,1:3]"}
    for name, cards in (("plain", {}), ("cut", cut), ("outside", outside), ("wrong", wrong)):
        add_frame(f"{name}.fits", cards={"PEDESTAL": -100, **cards})
    for _ in range(2):  # read, and from the cache
        frames = {path.removesuffix(".fits"): each.traits for path, each in read(settings).items()}
        sizes = {name: each.geometry and each.geometry.width for name, each in frames.items()}
        assert sizes == {"plain": 4, "cut": 3, "outside": 4, "wrong": 4}
        assert "median of each line) (header)" in frames["cut"].sources["LAYOUT"]
        assert not any("LAYOUT" in frames[name].sources for name in ("plain", "outside", "wrong"))
        # What a program added to all samples is in its overscan, too.
        pedestals = {name: each.pedestal_adu for name, each in frames.items()}
        assert len({pedestals[name] for name in ("plain", "outside", "wrong")}) == 1
        assert pedestals["cut"] == 1000 != pedestals["plain"]
        assert "is not inside of the image" in "".join(frames["outside"].warnings)
        assert "overlaps the image section" in "".join(frames["wrong"].problems)
        assert frames["plain"].warnings == frames["plain"].problems == ()


def test_the_layout_of_a_camera_in_the_configuration_is_used(
    make_settings: Callable[..., Settings], add_frame: Callable[..., Path]
) -> None:
    add_frame("a.fits")
    settings = make_settings(cameras={"ATR585M": {"data": "[1:3,1:3]"}})
    geometry = read(settings)["a.fits"].geometry
    assert geometry is not None
    assert geometry.width == 3


def test_a_master_of_several_images_is_refused(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    path = add_frame("a.fits", cards={"STACKCNT": 9})
    image = fits.ImageHDU(np.zeros((3, 4), np.uint16))
    fits.HDUList([fits.PrimaryHDU(header=fits.getheader(path)), image, image.copy()]).writeto(
        path, overwrite=True
    )
    assert problem(settings, "a.fits").startswith("contains 2 images (extensions); use one")


def test_a_file_that_cannot_be_opened_is_a_frame_with_a_problem(settings: Settings) -> None:
    file = ScannedFile("x/a.fits", 5, 17, "is a folder")
    (frame,) = HeaderCache(settings).read([file], settings.input_dir)
    assert (frame.path, frame.size, frame.mtime_ns) == ("x/a.fits", 5, 17)
    assert frame.problems == ("is a folder",)


def test_the_folders_above_a_library_give_no_type(
    make_settings: Callable[..., Settings], add_frame: Callable[..., Path], tmp_path: Path
) -> None:
    for folder in ("", "Flats"):
        add_frame(f"Darks/library/{folder}/a.fits", cards={"IMAGETYP": None})
    library = tmp_path / "frames" / "Darks" / "library"
    settings = make_settings(library={"bias": [], "dark": [str(library)]})
    files = [
        ScannedFile(path.as_posix(), path.stat().st_size, 17)
        for path in (library / "a.fits", library / "Flats" / "a.fits")
    ]
    above, inside = HeaderCache(settings).read(files, Path())
    assert (above.keywords.get("TYPE"), inside.keywords.get("TYPE")) == (None, "flat")
    (other,) = HeaderCache(make_settings()).read(files[:1], Path())
    assert other.keywords.get("TYPE") == "dark"


def test_the_cache_is_written_only_if_something_changed(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    add_frame("a.fits")
    cache = HeaderCache(settings)
    files = scan_frames(settings)
    cache.read(files, settings.input_dir)
    cache.save()
    (path,) = settings.output_dir.rglob("*header*")
    path.unlink()
    cache.read(files, settings.input_dir)
    cache.save()
    assert not path.exists()


def test_samples_are_looked_at_where_a_frame_may_be_used(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "light": ("light", {}),
        "calibrated": ("bias", {"CALSTAT": "B"}),
        "bias": ("bias", {}),
    }
    for name, (kind, cards) in kinds.items():
        rewrite(add_frame(f"{name}.fits", kind, cards), np.full((3, 4), 1e9, np.float32))
    problems = {path.removesuffix(".fits"): each.problems for path, each in read(settings).items()}
    assert problems["light"] == ()
    (problem,) = problems["calibrated"]
    assert problem.startswith("is already calibrated")
    (problem,) = problems["bias"]
    assert problem.startswith("contains samples")
