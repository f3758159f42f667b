from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from calmasters.headers.path_tokens import (
    key_pattern,
    master_type_from_name,
    path_tokens,
    type_from_folder,
    type_from_name,
    typed_folder,
)

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
        ("GAIN_7.fits.bz2", {"GAIN": "7"}),
        ("DATE-OBS-2026-01-15_x.fits", {"DATE": "2026-01-15"}),
    ],
    ids=[
        "WBPP dark",
        "WBPP flat",
        "ap-create-master",
        "ap library",
        "ours",
        "gzip",
        "bzip2",
        "DATE-OBS",
    ],
)
def test_tokens_of_the_names_of_every_program(name: str, expected: dict[str, str]) -> None:
    assert tokens(name) == expected


@pytest.mark.parametrize(
    ("key", "keyword"),
    [
        ("SETTEMP", "SET-TEMP"),
        ("SET-TEMP", "SET-TEMP"),
        ("EXP", "EXPOSURE"),
        ("EXPTIME", "EXPOSURE"),
        ("EXPOSURE", "EXPOSURE"),
        ("CAMERA", "INSTRUME"),
        ("INSTRUME", "INSTRUME"),
        ("IMAGETYP", "TYPE"),
        ("TYPE", "TYPE"),
        ("DATE", "DATE"),
        ("DATE-OBS", "DATE"),
        ("BIN", "BINNING"),
        ("BINNING", "BINNING"),
        ("GAIN", "GAIN"),
    ],
)
def test_a_key_may_have_several_names(key: str, keyword: str) -> None:
    assert tokens(f"{key}_1/x.fits") == tokens(f"a_{key}-1.fits") == {keyword: "1"}
    assert key_pattern(KEYWORDS).search(f"a_{key}-1.fits")
    assert key_pattern(KEYWORDS).search(f"{key}_1.fits")


@pytest.mark.parametrize("name", ["masterbias.fits", "Super_dark.fits"])
def test_the_name_of_a_master_is_searched_for_tokens(name: str) -> None:
    assert key_pattern(KEYWORDS).search(name)
    assert not key_pattern(KEYWORDS).search(f"my {name}")


@pytest.mark.parametrize(
    "key",
    ["INSTRUME", "SET-TEMP", "SETTEMP", "GAIN", "READOUTM", "FILTER", "EXPOSURE", "EXP", "EXPTIME",
     "TELESCOP", "FOCALLEN", "CAMERA", "DATE", "DATE-OBS", "BIN", "BINNING", "TYPE", "IMAGETYP"],
)  # fmt: skip
def test_values_of_settings_are_no_words_for_types(key: str) -> None:
    for name in (f"flat_{key}_dark", f"flat_{key}-dark_1", f"{key}_dark_flat"):
        assert type_from_folder(PurePosixPath(name) / "x.fits") == "flat"
        assert type_from_name(PurePosixPath(f"{name}.fits")) == "flat"


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
    assert master_type_from_name(PurePosixPath("flat") / name) == kind


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
        ("2026/Flats/Ha/x.fits", "flat"),
        ("Flats/Bias/x.fits", "bias"),
        ("FLAT/SQA55+ASCOM.ToupTek.Camera/DATE_2026-01-15_OFFSET_150/x.fits", "flat"),
        ("DARK/lights/x.fits", "light"),
        ("Dark Shark Nebula/x.fits", None),
        ("Flatiron/x.fits", None),
        ("2026/x_dark.fits", None),
        ("dark.fits", None),
        ("300/x.fits", None),
        ("Flats/Darks and Flats/x.fits", None),
        ("Flats/DATE_2026-01-15_OFFSET_150_READOUTM_Low Noise/x.fits", "flat"),
        ("2026/DATE_2026-01-15_OFFSET_150_READOUTM_Low Noise/x.fits", None),
        ("2026/GAIN_100_OFFSET_150_FILTER_Dark/x.fits", None),
        ("Darks/gain_100/offset_50/x.fits", "dark"),
    ],
)
def test_the_type_in_the_name_of_a_folder(path: str, kind: str | None) -> None:
    assert type_from_folder(PurePosixPath(path)) == kind


def test_folders_with_a_type_and_their_names() -> None:
    assert typed_folder(PurePosixPath("M31/flat_Ha/1/x.fits")) == ("flat_Ha", "flat")
    assert typed_folder(PurePosixPath("M31/x.fits")) is None


#: Names of folders or files, by the type that they name.
NAMES = {
    "bias": """
        BIAS|offsets|Offset|Bias Frames|bias-0001|2019-09-20_Bias_M1_000|OFFSET_ISO800|biais
        offset_0001|offset 2026-01-15|Bias Newton|Flat-Bias|zeros|Nullbilder|superbias
        Bias_1.0ms_Bin1_2600MM_gain100_20240101-200000_-10.0C_0001|BIAS_OFFSET_150_GAIN_100
    """,
    "dark": """
        Darks|dark flat|flatdarks|FlatDark|darks de PLU|darks for flats|dark300s_001|Dunkel
        Dunkelbilder|noirs|Dark Library|dark_offset50|Darks_M31|Dark Frames Newton|oscuros
        Dark_300.0s_Bin1_2600MM_gain100_20240101-200000_-10.0C_0001|Darks 10ms
        autosave001 Dark 10.0secs 00000012
    """,
    "flat": """
        Flats|flat_Ha|PLU|flatsHa|FlatR1|Vflat_001|Flats Newton|Newton_Flats|Hellbild|Hellbilder
        Weißbilder|planos|campo plano|FlatWizard|SkyFlats|sky_flats_R|flat_SQA55|Flat_V_003|flat-_1
        2019-09-20_Flat_600|Twilight Flats|M31_Flat_Ha_001|Flat Frames Askar|rawflats|flat-Ha-001
        2flat|2026-01-15_21-00-00_FLAT_L_-10.00_1.50s_0001|flat_asi1600_newton10_green
    """,
    "light": "Lights|Light|M31_Light_001|Light_Ha",
    None: """
        Dark Shark|Dark Shark Nebula|Flat Top nebula|Flatiron|Light Echo|Dark Doodad|DARK_TOWER
        Dark Sky Park|Dark Sky 2026|Salt Flats|Target_001|gain100_offset150|offset 50|Offset-150
        FILTER_Dark|Darks and Flats|Darks_Flats|Bias_Dark_Flat|bias+darks|dark_stacked|M31 plus
        bias_stacked|darken|Calibration|Ground Zero|Flats William Optics|Zero Dark Thirty|Biasca
        Lighthouse|dark-nebula-001|m51-_000
    """,
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name.strip(), kind)
        for kind, lines in NAMES.items()
        for line in lines.split("\n")
        for name in line.split("|")
        if name.strip()
    ],
)
def test_types_in_names_of_folders_and_files(name: str, kind: str | None) -> None:
    assert type_from_folder(PurePosixPath(name) / "x.fits") == kind
    assert type_from_name(PurePosixPath("flat", f"{name}.fits.gz")) == kind
