from __future__ import annotations

import pytest

from calmasters.inventory.other_files import is_system_folder, problem_of_format


@pytest.mark.parametrize(
    ("name", "reason", "remedy"),
    [
        ("bias.ser", "is a video (SER) with many frames in one file", "split videos into FITS"),
        ("Capture.AVI", "is a video (AVI) with many frames in one file", "split videos into FITS"),
        ("dark.tif", "is a TIFF image", 'exclude processed images: ["*.tif"]'),
        ("a.fits.Z", "is compressed in a format that is not read (.fits.z)", "with uncompress;"),
        ("a.FIT.zst", "is compressed in a format that is not read (.fit.zst)", "with zstd -d;"),
        ("a.fts.xz", "is compressed in a format that is not read (.fts.xz)", "with unxz;"),
        ("a.xisf.gz", "is compressed in a format that is not read (.xisf.gz)", "with gunzip;"),
    ],
)
def test_other_formats_have_a_reason_and_a_remedy(name: str, reason: str, remedy: str) -> None:
    fault, _, advice = problem_of_format(name).partition("; ")
    assert fault.startswith(reason)
    assert remedy in advice


@pytest.mark.parametrize(
    "name",
    [
        "a.fits",
        "IMG_1.CR2",
        "a.fits.bz2",
        "a.xisf",
        "preview.jpg",
        "preview.png",
        "a.mp4",
        "log.txt",
    ],
)
def test_frames_previews_and_text_have_no_problem(name: str) -> None:
    assert problem_of_format(name) == ""


@pytest.mark.parametrize(
    "name", ["#recycle", "$RECYCLE.BIN", "@Recycle", "System Volume Information", "@eaDir"]
)
def test_recycle_bins_and_folders_of_the_system_are_recognized(name: str) -> None:
    assert is_system_folder(name)
    assert not is_system_folder(f"{name} 2")
