"""Files with unusual names are used like any other; pipes and devices are never opened."""

from __future__ import annotations

import csv
import os
import socket
from collections.abc import Callable
from contextlib import closing
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from calmasters.commands.summary import summarize
from calmasters.frame import Status
from calmasters.headers.fits_cards import Card
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import write_master
from calmasters.model.job import LeftOut, MasterJob
from calmasters.model.layout import job_path_of
from calmasters.model.master_record import header_cards
from calmasters.planning.checkpoint import refresh_plan
from calmasters.planning.planner import decide
from calmasters.settings import Settings

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")

NAMES = (
    b"line\nbreak.fits", b"tab\tand return\r.fits", b"quo'te\".fits", b"-dash.fits", b"  .fits",
    b"no text \xff\xfe.fits", b"x" * 250 + b".fits", b"{name}.fits", b"<output>.fits", b"%s.fits",
    b"$(touch x).fits", b"; rm -rf x.fits", b"=cmd().fits", b"<script>.fits",
    "\u202ertl.fits".encode(), "\ufffe.fits".encode(), b"#include *.fits", b"back\\slash.fits",
)  # fmt: skip
FOLDER = os.fsdecode(b"fol\nder \xff {x}/")


@pytest.fixture
def names(add_frame: Callable[..., Path]) -> list[str]:
    """Biases with unusual names, some in a folder with an unusual name."""
    paths = [
        (FOLDER if number % 3 else "") + os.fsdecode(name) for number, name in enumerate(NAMES)
    ]
    for path in paths:
        add_frame(path)
    return sorted(paths)


def test_frames_of_any_name_are_used(settings: Settings, names: list[str]) -> None:
    decision = refresh_plan(settings)
    assert sorted(decision.verdicts) == names
    assert {verdict.status for verdict in decision.verdicts.values()} == {Status.USED}
    (job,) = decision.jobs
    stored = (settings.output_dir / job_path_of(job.master)).read_text(encoding="ascii")
    assert MasterJob.from_json(stored) == job
    assert all((settings.input_dir / frame.path).is_file() for frame in job.frames)
    assert "masterBias" in summarize(decision)


def test_the_table_has_a_row_for_each_name_and_no_formula(
    settings: Settings, names: list[str]
) -> None:
    refresh_plan(settings)
    text = (settings.output_dir / "inventory.csv").read_bytes()
    rows = [*csv.DictReader(StringIO(text.decode("utf-8", "surrogateescape"), newline=""))]
    assert [os.path.normpath(row["path"]) for row in rows] == names
    assert not [row["path"] for row in rows if row["path"].startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("ending", ["xisf", "fits"])
def test_any_name_can_be_written_to_a_header(
    settings: Settings, names: list[str], ending: str
) -> None:
    (job,) = refresh_plan(settings).jobs
    cards = header_cards(job, [LeftOut(name, "is empty") for name in names])
    path = settings.output_dir / f"master.{ending}"
    write_master(path, np.ones((3, 4), np.float32), [*cards, Card("LAST", 7)])
    assert read_cards(path)["LAST"] == 7


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_sockets_and_devices_are_refused_and_never_opened(
    settings: Settings, add_frame: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = add_frame("valid.fits").parent
    # The path of a socket must be short.
    monkeypatch.chdir(folder)
    os.mkfifo("pipe.fits")
    Path("to_pipe.fits").symlink_to("pipe.fits")
    Path("zero.fits").symlink_to("/dev/zero")
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind("socket.fits")
        verdicts = decide(settings).verdicts
    refused = {path: verdict for path, verdict in verdicts.items() if path != "valid.fits"}
    assert sorted(refused) == ["pipe.fits", "socket.fits", "zero.fits"]
    assert all("is not a regular file" in verdict.reason for verdict in refused.values())
