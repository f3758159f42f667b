"""The engine check finds planted differences, and says nothing about who ran it."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from jobs_for_pixinsight import Program
from real_workflow import Workflow

from calmasters.commands.redaction import Redaction
from calmasters.comparison.masters import compare_cards, compare_pixels
from calmasters.engine_check.cases import CAMERA, CASES, Case, default_config, merged
from calmasters.engine_check.check import check_engine
from calmasters.engine_check.result import (
    CheckResult,
    Outcome,
    different_counts,
    different_factors,
)
from calmasters.engine_check.table import heading
from calmasters.errors import ConfigError, EngineError
from calmasters.headers.fits_cards import Card
from calmasters.images.master_file import write_master
from calmasters.model.master_record import FrameStatistics
from calmasters.synthetic.camera import Camera

#: The stand-in takes a millisecond for each pixel.
SMALL = Camera(width=24, height=16, dark_rate_adu_s=1.0, hot_pixels=0.1)

BY_NAME = {case.name: case for case in CASES}


class Site:
    """An installed application, and a user who checks it."""

    def __init__(self, folder: Path, program: Program) -> None:
        self.folder, self.program = folder, program
        self.shown: list[str] = []
        self.options: dict[str, Any] = {"session": "shared", "js_engine": "sm"}
        self.engine = "pixinsight"

    @property
    def archive(self) -> Path:
        return self.folder / "output" / f"engine_check_{self.engine}.zip"

    @property
    def config(self) -> dict[str, Any]:
        return merged(
            default_config(),
            {
                "engine": self.engine,
                "input_dir": str(self.folder / "frames that are not there"),
                "output_dir": str(self.folder / "output"),
                "pixinsight": {"binary": str(self.program.binary), **self.options},
            },
        )

    def plant(self, *names: str) -> None:
        text = self.program.binary.read_text(encoding="utf-8")
        planted = text.replace("-m standin", f"-m planted {','.join(names)}")
        self.program.binary.write_text(planted, encoding="utf-8")

    def check(self, *names: str, camera: Camera = SMALL) -> CheckResult:
        """Check some cases, by their names; all without any."""
        cases: Sequence[Case] = [BY_NAME[name] for name in names] or CASES
        return check_engine(self.config, self.shown.append, cases, camera)

    def fail(self, *names: str) -> str:
        """Check some cases, of which one is not good; return what was shown."""
        with pytest.raises(EngineError, match="does not make the expected masters"):
            self.check(*names)
        return "\n".join(self.shown)

    def found(self) -> list[dict[str, Any]]:
        """What the zip says of the cases."""
        return list(json.loads(self.texts()["check.json"])["cases"])

    def texts(self) -> dict[str, str]:
        with ZipFile(self.archive) as archive:
            return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture
def checked(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> Site:  # fmt: skip
    monkeypatch.setenv("CALMASTERS_PIXINSIGHT", "")  # restored after the test
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    return Site(tmp_path, program)


def test_every_case_of_a_sound_pixinsight_agrees_and_only_the_zip_is_left(
    checked: Site, tmp_path: Path
) -> None:
    checked.options["session"] = "per_master"
    result = checked.check()
    assert {each.outcome for each in result.cases} == {Outcome.SAME}
    assert all(each.pixels and each.pixels.pixels == 0 for each in result.cases)
    # The rejections and the factors were compared, and are not all zero.
    assert all(each.counts == [] for each in result.cases)
    assert [each.case.name for each in result.cases if each.factors == []] == [
        "flat, bias and dark scaled",
        "flat, colour mosaic",
    ]
    # The first master by an application of its own, all others by one.
    assert len(checked.program.pids()) == 2
    files = [path for path in (tmp_path / "output").rglob("*") if path.is_file()]
    assert files == [checked.archive]
    assert [*(tmp_path / "temporary").iterdir()] == []
    assert max(map(len, "\n".join(checked.shown[:-2]).splitlines())) <= 100
    texts = checked.texts()
    assert '"rejected":[[' in texts["01-bias/status.json"]
    assert texts["03-flat-bias-and-dark-scaled/script.js"].startswith("// Makes one master")
    assert json.loads(texts["check.json"])["versions"]["PixInsight"] == "1.9.3"


def test_a_pixel_a_keyword_and_a_count_that_differ_are_found(checked: Site) -> None:
    checked.plant("one_pixel", "keyword", "missing_count")
    shown = checked.fail("bias")
    (bias,) = checked.found()
    assert bias["pixels"]["pixels"] == 1
    assert (bias["pixels"]["x"], bias["pixels"]["y"]) == (5, 3)
    assert bias["cards"] == {"GAIN": [101, 100]}
    assert any("not reported" in count for count in bias["counts"])
    assert "1 of 384 differ" in shown
    assert "GAIN: 101, expected 100" in shown


@pytest.mark.parametrize(
    ("planted", "case", "shown"),
    [
        ("big_int", "dark", "TypeError: a BigInt"),
        ("profile_189", "flat, bias and dark not scaled", "no parameter 'cosmeticCorrectionLow'"),
        ("flipped", "rows bottom-up", "384 differ"),
    ],
)
def test_a_fault_of_one_version_is_found_by_its_case(
    checked: Site, planted: str, case: str, shown: str
) -> None:
    if planted == "profile_189":
        checked.program.behave(version="1.8.9")
    checked.plant(planted)
    text = checked.fail("bias", case)
    assert shown.lower() in " ".join(text.split()).lower()
    assert Outcome.SAME not in checked.found()[-1]["outcome"]


def test_an_application_that_does_not_start_is_explained_and_tried_once(checked: Site) -> None:
    checked.program.behave(version="1.9.4", has_legacy_engine=False)
    checked.options["session"] = "per_master"
    shown = checked.fail("bias", "dark", "signed 16 bits")
    assert len(checked.program.pids()) == 1
    assert "set pixinsight: {js_engine: v8}" in " ".join(shown.split())
    assert "last lines of its output:" in shown
    assert "GLES: MESA-LOADER" in shown
    assert shown.count("not tried") >= 2
    assert "01-bias/log.txt in the zip" in " ".join(shown.split())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux finds its display so")
def test_a_missing_display_is_named(checked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    checked.program.behave(version="1.9.4", has_legacy_engine=False)
    shown = checked.fail("bias")
    assert "there is no display (DISPLAY is not set): run 'xvfb-run" in " ".join(shown.split())


def test_an_application_that_is_not_there_is_an_error_at_once(checked: Site) -> None:
    checked.options["binary"] = str(checked.folder / "nowhere" / "PixInsight.sh")
    with pytest.raises(ConfigError, match=r"pixinsight.binary: there is no file"):
        checked.check()
    assert checked.shown == []
    assert not checked.archive.exists()


def test_the_native_engine_has_no_application(checked: Site) -> None:
    checked.engine = "native"
    with pytest.raises(ConfigError, match="engine=NAME, with pixinsight or siril"):
        checked.check()


@pytest.mark.skipif(not shutil.which("siril-cli"), reason="Siril is not installed")
def test_siril_agrees_in_what_it_supports(checked: Site) -> None:
    checked.engine = "siril"
    result = checked.check("bias", "flat, colour mosaic", "unusual names", camera=CAMERA)
    outcomes = [Outcome.SAME, Outcome.UNSUPPORTED, Outcome.SAME]
    assert [each.outcome for each in result.cases] == outcomes
    assert [each.counts for each in result.cases] == [None] * 3
    assert "optimizeDarks: true is not supported by engine siril" in checked.shown[-2]


def test_snakemake_checks_without_frames_and_fails_with_the_reason(
    tmp_path: Path, program: Program
) -> None:
    program.behave(version="1.9.4", has_legacy_engine=False)
    workflow = Workflow(tmp_path / "empty")
    workflow.directory.mkdir()
    binary = f"binary: {program.binary}, session: shared, js_engine: sm"
    settings = ("--config", "engine=pixinsight", f"pixinsight={{{binary}}}")
    lines = workflow.show("engine_check", *settings, succeeds=False)
    assert heading() in lines
    assert any(line.startswith("bias ") and line.endswith("-") for line in lines)
    assert "pixinsight: {js_engine: v8}" in " ".join(" ".join(lines).split())
    assert lines[-1] == "Failed: engine_check: its message is above"
    made = {path.name for path in workflow.directory.iterdir()} | {
        path.name for path in workflow.output.iterdir()
    }
    assert made == {".snakemake", "output", "engine_check_pixinsight.zip"}


# --- no personal paths ----------------------------------------------------------------------------


def test_the_zip_does_not_say_who_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checked: Site
) -> None:
    home = tmp_path / "Häuser#1" / "Otto Müller"
    home.mkdir(parents=True)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "ottomüller7")
    temporary = home / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    program = Program(home / "PixInsight of ottomüller7")
    program.install()
    checked.folder, checked.program = home, program
    checked.check("bias", "unusual names")
    texts = checked.texts()
    assert len(texts) > 8
    personal = (
        "otto",
        socket.gethostname().lower(),
        "häuser",
        "h\\u00e4user",
        str(tmp_path).lower(),
        "<home>/frames",
    )
    found = {
        name: word for name, text in texts.items() for word in personal if word in text.lower()
    }
    assert found == {}
    assert "<home>" in texts["check.json"]
    assert "<folder>" in texts["01-bias/script.js"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data/jo/frames/a.fits", "<input_dir>/a.fits"),
        ('"/data/jo/frames"', '"<input_dir>"'),
        ("/data/jo/frames2/a.fits", "<home>/frames2/a.fits"),
        ("/data/joan/a.fits", "/data/joan/a.fits"),
        ("//nas/J\\u00fcrgen\\u0023/x", "//nas/J\\u00fcrgen\\u0023/x"),
        ("by jo@desk, join", "by <name>@<name>, join"),
        (r"C:\\Users\\anna\\x and C:\Users\anna\x", r"C:\\Users\\<name>\\x and C:\Users\<name>\x"),
        ("/Users/anna/Pictures", "/Users/<name>/Pictures"),
    ],
)
def test_placeholders_replace_whole_paths_and_names(text: str, expected: str) -> None:
    paths = {Path("/data/jo"): "<home>", Path("/data/jo/frames"): "<input_dir>", Path("/"): "<no>"}
    assert Redaction(paths, ["jo", "desk", "x", ""])(text) == expected


# --- comparisons ----------------------------------------------------------------------------------


def test_the_largest_difference_is_located() -> None:
    reference = CAMERA.bias / 65535
    image = reference.copy()
    image[7, 11] += 2 / 65535
    image[8, 0] += 1 / 65535
    found = compare_pixels(image, reference)
    assert (found.pixels, found.x, found.y) == (2, 11, 7)
    assert found.largest_adu == pytest.approx(2, abs=0.01)


def test_cards_that_every_file_has_of_its_own_do_not_count(tmp_path: Path) -> None:
    image = (CAMERA.bias / 65535).astype("float32")
    one, other = tmp_path / "one.xisf", tmp_path / "other.fits"
    write_master(one, image, [Card("GAIN", 100), Card("DATE", "2026-01-01")])
    write_master(other, image, [Card("GAIN", 100), Card("ROWORDER", "TOP-DOWN")])
    assert compare_cards(one, other) == {}
    write_master(other, image, [Card("GAIN", 101), Card("ROWORDER", "BOTTOM-UP")])
    assert compare_cards(one, other) == {
        "GAIN": (100, 101),
        "ROWORDER": ("TOP-DOWN", "BOTTOM-UP"),
    }


def test_counts_and_factors_that_differ_are_named_by_frame() -> None:
    expected = [FrameStatistics(f"{number}.fits", 1, 2, k=1.0) for number in range(3)]
    found = [expected[0], FrameStatistics("1.fits", 1, 5, k=None)]
    assert different_counts(found, expected) == [
        "frame 3: not combined",
        "frame 2, rejected as too high: 5, expected 2",
        "frame 3: not combined",
    ]
    assert different_factors(found, expected) == [
        "frame 2, factor of the dark: not reported, expected 1.0",
        "frame 3: not combined",
    ]
    assert different_factors(found[1:], found[1:]) is None
