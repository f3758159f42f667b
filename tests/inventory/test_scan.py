from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from calmasters.errors import ConfigError
from calmasters.inventory.scan import is_junction, scan_frames, scan_library, scan_masters
from calmasters.settings import Settings


def scanned(settings: Settings) -> list[str]:
    return [file.path for file in scan_frames(settings)]


def link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("links are not permitted here")


# --- which files ----------------------------------------------------------------------------------


def test_frames_are_found_in_all_folders_in_any_letter_case_by_path(
    settings: Settings, tmp_path: Path
) -> None:
    frames = ["a.fits", "B/b.FIT", "B/c.Fts", "c/d/e.FITS", "a.fits.FZ", "a.fit.gz", "a.XISF"]
    for name in [*frames, "a.txt", "a.gz", "a.tar.gz", "fits", "._a.fits", ".b/b.fits"]:
        path = tmp_path / "frames" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert scanned(settings) == sorted(frames)


def test_output_libraries_and_hidden_folders_are_skipped(
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


@pytest.mark.parametrize(
    ("tag", "is_one"),
    [
        (0xA0000003, True),  # a junction, a mounted disk
        (0x9000601A, False),  # a folder of OneDrive
        (0, False),
    ],
)
def test_junctions_of_windows_are_links(tag: int, is_one: bool) -> None:
    assert is_junction(SimpleNamespace(st_reparse_tag=tag)) == is_one


def test_a_folder_of_this_system_is_no_junction_without_a_tag(tmp_path: Path) -> None:
    assert not is_junction(tmp_path.lstat())


@pytest.mark.skipif(os.name != "nt", reason="Windows has junctions")
def test_a_junction_to_a_folder_above_lists_no_frame_twice(
    settings: Settings, tmp_path: Path
) -> None:
    touch(tmp_path / "frames" / "night" / "a.fits")
    junction, above = tmp_path / "frames" / "night" / "all", tmp_path / "frames"
    subprocess.run(["cmd", "/c", "mklink", "/J", str(junction), str(above)], check=True)
    assert scanned(settings) == ["night/a.fits"]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_recycle_bins_and_folders_of_the_system_are_not_entered(
    settings: Settings, tmp_path: Path
) -> None:
    frames = tmp_path / "frames"
    touch(frames / "a.fits")
    for folder in ("#recycle", "$Recycle.Bin", "n/@eaDir", "System Volume Information", ".Trashes"):
        touch(frames / folder / "deleted" / "x.fits")
    touch(tmp_path / "elsewhere" / "x.fits")
    link(frames / "lost+found", tmp_path / "elsewhere")
    assert scanned(settings) == ["a.fits"]


def test_files_of_other_formats_are_listed_with_a_problem(
    settings: Settings, tmp_path: Path
) -> None:
    names = ["a.fits.bz2", "b.CR2", "c.fits.zst", "d.ser", "e.tif"]
    touch(*(tmp_path / "frames" / name for name in (*names, "preview.jpg", "log.txt")))
    problems = {file.path: file.problem for file in scan_frames(settings)}
    assert list(problems) == names
    assert problems.pop("a.fits.bz2") == problems.pop("b.CR2") == ""
    assert all("; " in problem for problem in problems.values())


# --- several directories --------------------------------------------------------------------------


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with frames in ``data/a``, ``data/b/n`` and ``data/c``."""
    for name in ("data/a/1.fits", "data/b/n/2.fits", "data/c/3.fits"):
        touch(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("directories", "root", "paths"),
    [
        (["data/a"], "data/a", ["1.fits"]),
        (["data/a", "data/b"], "data", ["a/1.fits", "b/n/2.fits"]),
        (["data/b", "data/a/", "./data/a"], "data", ["a/1.fits", "b/n/2.fits"]),
        (["data/b", "data/b/n"], "data/b", ["n/2.fits"]),
        (["data/b/n", "data"], "data", ["a/1.fits", "b/n/2.fits", "c/3.fits"]),
    ],
)
def test_frames_of_several_directories_are_below_their_common_folder(
    nights: Path,
    make_settings: Callable[..., Settings],
    directories: list[str],
    root: str,
    paths: list[str],
) -> None:
    for prefix in ("", f"{nights.as_posix()}/"):
        settings = make_settings(input_dir=[f"{prefix}{name}" for name in directories])
        assert settings.input_dir == Path(prefix, root)
        assert scanned(settings) == paths


def test_directories_above_and_below_the_working_directory(
    nights: Path, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(nights / "data" / "a")
    assert scanned(make_settings(input_dir=["../b", "."])) == ["a/1.fits", "b/n/2.fits"]


def test_a_linked_directory_is_listed_once(
    nights: Path, make_settings: Callable[..., Settings]
) -> None:
    link(nights / "data" / "again", nights / "data" / "a")
    assert len(scanned(make_settings(input_dir=["data/a", "data/again"]))) == 1


def test_output_dir_in_one_of_several_directories_is_skipped(
    nights: Path, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(input_dir=["data/a", "data/b"], output_dir="data/b/n")
    assert scanned(settings) == ["a/1.fits"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"input_dir": ["data/a", "gone"]}, "directory 'gone' does not exist"),
        (
            {"input_dir": ["data/a", "data/b/n"], "output_dir": "data/b"},
            "output_dir 'data/b' contains input_dir 'data/b/n'",
        ),
        ({"input_dir": ["data/a/e", "data/e"]}, "below 'data/a/e', 'data/e'"),
        ({"input_dir": []}, "input_dir: "),
    ],
)
def test_an_invalid_directory_among_several_is_named(
    nights: Path,
    make_settings: Callable[..., Settings],
    overrides: dict[str, object],
    message: str,
) -> None:
    for name in ("data/a/e", "data/e"):
        (nights / name).mkdir()
    with pytest.raises(ConfigError, match=message):
        scan_frames(make_settings(**overrides))


def test_a_folder_named_as_a_frame_is_a_folder(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "frames" / "x.fits").mkdir(parents=True)
    (tmp_path / "frames" / "x.fits" / "y.fits").touch()
    assert scanned(settings) == ["x.fits/y.fits"]


def test_links_are_followed_but_no_file_is_listed_twice(settings: Settings, tmp_path: Path) -> None:
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


def test_links_to_files_that_are_not_listed_themselves_are_listed(
    settings: Settings, tmp_path: Path
) -> None:
    frames = tmp_path / "frames"
    (frames / "n").mkdir(parents=True)
    for name in (".hidden.fits", "n/no ending", "n/b.fits"):
        (frames / name).touch()
    link(frames / "a.fits", frames / ".hidden.fits")
    link(frames / "c.fits", frames / "n" / "no ending")
    link(frames / "d.fits", frames / "n" / "no ending")
    link(frames / "e.fits", frames / "n" / "b.fits")
    link(frames / "no frame", frames / "n" / "b.fits")
    assert scanned(settings) == ["a.fits", "c.fits", "n/b.fits"]


def test_broken_links_and_links_to_themselves_are_refused(
    settings: Settings, tmp_path: Path
) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    link(frames / "broken.fits", frames / "missing.fits")
    link(frames / "itself.fits", frames / "itself.fits")
    link(frames / "itself", frames / "itself")
    problems = {file.path: file.problem for file in scan_frames(settings)}
    assert list(problems) == ["broken.fits", "itself.fits"]
    assert "broken link" in problems["broken.fits"]
    assert problems["itself.fits"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"input_dir": "nowhere"}, "input_dir: directory 'nowhere' does not exist.*set input_dir"),
        (
            {"input_dir": "empty"},
            r"no frames \(FITS, XISF or camera raws\) below 'empty'.*set input_dir",
        ),
        (
            {"input_dir": "a/b", "output_dir": "a"},
            "output_dir 'a' contains input_dir 'a.b'.*choose",
        ),
        ({"input_dir": "a", "output_dir": "a"}, "output_dir 'a' contains input_dir 'a'"),
    ],
)
def test_invalid_directories_are_reported(
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
def test_masters_with_names_that_snakemake_rejects_are_reported(
    make_settings: Callable[..., Settings], tmp_path: Path, name: bytes
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / os.fsdecode(name + b".xisf")).touch()
    (library / "valid, but odd'.xisf").touch()
    rejected, valid = sorted(
        scan_library(make_settings(library={"bias": [str(library)]})),
        key=lambda file: not file.problem,
    )
    assert "rename it" in rejected.problem
    assert not valid.problem


def test_a_missing_library_is_reported(make_settings: Callable[..., Settings]) -> None:
    with pytest.raises(ConfigError, match=r"library: .*'missing'.*library\.bias or library\.dark"):
        scan_library(make_settings(library={"dark": ["missing"]}))


def test_bias_and_dark_masters_of_the_output_are_found(settings: Settings, tmp_path: Path) -> None:
    masters = tmp_path / "output" / "masters"
    for name in ("bias/b.xisf", "bias/b.json", "dark/d.fits", "flat/f.xisf", "dark/.d.xisf.1.tmp"):
        (masters / name).parent.mkdir(parents=True, exist_ok=True)
        (masters / name).touch()
    paths = [file.path for file in scan_masters(settings)]
    assert paths == ["masters/bias/b.xisf", "masters/dark/d.fits"]


def test_masters_are_found_in_both_layouts(settings: Settings, tmp_path: Path) -> None:
    masters = tmp_path / "output" / "masters"
    for name in ("bias/a.xisf", "MASTER DARK/ATR585M/b.xisf", "MASTER FLAT/ATR585M/c.xisf"):
        (masters / name).parent.mkdir(parents=True, exist_ok=True)
        (masters / name).touch()
    paths = [file.path for file in scan_masters(settings)]
    assert paths == ["masters/MASTER DARK/ATR585M/b.xisf", "masters/bias/a.xisf"]
