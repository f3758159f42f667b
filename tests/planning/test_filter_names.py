"""Spellings of one filter are recognized, and those of two are not."""

from __future__ import annotations

import pytest

from calmasters.planning.filter_names import FilterName, filters_in_names, spellings


@pytest.mark.parametrize(
    "names",
    [
        "Ha|HA|ha|H-alpha|H alpha|H_Alpha|Halpha|H\u03b1|H-\u03b1|Ha 7nm|Hydrogen alpha",
        "Ha|Ha_7 nm|7nm Ha|Ha7|H-alpha (7.0 nm)",
        "OIII|O3|O-III|O III|oiii|OIII 6.5nm|O3 6,5 nm|Oxygen III",
        "SII|S2|S-II|sii|SII 8nm|Sulfur II|SII8|Sulphur-II",
        "Hb|H-beta|H\u03b2|HBeta 8.5nm|Hydrogen Beta",
        "NII|N2|N-II|Nitrogen II",
        "Luminance|luminance|LUMINANCE|Luminance filter",
        "UV/IR Cut|uv-ir cut|UVIRCUT",
        "L|l|Lum|LUM|Luminance|L filter",
        "R|Red|RED",
        "G|Green",
        "B|Blue",
        "Ha|Ha 656.3nm|HA 656nm",
    ],
)
def test_spellings_of_one_filter_are_recognized(names: str) -> None:
    values = names.split("|")
    assert [*spellings(values)] == [values]


@pytest.mark.parametrize(
    "names",
    [
        "R|r",
        "Red|r",
        "L|R",
        "Lum|Blue",
        "B|b",
        "g'|G",
        "B|V",
        "Ha|Hb",
        "Ha|OIII",
        "SII|SIII",
        "OIII|OII",
        "Ha 3nm|Ha 7nm",
        "Ha3|Ha7",
        "Ha 3nm|Ha 7nm|Ha",
        "3nm|7 nm",
        "L|L-eXtreme",
        "",
        "-|/",
        "ND1|ND2",
        "Filter 1|Filter 2",
    ],
)
def test_names_of_two_filters_are_not_spellings_of_one(names: str) -> None:
    assert [*spellings(names.split("|"))] == []


@pytest.mark.parametrize(
    ("text", "base", "bandwidth_nm"),
    [
        ("Ha 7nm", "ha", 7.0),
        ("Ha 99,9 nm", "ha", 99.9),
        ("Ha 100nm", "ha", None),
        ("656nm Ha 3nm", "ha", 3.0),
        ("OIII5", "oiii", 5.0),
        ("OIII5 7nm", "oiii", 7.0),
        ("O3 Filter", "oiii", None),
        ("r Filter", "r", None),
        ("(R)", "R", None),
        ("7nm", "", 7.0),
    ],
)
def test_a_number_is_a_bandwidth_below_the_shortest_wavelength(
    text: str, base: str, bandwidth_nm: float | None
) -> None:
    assert FilterName.of(text) == (base, bandwidth_nm)


def test_of_two_bandwidths_each_has_spellings_of_its_own() -> None:
    values = ["Ha 3nm", "H-alpha 3 nm", "Ha", "HA7", "Ha 7.0nm"]
    assert [*spellings(values)] == [["Ha 3nm", "H-alpha 3 nm"], ["HA7", "Ha 7.0nm"]]


@pytest.mark.parametrize(
    ("one", "other", "may_be"),
    [
        ("Ha 7nm", "H-alpha", True),
        ("Ha 7nm", "HA 7 nm", True),
        ("Ha", "HA", True),
        ("Ha 3nm", "Ha 7nm", False),
        ("Ha", "OIII", False),
        ("7nm", "7 nm", False),
    ],
)
def test_two_names_may_be_of_one_filter(one: str, other: str, may_be: bool) -> None:
    assert FilterName.of(one).may_be(FilterName.of(other)) is may_be


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["Flats/Flat_L_1.fits", "Flats/Flat_L_2.fits", "Flats/Flat_Ha_1.fits"], {"L": 2, "Ha": 1}),
        (["R/1.fits", "G/1.fits", "B/1.fits.fz"], {"R": 1, "G": 1, "B": 1}),
        (["L/H-alpha 1.fits", "L/halpha_2.fits"], {}),  # one filter, and parts that all have
        (["L/1.fits", "flat_2.fits"], {}),
        (["Flat_1.fits", "Flat_2.fits"], {}),
        ([], {}),
    ],
)
def test_filters_are_found_in_names_where_all_files_say_one(
    paths: list[str], expected: dict[str, int]
) -> None:
    assert filters_in_names(paths) == expected


@pytest.mark.parametrize(
    "name",
    ["L", "Lum", "Luminance", "R", "Red", "G", "Green", "B", "Blue", "U", "V", "I", "Z", "Ha", "Hb",
     "OIII", "SII", "NII", "O3", "Halpha"],
)  # fmt: skip
def test_each_filter_is_found_in_names(name: str) -> None:
    other = "Ha" if name not in ("Ha", "Halpha") else "Hb"
    for path in (f"Flats/{name}_1.fits", f"{name}/flat.fits", f"flat-{name.lower()}-1.fits.gz"):
        found = filters_in_names([path, f"Flats/{other}_1.fits"])
        assert {*found.values()} == {1}
        assert len(found) == 2
