from __future__ import annotations

import os
from pathlib import Path

import pytest

from calmasters.atomic_files import write_whole
from calmasters.running.previous_masters import restore, restore_needed, save

MASTER = "masters/dark/masterDark.xisf"
NUMBERS = "masters/dark/masterDark.json"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A directory with a master of long ago that is about to be made again."""
    write_whole(tmp_path / MASTER, "old pixels", mtime_ns=10**18)
    write_whole(tmp_path / NUMBERS, "old numbers", mtime_ns=10**18)
    save(tmp_path, [MASTER, "masters/dark/never made.xisf"])
    assert restore_needed(tmp_path)
    return tmp_path


def lose(output: Path, *files: str) -> None:
    for file in files:
        (output / file).unlink()


def test_a_second_name_takes_no_room(output: Path) -> None:
    assert (output / MASTER).stat().st_nlink == 2


def test_a_master_that_is_gone_comes_back_as_it_was(output: Path) -> None:
    lose(output, MASTER, NUMBERS)
    assert restore(output) == [MASTER]
    assert (output / MASTER).read_text() == "old pixels"
    assert (output / NUMBERS).read_text() == "old numbers"
    assert (output / MASTER).stat().st_mtime_ns == 10**18
    assert not restore_needed(output)


def test_a_master_that_was_made_stays_and_the_old_one_is_forgotten(output: Path) -> None:
    lose(output, MASTER, NUMBERS)
    write_whole(output / MASTER, "new pixels")
    write_whole(output / NUMBERS, "new numbers")
    assert restore(output) == []
    assert (output / MASTER).read_text() == "new pixels"
    assert (output / NUMBERS).read_text() == "new numbers"
    assert not restore_needed(output)


def test_old_numbers_are_never_put_beside_new_pixels(output: Path) -> None:
    lose(output, MASTER, NUMBERS)
    write_whole(output / MASTER, "new pixels")
    restore(output)
    assert not (output / NUMBERS).exists()


def test_new_numbers_give_way_where_the_old_pixels_come_back(output: Path) -> None:
    lose(output, MASTER)
    write_whole(output / NUMBERS, "new numbers")
    assert restore(output) == [MASTER]
    assert (output / NUMBERS).read_text() == "old numbers"


def test_what_was_kept_first_stays_kept(output: Path) -> None:
    lose(output, MASTER)
    write_whole(output / MASTER, "half")
    save(output, [MASTER])
    lose(output, MASTER)
    restore(output)
    assert (output / MASTER).read_text() == "old pixels"


def test_where_files_have_one_name_only_a_copy_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no second names on this disk")

    monkeypatch.setattr(os, "link", refuse)
    write_whole(tmp_path / MASTER, "old pixels", mtime_ns=10**18)
    save(tmp_path, [MASTER])
    assert (tmp_path / MASTER).stat().st_nlink == 1
    lose(tmp_path, MASTER)
    assert restore(tmp_path) == [MASTER]
    assert (tmp_path / MASTER).read_text() == "old pixels"
    assert (tmp_path / MASTER).stat().st_mtime_ns == 10**18
