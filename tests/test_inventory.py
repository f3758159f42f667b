from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from xisf import XISF

from calmasters.errors import ConfigError
from calmasters.frames import Frame, Geometry, Status, Value, Verdict
from calmasters.grouping import judge
from calmasters.inventory import (
    COLUMNS,
    HeaderCache,
    inventory_table,
    scan_frames,
    scan_library,
    scan_masters,
)
from calmasters.settings import Settings

USED = Verdict(Status.USED, group="masterBias_GAIN-100")


def scanned(settings: Settings) -> list[str]:
    return [file.path for file in scan_frames(settings)]


def read(settings: Settings) -> dict[str, Frame]:
    """Scan and read the frames through a cache that is kept."""
    cache = HeaderCache(settings)
    frames = cache.read(scan_frames(settings), settings.input_dir, settings.exclude)
    cache.save()
    return {frame.path: frame for frame in frames}


def problem(settings: Settings, path: str) -> str:
    return "; ".join(read(settings)[path].problems)


def link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("links are not allowed here")


# --- which files ----------------------------------------------------------------------------------


def test_frames_are_found_in_all_folders_in_any_letter_case_by_path(
    settings: Settings, tmp_path: Path
) -> None:
    found = ["a.fits", "B/b.FIT", "B/c.Fts", "c/d/e.FITS", "a.fits.FZ", "a.fit.gz", "a.XISF"]
    for name in [*found, "a.txt", "a.gz", "a.tar.gz", "fits", "._a.fits", ".b/b.fits"]:
        path = tmp_path / "frames" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert scanned(settings) == sorted(found)


