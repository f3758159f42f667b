from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.listing import list_files
from calmasters.inventory.scan import scan_frames
from calmasters.planning.plan_file import Plan
from calmasters.planning.planner import decide
from calmasters.settings import Settings


def digests(settings: Settings, tells_changes: bool = True) -> dict[str, str]:
    contents = ContentDigests(settings, tells_changes)
    found = contents.identify(scan_frames(settings), settings.input_dir)
    contents.save()
    return {file.path: file.content for file in found}


def rewrite(path: Path) -> None:
    """Change a byte; size and time stay."""
    mtime_ns = path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(mtime_ns, mtime_ns))


def settle() -> None:
    """Wait until what was written counts as settled."""
    time.sleep(2.1)


@pytest.mark.skipif(os.name == "nt", reason="st_ctime is the time of creation")
def test_files_are_read_once_until_they_are_touched(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    path = add_frame("a.fits")
    settle()
    first = digests(settings)
    cache = settings.output_dir / ".cache" / "contents.json"
    # What is remembered is believed: that is how one sees that the file was not read.
    cache.write_text(cache.read_text().replace(first["a.fits"], "remembered"))
    assert digests(settings) == {"a.fits": "remembered"}
    path.touch()
    assert digests(settings) == first
    rewrite(path)
    assert digests(settings) != first


def test_a_file_of_this_moment_is_read_again(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    path = add_frame("a.fits")
    first = digests(settings)
    rewrite(path)
    assert digests(settings) != first


def test_where_no_time_tells_a_change_each_file_is_read_each_time(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    add_frame("a.fits")
    settle()
    first = digests(settings)
    cache = settings.output_dir / ".cache" / "contents.json"
    cache.write_text(cache.read_text().replace(first["a.fits"], "remembered"))
    assert digests(settings, tells_changes=False) == first


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"a": []}'])
def test_a_damaged_cache_is_survived(
    settings: Settings, add_frame: Callable[..., Path], damage: str
) -> None:
    add_frame("a.fits")
    first = digests(settings)
    cache = settings.output_dir / ".cache" / "contents.json"
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(damage)
    assert digests(settings) == first


def test_what_cannot_be_opened_has_no_digest_and_holds_nothing_up(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    path = add_frame("a.fits")
    path.with_name("link.fits").symlink_to("nowhere")
    if hasattr(os, "mkfifo"):
        os.mkfifo(path.with_name("pipe.fits"))
    found = digests(settings)
    assert found.pop("a.fits")
    assert set(found.values()) == {""}


def test_with_content_the_time_of_a_frame_does_not_matter_and_with_stat_it_does(
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
