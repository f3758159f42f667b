from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from calmasters.inventory.checked_json import read_checked, write_checked
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.listing import list_files
from calmasters.inventory.scan import scan_frames
from calmasters.planning.plan_file import Plan
from calmasters.planning.planner import decide
from calmasters.settings import Settings


def digests(settings: Settings, ctime_is_change_time: bool = True) -> dict[str, str]:
    contents = ContentDigests(settings, ctime_is_change_time)
    files = contents.add_digests(scan_frames(settings), settings.input_dir)
    contents.save()
    return {file.path: file.content for file in files}


def rewrite(path: Path) -> None:
    """Change a byte, but neither size nor modification time."""
    mtime_ns = path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(mtime_ns, mtime_ns))


def settle() -> None:
    """Wait until the written files are old enough to be cached."""
    time.sleep(2.1)


def change(cache: Path, before: str, after: str) -> None:
    """Replace a text in a cache, so that it still counts as whole."""
    text = json.dumps(read_checked(cache))
    assert before in text
    write_checked(cache, json.loads(text.replace(before, after)))


@pytest.mark.skipif(os.name == "nt", reason="st_ctime is the time of creation")
def test_files_are_read_again_only_after_a_change(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    path = add_frame("a.fits")
    settle()
    first = digests(settings)
    cache = settings.output_dir / ".cache" / "contents.json"
    # A changed cache entry is returned, which shows that the file was not read.
    change(cache, first["a.fits"], "cached")
    assert digests(settings) == {"a.fits": "cached"}
    path.touch()
    assert digests(settings) == first
    rewrite(path)
    assert digests(settings) != first


def test_a_recently_written_file_is_read_again(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    path = add_frame("a.fits")
    first = digests(settings)
    rewrite(path)
    assert digests(settings) != first


def test_without_a_change_time_files_are_always_read(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    add_frame("a.fits")
    settle()
    first = digests(settings)
    cache = settings.output_dir / ".cache" / "contents.json"
    change(cache, first["a.fits"], "cached")
    assert digests(settings, ctime_is_change_time=False) == first


def test_a_digest_that_was_changed_in_the_cache_is_not_believed(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    add_frame("a.fits")
    settle()
    first = digests(settings)
    cache = settings.output_dir / ".cache" / "contents.json"
    cache.write_text(cache.read_text().replace(first["a.fits"], first["a.fits"][::-1]))
    assert digests(settings) == first


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"a": []}'])
def test_a_damaged_cache_is_ignored(
    settings: Settings, add_frame: Callable[..., Path], damage: str
) -> None:
    add_frame("a.fits")
    first = digests(settings)
    cache = settings.output_dir / ".cache" / "contents.json"
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(damage)
    assert digests(settings) == first


def test_files_that_cannot_be_opened_have_no_digest_and_do_not_block(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    path = add_frame("a.fits")
    path.with_name("link.fits").symlink_to("nowhere")
    if hasattr(os, "mkfifo"):
        os.mkfifo(path.with_name("pipe.fits"))
    by_path = digests(settings)
    assert by_path.pop("a.fits")
    assert set(by_path.values()) == {""}


def test_the_time_of_a_frame_matters_with_stat_but_not_with_content(
    make_settings: Callable[..., Settings], add_frame: Callable[..., Path]
) -> None:
    paths = [add_frame(f"{number}.fits") for number in range(3)]
    stat, content = make_settings(), make_settings(fingerprint="content")
    before = {
        each.fingerprint: (list_files(each).digest, Plan.of(decide(each)))
        for each in (stat, content)
    }
    os.utime(paths[0], ns=(0, 0))
    assert list_files(content).digest == before["content"][0]
    assert Plan.of(decide(content)) == before["content"][1]
    assert list_files(stat).digest != before["stat"][0]
    assert Plan.of(decide(stat)) != before["stat"][1]
    mtime_ns = paths[1].stat().st_mtime_ns
    rewrite(paths[1])
    assert paths[1].stat().st_mtime_ns == mtime_ns
    assert list_files(content).digest != before["content"][0]
    assert Plan.of(decide(content)) != before["content"][1]
