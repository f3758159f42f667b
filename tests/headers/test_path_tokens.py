from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from calmasters.headers.path_tokens import path_tokens, type_from_folder, type_from_name

KEYWORDS = ("INSTRUME", "SET-TEMP", "GAIN", "OFFSET", "READOUTM", "FILTER", "EXPOSURE")


def tokens(path: str) -> dict[str, str]:
    return dict(path_tokens(PurePosixPath(path), KEYWORDS))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "masterDark_BIN-1_6248x4176_EXPOSURE-300.00s.xisf",
            {"BINNING": "1", "EXPOSURE": "300.00s"},
        ),
        ("masterFlat_BIN-2_3124x2088_FILTER-Ha_mono.xisf", {"BINNING": "2", "FILTER": "Ha"}),
        (
            "masterBias_SETTEMP_-10.00_GAIN_100_OFFSET_50_INSTRUME_ATR585M_READOUTM_Low Noise.xisf",
            {
                "SET-TEMP": "-10.00",
                "GAIN": "100",
                "OFFSET": "50",
                "INSTRUME": "ATR585M",
                "READOUTM": "Low Noise",
            },
        ),
        (
            "MASTER FLAT/ATR585M/DATE_2026-01-15/masterFlat_FILTER_B_GAIN_100_BIN_2x2.xisf",
            {"DATE": "2026-01-15", "FILTER": "B", "GAIN": "100", "BINNING": "2x2"},
        ),
        (
            "masterDark_EXPOSURE-60.00_INSTRUME-ATR585M_SETTEMP--10.00_GAIN-100.fits.fz",
            {"EXPOSURE": "60.00", "INSTRUME": "ATR585M", "SET-TEMP": "-10.00", "GAIN": "100"},
        ),
        ("GAIN_7.fits.gz", {"GAIN": "7"}),
        ("DATE-OBS-2026-01-15_x.fits", {"DATE": "2026-01-15"}),
    ],
    ids=["WBPP dark", "WBPP flat", "ap-create-master", "ap library", "ours", "zipped", "DATE-OBS"],
)
def test_tokens_of_the_names_of_every_program(name: str, expected: dict[str, str]) -> None:
    assert tokens(name) == expected


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("masterBias_GAIN-1.xisf", "bias"),
        ("MasterDark.fit", "dark"),
        ("MASTER DARKFLAT_1s.fit", "dark"),
        ("master_flat-dark_1s.fit", "dark"),
        ("masterFlat_B.xisf", "flat"),
        ("superbias.fits", "bias"),
        ("master.fits", None),
        ("my masterBias.fits", None),
    ],
)
def test_the_type_in_the_name_of_a_master(name: str, kind: str | None) -> None:
    assert type_from_name(PurePosixPath("flat") / name) == kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("Darks/x.fits", "dark"),
        ("BIAS/x.fits", "bias"),
        ("offsets/x.fits", "bias"),
        ("bias frames/x.fits", "bias"),
        ("FLAT_2026-01-15/x.fits", "flat"),
        ("2026-01-15 Flats/x.fits", "flat"),
        ("dark 300s -10C/x.fits", "dark"),
        ("Dark-Flats/x.fits", "dark"),
        ("CALI_FRAME/dark/cam_0/x.fits", "dark"),
        ("FLAT/SQA55+ASCOM.ToupTek.Camera/DATE_2026-01-15_OFFSET_150/x.fits", "flat"),
        ("DARK/lights/x.fits", "light"),
        ("Dark Shark Nebula/x.fits", None),
        ("Flatiron/x.fits", None),
        ("2026/x_dark.fits", None),
        ("dark.fits", None),
        ("300/x.fits", None),
    ],
)
def test_the_type_in_the_name_of_a_folder(path: str, kind: str | None) -> None:
    assert type_from_folder(PurePosixPath(path)) == kind
