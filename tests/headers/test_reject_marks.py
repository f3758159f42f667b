from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import PurePosixPath

import pytest

from calmasters.headers.reject_marks import exclude_pattern, is_marked_name


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("Flats/BAD/x.fits", "BAD"),
        ("Rejected/2026/x.fits", "Rejected"),
        ("bad frames/x.fits", "bad frames"),
        ("rejected_flats 2026-01-15/x.fits", "rejected_flats 2026-01-15"),
        ("bad [1]/x.fits", "bad [[]1]"),
        ("BAD_flat_0001.fits", "BAD_*"),
        ("n/flat_0001_rejected.fits.gz", "*_rejected.*"),
        ("flat-bad-0001.fits", "*-bad-*"),
    ],
)
def test_the_pattern_leaves_out_the_marked_frame(path: str, pattern: str) -> None:
    assert exclude_pattern(PurePosixPath(path)) == pattern
    assert any(fnmatchcase(part, pattern) for part in path.split("/"))


@pytest.mark.parametrize(
    "path", ["Bad Homburg/x.fits", "baden/x.fits", "badpixel/x.fits", "flats/good_1.fits"]
)
def test_other_names_are_not_marked(path: str) -> None:
    assert exclude_pattern(PurePosixPath(path)) == ""
    assert not is_marked_name(PurePosixPath(path).name)


@pytest.mark.parametrize(
    "word",
    ["bad", "reject", "rejects", "rejected", "trash", "discard", "discarded", "deleted", "delete",
     "junk", "garbage", "unusable", "ausschuss", "schlecht", "papierkorb", "rejet", "rejets",
     "mauvais", "scarti", "descartados"],
)  # fmt: skip
def test_each_word_marks_folders_and_files(word: str) -> None:
    assert exclude_pattern(PurePosixPath(f"2026/{word.upper()}_2/x.fits")) == f"{word.upper()}_2"
    assert exclude_pattern(PurePosixPath(f"2026/{word}_1.fits")) == f"{word}_*"
    assert is_marked_name(f"flat_{word}.fits")


@pytest.mark.parametrize(
    "word",
    ["bias", "biases", "offset", "offsets", "dark", "darks", "flat", "flats", "light", "lights",
     "frame", "frames", "sub", "subs", "file", "files", "image", "images", "fits", "my", "the",
     "old"],
)  # fmt: skip
def test_some_words_may_stand_beside_the_mark(word: str) -> None:
    for folder in (f"{word} bad", f"Bad_{word.upper()}"):
        assert exclude_pattern(PurePosixPath(folder, "x.fits")) == folder
