"""A bug report plans the same without the frames, and says of nobody who and where he is."""

from __future__ import annotations

import bz2
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import yaml
from astropy.io import fits
from xisf import XISF

from calmasters.commands.bug_report import main, replay, write_bug_report
from calmasters.commands.frame_headers import FrameHeaders, without_site
from calmasters.errors import OutputError, RecordError
from calmasters.frame import Status
from calmasters.headers.image_header import read_cards, read_header
from calmasters.headers.nights import night_of
from calmasters.planning.planner import Decision, decide
from calmasters.settings import Settings

SITE = {
    "SITELAT": "+47 31 12.5",
    "SITELONG": "-122.4194",
    "SITEELEV": 1432.5,
    "OBSERVER": "Jane O'Neill / 7",
    "AIRMASS": 1.234e0,
}


@pytest.fixture
def strange_frames(tmp_path: Path, add_frame: Callable[..., Path]) -> Path:
    """Frames of all formats: packed, damaged, copied, equal in their headers."""
    frames = tmp_path / "frames"
    for number in range(4):
        add_frame(f"bias/{number}.fits", "bias", {"DATE-OBS": f"2026-01-15T20:00:0{number}"})
    shutil.copy(frames / "bias/0.fits", frames / "bias/copy of 0.fits")
    random = np.random.default_rng(1)
    samples = random.integers(500, 600, (40, 30), np.uint16)
    header = fits.getheader(frames / "bias/0.fits")
    for name in ("no time 1", "no time 2"):
        header["DATE-OBS"] = "2026-01-15"
        noise = random.integers(0, 9, samples.shape, np.uint16)
        fits.writeto(frames / f"bias/{name}.fits", samples + noise, header)
    for name, pack in (("packed.fits.gz", gzip.compress), ("packed.fits.bz2", bz2.compress)):
        header["DATE-OBS"] = f"2026-01-15T21:00:0{len(name) % 10}"
        fits.writeto(frames / "plain.fits", samples, header)
        (frames / name).write_bytes(pack((frames / "plain.fits").read_bytes()))
        (frames / "plain.fits").unlink()
    header["DATE-OBS"] = "2026-01-15T21:30:00"
    fits.CompImageHDU(samples, header).writeto(frames / "tiles.fits.fz")
    header["DATE-OBS"] = "2026-01-15T21:31:00"
    fits.writeto(frames / "signed.fits", samples.astype(np.int16), header)
    keywords = {
        key: [{"value": f"'{value}'" if isinstance(value, str) else str(value), "comment": ""}]
        for key, value in {**header, **SITE}.items()
        if key not in ("SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND", "BZERO", "BSCALE")
    }
    XISF.write(
        str(frames / "own.xisf"), samples[..., None], image_metadata={"FITSKeywords": keywords}
    )
    whole = (frames / "bias/1.fits").read_bytes()
    (frames / "cut.fits").write_bytes(whole[: len(whole) - 2880])
    (frames / "text.fits").write_bytes(b"this is no image" * 10)
    (frames / "empty.fits").touch()
    (frames / "half.fits.gz").write_bytes((frames / "packed.fits.gz").read_bytes()[:700])
    return frames


def decided(decision: Decision) -> tuple[Any, ...]:
    """What a plan says of each file and of each master."""
    verdicts = {
        path.removeprefix("frames/"): (verdict.status, verdict.group, verdict.reason)
        for path, verdict in decision.verdicts.items()
    }
    groups = {job.name: [frame.path for frame in job.frames] for job in (*decision.jobs,)}
    return verdicts, groups, [group.reason for group in decision.not_made]


