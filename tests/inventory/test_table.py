from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pytest

import calmasters
from calmasters.frame import Frame, Geometry, Status, Traits, Value, Verdict, format_value
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.scan import scan_frames
from calmasters.inventory.table import (
    COLUMNS,
    column_text,
    inventory_table,
    read_inventory,
    write_inventory,
)
from calmasters.inventory.verdicts import check_frame
from calmasters.settings import Settings

USED = Verdict(Status.USED, group="masterBias_GAIN-100")

Written: TypeAlias = Callable[..., pd.DataFrame]


def frame(path: str, *stat: int, **traits: Any) -> Frame:
    return Frame(path, *(stat or (0, 0)), Traits(**traits))


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write an inventory, and read it as text."""

    def write(
        frames: Iterable[Frame], verdicts: Mapping[str, Verdict], keywords: Iterable[str] = ()
    ) -> pd.DataFrame:
        path = tmp_path / "inventory.csv"
        with path.open("wb") as file:
            write_inventory(file, inventory_table(frames, verdicts, keywords))
        return pd.read_csv(
            path, dtype="object", keep_default_na=False, encoding_errors="surrogateescape"
        )

    return write


# --- the table ------------------------------------------------------------------------------------


def test_columns_are_in_the_agreed_order_with_additional_keywords_before_the_size(
    written: Written,
) -> None:
    agreed = [
        "path", "status", "reason", "group", "TYPE", "INSTRUME", "SET-TEMP", "GAIN", "OFFSET",
        "READOUTM", "DATE", "FILTER", "EXPOSURE", "CCD-TEMP", "DATE-OBS", "width", "height",
        "xbinning", "ybinning", "bayerpat", "size", "mtime_ns", "sources", "warnings",
    ]  # fmt: skip
    assert list(COLUMNS) == agreed
    table = written([], {}, ["GAIN", "FOCALLEN"])
    assert list(table) == [*agreed[:20], "FOCALLEN", *agreed[20:]]


def test_values_are_written_as_in_names_and_absent_values_are_empty(written: Written) -> None:
    keywords: dict[str, Value] = {
        "TYPE": "bias",
        "SET-TEMP": -10,
        "GAIN": 100.0,
        "EXPOSURE": 0.0015,
        "USBLIMIT": 50,
    }
    full = frame(
        "a.fits",
        5760,
        17,
        keywords=keywords,
        geometry=Geometry(4, 3, 1, 2, "RGGB"),
        sources={"GAIN": "path", "OFFSET": "BLKLEVEL"},
        warnings=("one", "two"),
    )
    full = full._replace(ccd_temp_c=-9.96, date_obs="2026-01-15T21:00:00")
    verdicts = {"a.fits": USED, "0.fits": Verdict(Status.REFUSED, "is damaged", "copy it again")}
    table = written([full, frame("0.fits", 0, 1)], verdicts, ["USBLIMIT"])
    bare, row = table.to_dict("records")
    assert {key: value for key, value in bare.items() if value} == {
        "path": "0.fits",
        "status": "refused",
        "reason": "is damaged",
        "size": "0",
        "mtime_ns": "1",
    }
    assert {key: value for key, value in row.items() if value} == {
        "path": "a.fits",
        "status": "used",
        "group": "masterBias_GAIN-100",
        "TYPE": "bias",
        "SET-TEMP": "-10.00",
        "GAIN": "100",
        "EXPOSURE": "0.0015",
        "USBLIMIT": "50",
        "CCD-TEMP": "-9.96",
        "DATE-OBS": "2026-01-15T21:00:00",
        "width": "4",
        "height": "3",
        "xbinning": "1",
        "ybinning": "2",
        "bayerpat": "RGGB",
        "size": "5760",
        "mtime_ns": "17",
        "sources": "GAIN: path; OFFSET: BLKLEVEL",
        "warnings": "one; two",
    }


@pytest.mark.parametrize(
    "value", ["a\rb", "a,b", 'say "x"', "two\nlines", "NA", "é", " x ", "1.50", "'"]
)
def test_text_is_quoted_correctly(written: Written, value: str) -> None:
    name = f"{value}.fits"
    table = written(
        [frame(name, keywords={"FILTER": value})], {name: Verdict(Status.IGNORED, value)}
    )
    cells = table.loc[0, ["path", "reason", "FILTER"]]
    assert list(cells) == [name, value, value]


def test_rows_are_sorted_by_path(written: Written) -> None:
    frames = [frame(path) for path in ("b.fits", "a/z.fits", "B.fits", "a.fits")]
    table = written(frames, {frame.path: USED for frame in frames})
    assert list(table["path"]) == ["B.fits", "a.fits", "a/z.fits", "b.fits"]


def test_frames_with_the_same_traits_have_their_own_columns_too(written: Written) -> None:
    one = frame("1.fits", 10, 11, keywords={"FILTER": "Ha"})
    other = Frame("2.fits", 20, 21, one.traits, -10.0, "2026-01-15T21:00:00")
    table = written([one, other], {"1.fits": USED, "2.fits": Verdict(Status.IGNORED, "no")})
    columns = ["status", "group", "FILTER", "CCD-TEMP", "DATE-OBS", "size", "mtime_ns"]
    assert table[columns].to_numpy().tolist() == [
        ["used", USED.group, "Ha", "", "", "10", "11"],
        ["ignored", "", "Ha", "-10.00", "2026-01-15T21:00:00", "20", "21"],
    ]


def test_a_spreadsheet_can_sort_and_filter_every_column(
    settings: Settings, add_frame: Callable[..., Path], written: Written, tmp_path: Path
) -> None:
    add_frame("a.fits", "bias", {"EXPTIME": 0.0015, "EXPOSURE": 0.0015, "GAIN": 100.0})
    add_frame("b.fits", "dark", {"EXPTIME": 1800, "EXPOSURE": 1800, "SET-TEMP": -10})
    add_frame("c.fits", "flat", {"FILTER": "=1+1", "READOUTM": "line\nbreak", "CCD-TEMP": -9.96})
    add_frame("d.fits", "flat", {"FILTER": "-Ha", "READOUTM": "a, b; c"})
    (tmp_path / "frames" / "e.fits").touch()
    frames = HeaderCache(settings).read(scan_frames(settings), settings.input_dir)
    written(frames, {frame.path: check_frame(frame, settings) or USED for frame in frames})
    # As in a spreadsheet: a column is numeric if all its cells are numbers.
    table = pd.read_csv(tmp_path / "inventory.csv").set_index("path")
    numbers = ("SET-TEMP", "GAIN", "OFFSET", "EXPOSURE", "CCD-TEMP", "width", "size", "mtime_ns")
    assert all(pd.api.types.is_numeric_dtype(table[column]) for column in numbers)
    assert list(table.sort_values("EXPOSURE").index) == [
        "a.fits",
        "c.fits",
        "d.fits",
        "b.fits",
        "e.fits",
    ]
    assert list(table.index[table["GAIN"] == 100]) == ["a.fits", "b.fits", "c.fits", "d.fits"]
    assert pd.to_datetime(table["DATE"]).notna().sum() == 4
    assert pd.to_datetime(table["DATE-OBS"], format="ISO8601").notna().sum() == 4
    assert set(table["status"]) == {"used", "refused"}
    # Text of headers is never a formula, and every row is one line.
    assert list(table["FILTER"].dropna()) == ["'=1+1", "'-Ha"]
    assert len((tmp_path / "inventory.csv").read_text().splitlines()) == 1 + len(table)


# --- dtypes ---------------------------------------------------------------------------------------


def test_columns_are_typed(settings: Settings, add_frame: Callable[..., Path]) -> None:
    add_frame("a.fits", "bias", {"INSTRUME": "585", "READOUTM": "1"})
    add_frame("b.fits", "flat", {"FILTER": "NA", "FOCALLEN": 384, "GAIN": None, "DATE-LOC": None})
    (settings.input_dir / "\udcff.fits").touch()
    frames = HeaderCache(settings).read(scan_frames(settings), settings.input_dir)
    verdicts = {frame.path: check_frame(frame, settings) or USED for frame in frames}
    table = inventory_table(frames, verdicts, ["FOCALLEN"])
    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == {
        **dict.fromkeys(("status", "reason", "group", "TYPE", "INSTRUME"), "category"),
        **dict.fromkeys(("READOUTM", "FILTER", "bayerpat", "sources", "warnings"), "category"),
        **dict.fromkeys(("SET-TEMP", "EXPOSURE", "CCD-TEMP"), "float64"),
        **dict.fromkeys(("DATE", "DATE-OBS"), "datetime64[us]"),
        **dict.fromkeys(("GAIN", "OFFSET", "width", "height", "xbinning"), "Int64"),
        **dict.fromkeys(("ybinning", "FOCALLEN", "size", "mtime_ns"), "Int64"),
    }
    assert (table.index.name, list(table.index)) == ("path", ["a.fits", "b.fits", "\udcff.fits"])
    assert list(table["FILTER"].cat.categories) == ["", "NA"]
    first, second, unread = (row for _, row in table.iterrows())
    assert (first["INSTRUME"], first["READOUTM"], first["FILTER"]) == ("585", "1", "")
    assert (second["FILTER"], second["EXPOSURE"], second["FOCALLEN"]) == ("NA", 1.5, 384)
    assert pd.isna(second["GAIN"])
    assert first["DATE-OBS"] == pd.Timestamp("2026-01-15T20:00:00")
    assert first["DATE"] == pd.Timestamp("2026-01-15")
    assert unread["DATE-OBS"] is pd.NaT


def test_columns_without_a_value_have_their_type() -> None:
    table = inventory_table([frame("a.fits")], {"a.fits": USED})
    text = ["status", "reason", "group", "TYPE", "INSTRUME", "READOUTM", "FILTER", "bayerpat",
            "sources", "warnings"]  # fmt: skip
    assert {str(table[name].dtype) for name in text} == {"category"}
    assert {str(table[name].dtype) for name in ("SET-TEMP", "EXPOSURE", "CCD-TEMP")} == {"float64"}
    assert {str(table[name].dtype) for name in ("GAIN", "OFFSET", "width")} == {"Int64"}


def test_frames_without_a_filter_are_a_group() -> None:
    frames = [frame("a.fits", keywords={"TYPE": "bias"})]
    frames += [frame(f"{n}.fits", keywords={"TYPE": "flat", "FILTER": "Ha"}) for n in range(2)]
    table = inventory_table(frames, {frame.path: USED for frame in frames})
    counts = table.groupby(["TYPE", "FILTER"], observed=True).size()
    assert counts.to_dict() == {("bias", ""): 1, ("flat", "Ha"): 2}


@pytest.mark.parametrize(
    ("keyword", "values", "dtype"),
    [
        ("GAIN", [100, 100.0, None], "Int64"),
        ("GAIN", [100, 1.5, None], "float64"),
        ("GAIN", [100, "high"], "category"),
        ("GAIN", [2**63 - 1, None], "Int64"),
        ("GAIN", [2**63, None], "category"),
        ("GAIN", [1e300, None], "category"),
        ("SET-TEMP", [-10, None], "float64"),
        ("SET-TEMP", [None], "float64"),
        ("DATE", ["2026-01-15", None], "datetime64[us]"),
        # A night that is not a valid date would be lost as NaT.
        ("DATE", ["2026-01-15", "2026-02-30"], "category"),
        ("DATE", ["0000-01-01"], "category"),
        # Text that would be written differently as a number stays text.
        ("USBLIMIT", ["50", "60"], "Int64"),
        ("USBLIMIT", ["050"], "category"),
        ("USBLIMIT", ["1.5", "nan"], "category"),
        ("USBLIMIT", ["1_000"], "category"),
    ],
)
def test_a_column_is_typed_by_all_of_its_values(
    keyword: str, values: list[Value | None], dtype: str, written: Written
) -> None:
    frames = [
        frame(f"{n}.fits", keywords={} if value is None else {keyword: value})
        for n, value in enumerate(values)
    ]
    verdicts = {frame.path: USED for frame in frames}
    table = inventory_table(frames, verdicts, ["USBLIMIT"])
    assert str(table[keyword].dtype) == dtype
    texts = ["" if value is None else format_value(keyword, value) for value in values]
    assert list(column_text(table[keyword])) == texts
    assert list(written(frames, verdicts, ["USBLIMIT"])[keyword]) == texts


def test_a_time_beyond_64_bits_is_kept(written: Written) -> None:
    # A modification time in the year 2500.
    time_ns = 16_725_225_600_000_000_000
    assert list(written([frame("a.fits", 1, time_ns)], {"a.fits": USED})["mtime_ns"]) == [
        str(time_ns)
    ]


# --- read the file --------------------------------------------------------------------------------


def write_and_read(tmp_path: Path, table: pd.DataFrame) -> pd.DataFrame:
    path = tmp_path / "inventory.csv"
    with path.open("wb") as file:
        write_inventory(file, table)
    return read_inventory(path)


@pytest.mark.parametrize(
    "text",
    [
        "a,b",
        'say "x"',
        "two\nlines",
        "return\r",
        "NA",
        "nan",
        "",
        "é",
        " x ",
        "1.50",
        "\udcff",
        "'",
        "=1+1",
        "'=1+1",
        "''=1",
        "'X=1",
        "-Ha",
        "'-5",
        "-5",
        "+5",
        "@x",
        "./",
        "./=x",
    ],
)
def test_text_is_read_back_unchanged(tmp_path: Path, text: str) -> None:
    keywords: dict[str, Value] = {"FILTER": text, "READOUTM": text, "USBLIMIT": text or "-"}
    frames = [
        frame(f"{text}a.fits".removeprefix("./"), keywords=keywords, warnings=(text,)),
        frame("b.fits"),
    ]
    verdicts = {each.path: Verdict(Status.IGNORED, text, group=text) for each in frames}
    table = inventory_table(frames, verdicts, ["USBLIMIT"])
    pd.testing.assert_frame_equal(write_and_read(tmp_path, table), table)


def test_a_table_is_read_back_unchanged(tmp_path: Path, make_frame: Callable[..., Frame]) -> None:
    frames = [
        *(make_frame("flat", number, ccd_temp_c=-10 + number / 30) for number in range(20)),
        make_frame("bias", date_obs="0002-01-15T21:00:00", ccd_temp_c=1.115),
        make_frame("dark", date_obs="2026-01-15T21:00:00.123456", keywords={"EXPOSURE": 0.0015}),
        frame("unread.fits", 0, 0, problems=("is empty",)),
    ]
    verdicts = {frame.path: USED for frame in frames}
    verdicts["unread.fits"] = Verdict(Status.REFUSED, "is empty; copy it again", "copy it again")
    table = inventory_table(frames, verdicts, ["FOCALLEN"])
    pd.testing.assert_frame_equal(write_and_read(tmp_path, table), table)


def test_an_inventory_without_frames_can_be_read(tmp_path: Path) -> None:
    table = inventory_table([], {})
    pd.testing.assert_frame_equal(write_and_read(tmp_path, table), table)


def test_values_are_computed_once_for_frames_that_share_traits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = Traits({"TYPE": "flat", "FILTER": "Ha"}, geometry=Geometry(4, 3))
    frames = [Frame(f"{n:06d}.fits", 5760, 17, shared) for n in range(100_000)]
    verdicts = dict.fromkeys((frame.path for frame in frames), USED)
    formatted: list[Value] = []

    def count(keyword: str, value: Value) -> str:
        formatted.append(value)
        return format_value(keyword, value)

    monkeypatch.setattr("calmasters.inventory.table.format_value", count)
    table = inventory_table(frames, verdicts)
    assert len(table) == 100_000
    assert table["FILTER"].value_counts().to_dict() == {"Ha": 100_000}
    assert len(formatted) < 10


def test_read_inventory_is_a_public_function_of_the_package() -> None:
    assert calmasters.read_inventory is read_inventory