def test_output_libraries_and_hidden_folders_are_not_entered(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    frames = tmp_path / "frames"
    inside = ["a.fits", "night/b.fits"]
    outside = ["out/masters/m.fits", "lib/bias/x.fits", "d/lib/y.fits", ".h/z.fits", "n/.h/z.fits"]
    for name in [*inside, *outside]:
        (frames / name).parent.mkdir(parents=True, exist_ok=True)
        (frames / name).touch()
    settings = make_settings(
        output_dir=str(frames / "night" / ".." / "out"),
        library={"bias": [str(frames / "lib")], "dark": [str(frames / "d" / "lib")]},
    )
    assert scanned(settings) == inside
    link(frames / "linked", frames / "out" / "masters")
    link(frames / "relinked", frames / "lib")
    assert scanned(settings) == inside


def test_a_folder_named_as_a_frame_is_a_folder(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "frames" / "x.fits").mkdir(parents=True)
    (tmp_path / "frames" / "x.fits" / "y.fits").touch()
    assert scanned(settings) == ["x.fits/y.fits"]


def test_links_are_followed_but_lead_to_nothing_twice(settings: Settings, tmp_path: Path) -> None:
    frames, elsewhere = tmp_path / "frames", tmp_path / "elsewhere"
    for file in (frames / "n" / "a.fits", elsewhere / "b.fits", elsewhere / "c.fits"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    link(frames / "again", frames / "n")
    link(frames / "again.fits", frames / "n" / "a.fits")
    link(frames / "n" / "loop", frames)
    link(frames / "linked.fits", elsewhere / "b.fits")
    assert scanned(settings) == ["linked.fits", "n/a.fits"]
    link(frames / "new", elsewhere)
    assert scanned(settings) == ["n/a.fits", "new/b.fits", "new/c.fits"]


def test_broken_links_and_links_to_themselves_are_refused(
    settings: Settings, tmp_path: Path
) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    link(frames / "broken.fits", frames / "gone.fits")
    link(frames / "itself.fits", frames / "itself.fits")
    link(frames / "itself", frames / "itself")
    found = {path: frame.problems for path, frame in read(settings).items()}
    assert list(found) == ["broken.fits", "itself.fits"]
    assert "broken link" in found["broken.fits"][0]
    assert found["itself.fits"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"input_dir": "nowhere"}, "input_dir: there is no directory 'nowhere'.*set input_dir"),
        ({"input_dir": "empty"}, r"no frames \(.fits, .*.xisf\) below 'empty'.*set input_dir"),
        ({"input_dir": "a/b", "output_dir": "a"}, "output_dir 'a' holds input_dir 'a.b'.*choose"),
        ({"input_dir": "a", "output_dir": "a"}, "output_dir 'a' holds input_dir 'a'"),
    ],
)
def test_directories_that_cannot_be_meant_are_told(
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: dict[str, str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(ConfigError, match=message):
        scan_frames(make_settings(**overrides))


# --- masters --------------------------------------------------------------------------------------


def test_libraries_are_searched_for_fits_and_xisf_each_file_once(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    library = tmp_path / "library"
    for name in ("bias/b.xisf", "dark/2025/d.FIT", "dark/.old/x.xisf", "dark/d.json", "out/m.xisf"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).touch()
    settings = make_settings(
        library={"bias": [str(library)], "dark": [str(library / "dark")]},
        output_dir=str(library / "out"),
    )
    root = library.as_posix()
    assert [file.path for file in scan_library(settings)] == [
        f"{root}/bias/b.xisf",
        f"{root}/dark/2025/d.FIT",
    ]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", [b"{x}", b"<output>", b"a}", b"no text \xff"])
def test_masters_that_snakemake_would_take_for_patterns_are_told(
    make_settings: Callable[..., Settings], tmp_path: Path, name: bytes
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / os.fsdecode(name + b".xisf")).touch()
    (library / "sound, and odd'.xisf").touch()
    odd, sound = sorted(
        scan_library(make_settings(library={"bias": [str(library)]})),
        key=lambda file: not file.problem,
    )
    assert "rename it" in odd.problem
    assert not sound.problem


def test_a_library_that_is_not_there_is_told(make_settings: Callable[..., Settings]) -> None:
    with pytest.raises(ConfigError, match=r"library: .*'gone'.*library\.bias or library\.dark"):
        scan_library(make_settings(library={"dark": ["gone"]}))


def test_bias_and_dark_masters_of_the_output_are_found(settings: Settings, tmp_path: Path) -> None:
    masters = tmp_path / "output" / "masters"
    for name in ("bias/b.xisf", "bias/b.json", "dark/d.fits", "flat/f.xisf", "dark/.d.xisf.1.tmp"):
        (masters / name).parent.mkdir(parents=True, exist_ok=True)
        (masters / name).touch()
    found = [file.path for file in scan_masters(settings)]
    assert found == ["masters/bias/b.xisf", "masters/dark/d.fits"]


# --- frames left out and frames refused -----------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "left_out"),
    [
        ("2026-01-15/flat/a.fits", {"2026-01-15/flat/a.fits"}),
        ("2026-01-15/*", {"2026-01-15/flat/a.fits", "2026-01-15/flat/b_cloudy.fits"}),
        ("2026-01-15/flat", {"2026-01-15/flat/a.fits", "2026-01-15/flat/b_cloudy.fits"}),
        ("flat/", {"2026-01-15/flat/a.fits", "2026-01-15/flat/b_cloudy.fits"}),
        ("*cloudy*", {"2026-01-15/flat/b_cloudy.fits"}),
        ("a.fits", {"2026-01-15/flat/a.fits"}),
        ("A.FITS", set()),
        ("fla", set()),
    ],
)
def test_frames_are_left_out_by_path_folder_or_name(
    make_settings: Callable[..., Settings],
    add_frame: Callable[..., Path],
    pattern: str,
    left_out: set[str],
) -> None:
    for name in ("2026-01-15/flat/a.fits", "2026-01-15/flat/b_cloudy.fits", "bias/c.fits"):
        add_frame(name)
    frames = read(make_settings(exclude=["*.none", pattern]))
    reasons = {path: frame.excluded for path, frame in frames.items() if frame.excluded}
    assert reasons == dict.fromkeys(left_out, f"exclude: {pattern}")


def test_damaged_files_are_refused_each_with_its_reason(
    settings: Settings, tmp_path: Path, add_frame: Callable[..., Path]
) -> None:
    whole = add_frame("whole.fits").read_bytes()
    for name, content in {
        "cut.fits": whole[:-2880],
        "headless.fits": whole[:1000],
        "empty.fits": b"",
        "diary.fits": b"The sky was clear.",
    }.items():
        (tmp_path / "frames" / name).write_bytes(content)
    problems = {path: frame.problems for path, frame in read(settings).items()}
    assert problems == {
        "whole.fits": (),
        "cut.fits": ("is truncated: 2880 bytes where 2904 were expected; copy it again",),
        "headless.fits": ("is truncated: its header has no END",),
        "empty.fits": ("is not a FITS file: it is empty",),
        "diary.fits": ("is not a FITS file",),
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
    unit, adu16 = make_settings(), make_settings(float_range="adu16")
    assert "set float_range: adu16" in problem(unit, "adu.fits")
    assert problem(unit, "unit.fits") == problem(unit, "light.fits") == ""
    assert problem(adu16, "adu.fits") == ""


# --- headers are read once ------------------------------------------------------------------------


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


def test_headers_are_read_again_when_they_are_to_be_read_in_another_way(
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
    assert read(settings) == read(settings)


@pytest.mark.parametrize("damage", ["", "[]", '{"rules":', "\x00\xff", '{"rules": "other"}'])
def test_a_damaged_cache_is_survived(
    settings: Settings, tmp_path: Path, add_frame: Callable[..., Path], damage: str
) -> None:
    add_frame("a.fits")
    expected = read(settings)
    cache = tmp_path / "output" / ".cache" / "headers.json"
    cache.write_text(damage, encoding="latin-1")
    assert read(settings) == expected
    assert json.loads(cache.read_text(encoding="utf-8"))


SHARING = """
import sys, yaml
from pathlib import Path
from calmasters.inventory import HeaderCache, scan_frames
from calmasters.settings import Settings

config, schema, frames, output = map(Path, sys.argv[1:])
told = {"input_dir": str(frames), "output_dir": str(output)}
settings = Settings.from_config(yaml.safe_load(config.read_text()) | told, schema)
for _ in range(30):
    cache = HeaderCache(settings)
    assert len(cache.read(scan_frames(settings), frames)) == 3
    cache.save()
"""


def test_a_cache_is_shared_by_processes_and_always_whole(
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
    assert len(json.loads(cache.read_text())["frames"]) == 3


def test_what_is_gone_is_forgotten(
    settings: Settings, tmp_path: Path, add_frame: Callable[..., Path]
) -> None:
    add_frame("a.fits")
    add_frame("b.fits")
    read(settings)
    (tmp_path / "frames" / "a.fits").unlink()
    read(settings)
    assert "a.fits" not in (tmp_path / "output" / ".cache" / "headers.json").read_text()


# --- the table ------------------------------------------------------------------------------------


def test_columns_are_those_agreed_with_further_keywords_before_the_size() -> None:
    agreed = [
        *("path", "status", "reason", "group", "TYPE", "INSTRUME", "SET-TEMP", "GAIN", "OFFSET"),
        *("READOUTM", "DATE", "FILTER", "EXPOSURE", "CCD-TEMP", "DATE-OBS", "width", "height"),
        *("xbinning", "ybinning", "bayerpat", "size", "mtime_ns", "sources", "warnings"),
    ]
    assert list(COLUMNS) == agreed
    table = inventory_table([], {}, ["GAIN", "FOCALLEN"])
    assert list(table) == [*agreed[:20], "FOCALLEN", *agreed[20:]]


def test_values_are_written_as_in_names_and_what_is_absent_is_empty() -> None:
    keywords: dict[str, Value] = {
        "TYPE": "bias",
        "SET-TEMP": -10,
        "GAIN": 100.0,
        "EXPOSURE": 0.0015,
        "USBLIMIT": 50,
    }
    full = Frame(
        "a.fits",
        *(5760, 17),
        keywords=keywords,
        geometry=Geometry(4, 3, 1, 2, "RGGB"),
        ccd_temp_c=-9.96,
        date_obs="2026-01-15T21:00:00",
        sources={"GAIN": "path", "OFFSET": "BLKLEVEL"},
        warnings=("one", "two"),
    )
    verdicts = {"a.fits": USED, "0.fits": Verdict(Status.REFUSED, "is damaged", "copy it again")}
    table = inventory_table([full, Frame("0.fits", 0, 1)], verdicts, ["USBLIMIT"])
    bare, row = table.to_dict("records")
    assert {key: value for key, value in bare.items() if value} == {
        "path": "0.fits",
        "status": "refused",
        "reason": "is damaged",
        "size": "0",
        "mtime_ns": "1",
    }
    assert {key: value for key, value in row.items() if value} == {
        "path": "a.fits",
        "status": "used",
        "group": "masterBias_GAIN-100",
        "TYPE": "bias",
        "SET-TEMP": "-10.00",
        "GAIN": "100",
        "EXPOSURE": "0.0015",
        "USBLIMIT": "50",
        "CCD-TEMP": "-9.96",
        "DATE-OBS": "2026-01-15T21:00:00",
        **{"width": "4", "height": "3", "xbinning": "1", "ybinning": "2", "bayerpat": "RGGB"},
        **{"size": "5760", "mtime_ns": "17"},
        "sources": "GAIN: path; OFFSET: BLKLEVEL",
        "warnings": "one; two",
    }


@pytest.mark.parametrize("value", ["a,b", 'say "x"', "two\nlines", "NA", "é", " x ", "1.50", "'"])
def test_the_table_comes_back_equal_from_its_file(tmp_path: Path, value: str) -> None:
    frame = Frame(f"{value}.fits", 1, 2, keywords={"FILTER": value})
    table = inventory_table([frame], {frame.path: Verdict(Status.IGNORED, value)})
    table.to_csv(tmp_path / "inventory.csv", index=False)
    again = pd.read_csv(tmp_path / "inventory.csv", dtype="str", keep_default_na=False)
    pd.testing.assert_frame_equal(again, table, check_dtype=False)
    assert (again.loc[0, "FILTER"], again.loc[0, "reason"]) == (value, value)


def test_rows_are_in_order_of_their_paths() -> None:
    frames = [Frame(path, 0, 0) for path in ("b.fits", "a/z.fits", "B.fits", "a.fits")]
    table = inventory_table(frames, {frame.path: USED for frame in frames})
    assert list(table["path"]) == ["B.fits", "a.fits", "a/z.fits", "b.fits"]


def test_a_spreadsheet_can_sort_and_filter_every_column(
    settings: Settings, add_frame: Callable[..., Path], tmp_path: Path
) -> None:
    add_frame("a.fits", "bias", {"EXPTIME": 0.0015, "EXPOSURE": 0.0015, "GAIN": 100.0})
    add_frame("b.fits", "dark", {"EXPTIME": 1800, "EXPOSURE": 1800, "SET-TEMP": -10})
    add_frame("c.fits", "flat", {"FILTER": "=1+1", "READOUTM": "line\nbreak", "CCD-TEMP": -9.96})
    add_frame("d.fits", "flat", {"FILTER": "-Ha", "READOUTM": "a, b; c"})
    (tmp_path / "frames" / "e.fits").touch()
    frames = read(settings)
    verdicts = {path: judge(frame, settings) or USED for path, frame in frames.items()}
    inventory_table(frames.values(), verdicts).to_csv(tmp_path / "inventory.csv", index=False)
    # As a spreadsheet opens it: numbers are numbers where all of a column are.
    table = pd.read_csv(tmp_path / "inventory.csv").set_index("path")
    numbers = ("SET-TEMP", "GAIN", "OFFSET", "EXPOSURE", "CCD-TEMP", "width", "size", "mtime_ns")
    assert all(pd.api.types.is_numeric_dtype(table[column]) for column in numbers)
    assert list(table.sort_values("EXPOSURE").index) == [
        "a.fits",
        "c.fits",
        "d.fits",
        "b.fits",
        "e.fits",
    ]
    assert list(table.index[table["GAIN"] == 100]) == ["a.fits", "b.fits", "c.fits", "d.fits"]
    assert pd.to_datetime(table["DATE"]).notna().sum() == 4
    assert pd.to_datetime(table["DATE-OBS"], format="ISO8601").notna().sum() == 4
    assert set(table["status"]) == {"used", "refused"}
    # What a header says is text, never a formula; every row is one line.
    assert list(table["FILTER"].dropna()) == ["'=1+1", "'-Ha"]
    assert len((tmp_path / "inventory.csv").read_text().splitlines()) == 1 + len(table)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda whole: gzip.compress(whole[:-2000]), "is truncated: 6640 bytes where 8640 were"),
        (lambda whole: gzip.compress(whole)[:-20], "ended before the end-of-stream"),
        (lambda whole: gzip.compress(whole) + b"behind", "Not a gzipped file"),
        (lambda whole: whole, "Not a gzipped file"),
    ],
    ids=["cut before it was zipped", "cut", "something behind it", "not zipped"],
)
def test_zipped_files_are_seen_to_be_whole(
    settings: Settings, tmp_path: Path, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    image = np.random.default_rng(1).integers(0, 65536, (40, 60)).astype(np.uint16)
    path = tmp_path / "frames" / "x.fits"
    path.parent.mkdir()
    fits.PrimaryHDU(image, fits.Header({"IMAGETYP": "BIAS"})).writeto(path)
    whole = path.read_bytes()
    path.unlink()
    zipped = path.with_name("x.fits.gz")
    zipped.write_bytes(gzip.compress(whole))
    assert not problem(settings, "x.fits.gz")
    zipped.write_bytes(spoil(whole))
    assert reason in problem(settings, "x.fits.gz")


@pytest.mark.parametrize("name", ["x.fits.fz", "x.xisf"])
def test_packed_files_that_are_cut_are_refused(
    settings: Settings, tmp_path: Path, name: str
) -> None:
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
def test_a_folder_tells_the_type_where_the_configuration_says_so(
    make_settings: Callable[..., Settings], add_frame: Callable[..., Path], folder: str
) -> None:
    add_frame(f"{folder}/x.fits", "dark", {"IMAGETYP": None})
    add_frame("Flats/y.fits", "dark")
    assert "TYPE" not in read(make_settings())[f"{folder}/x.fits"].keywords
    found = read(make_settings(folder_types=True))
    assert found[f"{folder}/x.fits"].keywords["TYPE"] == "dark"
    assert found[f"{folder}/x.fits"].sources["TYPE"] == "folder name"
    assert found["Flats/y.fits"].keywords["TYPE"] == "dark"


def test_frames_of_a_warm_sensor_are_refused_where_the_configuration_says_so(
    make_settings: Callable[..., Settings], add_frame: Callable[..., Path]
) -> None:
    add_frame("warm.fits", "bias", {"CCD-TEMP": 10.7})
    add_frame("near.fits", "bias", {"CCD-TEMP": -9.1})
    add_frame("light.fits", "light", {"CCD-TEMP": 10.7})
    refusing = make_settings(temperature={"action": "refuse"})
    verdicts = {path: judge(frame, refusing) for path, frame in read(refusing).items()}
    assert verdicts["near.fits"] is None
    assert verdicts["light.fits"] == Verdict(Status.IGNORED, "type light")
    warm = verdicts["warm.fits"]
    assert warm is not None
    assert warm.reason.startswith("sensor at 10.7 C, set-point -10.0 C; take it again")
    assert warm.remedy.endswith("raise temperature.tolerance_c")
    warning = make_settings()
    assert all(judge(read(warning)[path], warning) is None for path in ("warm.fits", "near.fits"))


def test_masters_are_found_in_both_layouts(settings: Settings, tmp_path: Path) -> None:
    masters = tmp_path / "output" / "masters"
    for name in ("bias/a.xisf", "MASTER DARK/ATR585M/b.xisf", "MASTER FLAT/ATR585M/c.xisf"):
        (masters / name).parent.mkdir(parents=True, exist_ok=True)
        (masters / name).touch()
    found = [file.path for file in scan_masters(settings)]
    assert found == ["masters/MASTER DARK/ATR585M/b.xisf", "masters/bias/a.xisf"]