def settings_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a replayed report, in its folder."""
    monkeypatch.chdir(folder)
    return Settings.from_config(yaml.safe_load((folder / "config/config.yaml").read_text("utf-8")))


@pytest.fixture
def config_of(tmp_path: Path, config: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    def made(**changes: Any) -> dict[str, Any]:
        return {
            **config,
            "input_dir": str(tmp_path / "frames"),
            "output_dir": str(tmp_path / "output"),
            **changes,
        }

    return made


def test_the_plan_is_the_same_without_pixels(
    strange_frames: Path,
    config_of: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = config_of()
    there = decided(decide(Settings.from_config(config)))
    assert any("copy" in reason for _, _, reason in there[0].values())
    bundle = write_bug_report(config)
    shutil.rmtree(strange_frames)
    replay(bundle, tmp_path / "again")
    again = decided(decide(settings_of(tmp_path / "again", monkeypatch)))
    for path, verdict in there[0].items():
        assert again[0][path] == verdict, path
    assert again == there


def test_masters_of_libraries_and_of_output_are_in_the_plan_again(
    add_frame: Callable[..., Path],
    add_master: Callable[..., Path],
    config_of: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(3):
        add_frame(f"flats/{number}.fits", "flat", {"DATE-OBS": f"2026-01-15T20:00:0{number}"})
    add_master("old/nights/bias.xisf", "bias")
    add_master("output/masters/dark/kept.xisf", "dark")
    config = config_of(library={"bias": [str(tmp_path / "old")], "dark": []})
    job = decide(Settings.from_config(config)).jobs[0]
    assert job.bias
    assert job.dark
    replay(write_bug_report(config), tmp_path / "again")
    again = decide(settings_of(tmp_path / "again", monkeypatch)).jobs[0]
    assert again.bias
    assert again.bias.path == "library/1/nights/bias.xisf"
    assert again.dark
    assert again.dark.path == job.dark.path


def test_several_input_directories_stay_several(
    add_frame: Callable[..., Path],
    config_of: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for folder in ("a", "b", "c"):
        for number in range(3):
            cards = {"DATE-OBS": f"2026-01-15T20:0{number}:0{ord(folder) % 10}"}
            add_frame(f"{folder}/{number}.fits", "bias", cards)
    config = config_of(input_dir=[str(tmp_path / "frames" / name) for name in "ab"])
    there = decided(decide(Settings.from_config(config)))
    replay(write_bug_report(config), tmp_path / "again")
    assert decided(decide(settings_of(tmp_path / "again", monkeypatch))) == there


def test_places_and_names_are_not_in_the_report(
    add_frame: Callable[..., Path],
    config_of: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("USER", "janedoe")
    for number in range(3):
        paths = {"PROGRAM": "/home/johndoe/x", "FROM": "C:\\Users\\jd\\y of janedoe"}
        cards = {"DATE-OBS": f"2026-01-15T20:00:0{number}", **SITE, **paths}
        add_frame(f"of janedoe/{number}.fits", "bias", cards)
    config = config_of()
    logs = tmp_path / "output/logs"
    logs.mkdir(parents=True)
    (logs / "inventory.log").write_text(f"{tmp_path}/frames of janedoe, /home/someone/x.fits")
    with ZipFile(write_bug_report(config)) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    everything = "\n".join(texts.values())
    names = ("janedoe", "johndoe", "Neill", "someone")
    for hidden in (*names, "47 31", "122.4194", "1432.5", str(tmp_path)):
        assert hidden not in everything
    assert json.loads(texts["versions.json"])["calmasters"]
    # Paths in headers keep their lengths, so that the headers can be read.
    replay(tmp_path / "output/bug_report.zip", tmp_path / "again")
    again = decide(settings_of(tmp_path / "again", monkeypatch))
    assert {verdict.status for verdict in again.verdicts.values()} == {Status.USED}


@pytest.mark.parametrize(
    ("cards", "night"),
    [
        ({"SITELONG": "-122.4194"}, "2026-01-14"),
        ({"SITELONG": -122.4194}, "2026-01-14"),
        ({"SITELONG": "122 25 09 W"}, "2026-01-14"),
        ({"OBSGEO-L": 8.5}, "2026-01-14"),
        ({"OBSGEO-L": 1.75e2}, "2026-01-15"),
    ],
)
def test_the_night_stays_when_the_longitude_is_blanked(
    tmp_path: Path, cards: dict[str, Any], night: str
) -> None:
    path = tmp_path / "frame.fits"
    header = fits.Header({**cards, "DATE-OBS": "2026-01-15T03:00:00", "OBSERVER": "Jane"})
    fits.writeto(path, np.zeros((4, 4), np.uint16), header)
    assert night_of(read_cards(path), "auto").date == night
    FrameHeaders.read(path, "frame.fits").restore(tmp_path / "again.fits")
    again = read_cards(tmp_path / "again.fits")
    assert night_of(again, "auto").date == night
    assert again["OBSERVER"] == "xxxx"
    assert all(again[name] != value for name, value in cards.items())


def test_only_the_site_is_blanked_and_nothing_moves() -> None:
    header = fits.Header({"GAIN": 100, "TELESCOP": "C11", **SITE})
    header["HIERARCH ESO TEL GEOLAT"] = -24.6272
    text = header.tostring().encode()
    blank = without_site(text)
    assert len(blank) == len(text)
    again = fits.Header.fromstring(blank.decode())
    assert (again["GAIN"], again["TELESCOP"]) == (100, "C11")
    assert again["SITELAT"] == "+00 00 00.0"
    assert (again["SITEELEV"], again["AIRMASS"], again["ESO TEL GEOLAT"]) == (0, 0, 0)
    assert again["OBSERVER"] == "xxxx x'xxxxx / 0"


def test_the_site_is_blanked_in_xisf(tmp_path: Path) -> None:
    xml = (
        b"<xisf><Image geometry='2:2:1' sampleFormat='UInt16' location='attachment:4096:8'>"
        b"<FITSKeyword name='SITELAT' value='47.6' comment='c'/>"
        b'<FITSKeyword name="GAIN" value="139" comment=""/>'
        b'<Property id="Observation:Location:Latitude" type="Float64" value="47.6205"/>'
        b'<Property id="Observation:Location:Longitude" type="Float64" value="-122.34"/>'
        b"<Property id='Observer:Name' type='String'>Jane</Property></Image></xisf>"
    )
    start = b"XISF0100" + len(xml).to_bytes(4, "little") + bytes(4) + xml
    blank = without_site(start)
    assert len(blank) == len(start)
    for hidden in (b"47.6", b"122.34", b"Jane"):
        assert hidden not in blank
    for kept in (b'value="139"', b"-120.00", b">xxxx<"):
        assert kept in blank


def test_a_frame_is_stored_by_its_headers_alone(tmp_path: Path) -> None:
    path = tmp_path / "frame.fits"
    extensions = [fits.ImageHDU(np.full((90, 80), 7, np.int16), name=f"AMP{n}") for n in (1, 2)]
    fits.HDUList([fits.PrimaryHDU(), *extensions]).writeto(path)
    stored = FrameHeaders.read(path, "frame.fits")
    assert sum(len(text) for _, text in stored.parts) < 3 * 2880 + 300
    stored.restore(tmp_path / "again.fits")
    with fits.open(path) as before, fits.open(tmp_path / "again.fits") as after:
        assert [hdu.header for hdu in before] == [hdu.header for hdu in after]
    assert (tmp_path / "again.fits").stat().st_size == path.stat().st_size
    assert (tmp_path / "again.fits").stat().st_mtime_ns == path.stat().st_mtime_ns


def test_nothing_of_a_camera_raw_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "IMG_1.CR2"
    path.write_bytes(b"II*\0 GPS 47 31 12, Jane O'Neill" * 100)
    stored = FrameHeaders.read(path, "IMG_1.CR2")
    assert "".join(text for _, text in stored.parts) == ""
    stored.restore(tmp_path / "again" / "IMG_1.CR2")
    assert (tmp_path / "again" / "IMG_1.CR2").read_bytes() == bytes(path.stat().st_size)


def test_a_large_xisf_header_is_stored_whole(tmp_path: Path) -> None:
    path = tmp_path / "frame.xisf"
    keywords = {f"CARD{n}": [{"value": "1", "comment": "x" * 60}] for n in range(900)}
    XISF.write(str(path), np.ones((8, 8, 1), np.uint16), image_metadata={"FITSKeywords": keywords})
    FrameHeaders.read(path, path.name).restore(tmp_path / "again.xisf")
    assert read_header(tmp_path / "again.xisf").cards == read_header(path).cards


def test_a_report_is_not_written_over_files_or_out_of_its_folder(
    add_frame: Callable[..., Path], config_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    add_frame("bias/1.fits", "bias")
    bundle = write_bug_report(config_of())
    with pytest.raises(OutputError, match="is not empty: choose a new folder"):
        replay(bundle, tmp_path)
    with ZipFile(bundle, "a") as archive:
        archive.writestr("../outside.json", "{}")
    with pytest.raises(OutputError, match="leads out of"):
        replay(bundle, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    (tmp_path / "no.zip").write_text("no zip")
    with pytest.raises(RecordError, match="a bug report"):
        replay(tmp_path / "no.zip", tmp_path / "again")


def test_the_command_says_how_to_plan_again_or_what_is_wrong(
    add_frame: Callable[..., Path],
    config_of: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add_frame("bias/1.fits", "bias")
    bundle, folder = write_bug_report(config_of()), tmp_path / "again"
    monkeypatch.setattr("sys.argv", ["bug_report", str(bundle), str(folder)])
    assert main() == 0
    assert capsys.readouterr().out == f"snakemake --directory {folder} -n masters\n"
    assert [path.name for path in folder.rglob("*.fits")] == ["1.fits"]
    assert main() == 1
    assert "is not empty: choose a new folder" in capsys.readouterr().err
