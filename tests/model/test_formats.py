"""Files keep their formats, and those of all versions are read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from formats import FORMATS_FILE, described, differences, stored

from calmasters.errors import RecordError
from calmasters.frame import FrameType
from calmasters.headers.dialects import read_keywords
from calmasters.headers.fits_cards import Card
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import write_master
from calmasters.inventory.table import COLUMNS, read_inventory
from calmasters.model.job import read_made_of
from calmasters.model.master_record import MasterRecord
from calmasters.settings import HeaderRules

#: Of each version, and of states of its development that were used: files of one session.
STATES = sorted((Path(__file__).parents[1] / "data" / "formats").iterdir())
NOW = described()


@pytest.mark.parametrize("name", NOW)
def test_a_format_changes_only_with_its_version(name: str) -> None:
    known = stored()[name]
    assert [*differences(name, known, NOW[name])] == [], (
        "Raise the version in calmasters/model/formats.py (of the header cache: _FORMAT in"
        " calmasters/inventory/header_cache.py, unless the same is read from all headers), keep a"
        " reader and files of the earlier version in tests/data/formats, and run python"
        " tests/model/formats.py"
    )
    assert NOW[name] == known, (
        f"something was added: run python tests/model/formats.py, which writes {FORMATS_FILE.name}"
    )


def test_what_is_gone_is_found() -> None:
    before = {"version": 1, "content": {"a": "str", "b": "int"}}
    same = {"version": 1, "content": {"a": "str", "b": "int", "c": "int"}}
    other = {"version": 1, "content": {"a": "float"}}
    assert [*differences("x", before, same)] == []
    assert len([*differences("x", before, other)]) == 2
    assert [*differences("x", before, {**other, "version": 2})] == []
    assert len([*differences("x", {"version": 1, "code": "1"}, {"version": 1, "code": "2"})]) == 1


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_records_of_all_versions_are_read(state: Path) -> None:
    path = state / "record.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    record = MasterRecord.read(path)
    made_of = read_made_of(path)
    assert made_of is not None
    assert record.made_of == made_of
    assert made_of.digest == stored["digest"]
    assert record.type is FrameType.FLAT
    assert [frame.path for frame in record.frames] == [each["path"] for each in stored["frames"]]
    assert [frame.k for frame in record.frames] == [each["k"] for each in stored["frames"]]
    assert record.frames[0].file.size == stored["frames"][0]["size"]
    assert (record.geometry.width, record.geometry.height) == (24, 16)
    assert record.keywords == stored["keywords"]
    assert record.bias
    assert record.bias.path == stored["bias"]["path"]
    assert record.recipe["integration"] == stored["recipe"]["integration"]
    assert record.rejected_high == 5 * len(record.frames)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_a_record_of_an_earlier_version_that_is_written_again_is_the_same(
    state: Path, tmp_path: Path
) -> None:
    record = MasterRecord.read(state / "record.json")
    master = tmp_path / "master.xisf"
    master.write_bytes(b"pixels")
    record.write(master)
    assert MasterRecord.read(tmp_path / "master.json") == record


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_inventories_of_all_versions_are_read(state: Path) -> None:
    table = read_inventory(state / "inventory.csv")
    assert {table.index.name, *table} >= {*COLUMNS}
    assert (table["status"] == "used").sum() >= 15
    assert table.loc[table["TYPE"] == "dark", "EXPOSURE"].unique().tolist() == [60.0]


@pytest.mark.parametrize("ending", ["fits", "xisf"])
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_masters_of_all_versions_are_read(state: Path, ending: str, tmp_path: Path) -> None:
    cards = json.loads((state / "cards.json").read_text(encoding="utf-8"))
    path = tmp_path / f"master.{ending}"
    image = np.full((16, 24), 0.5, np.float32)
    write_master(path, image, [Card(keyword, value) for keyword, value in cards])
    traits = read_keywords(read_cards(path), Path(path.name), HeaderRules()).traits
    assert traits.master
    assert not traits.problems
    expected = {
        "TYPE": "flat",
        "INSTRUME": "ATR585M",
        "SET-TEMP": -10.0,
        "GAIN": 100,
        "FILTER": "Ha",
    }
    assert {key: traits.keywords[key] for key in expected} == expected


def test_a_record_of_a_later_version_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    stored = json.loads((STATES[-1] / "record.json").read_text(encoding="utf-8"))
    path.write_text(json.dumps({**stored, "version": 99}), encoding="utf-8")
    with pytest.raises(RecordError, match=r"version 99.* a later calmasters wrote it"):
        MasterRecord.read(path)


def test_members_that_a_later_version_adds_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    source = STATES[-1] / "record.json"
    stored = json.loads(source.read_text(encoding="utf-8"))
    stored["frames"][0]["new"] = stored["new"] = 1
    path.write_text(json.dumps(stored), encoding="utf-8")
    assert MasterRecord.read(path) == MasterRecord.read(source)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": "high"}, "mean: 'high', expected a number"),
        ({"mean": True}, "mean: True, expected a number"),
        ({"frames": [{"path": "a"}]}, r"frames\[0\]: there is no size"),
        ({"frames": {}}, "frames: {}, expected a list"),
        ({"rejected_low": 1.5}, "rejected_low: 1.5, expected a whole number or null"),
        ({"type": "moon"}, "'moon' is not a valid FrameType"),
        ({"geometry": None}, "geometry: None, expected an object"),
    ],
)
def test_a_damaged_record_is_refused_with_the_place(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "record.json"
    stored = json.loads((STATES[-1] / "record.json").read_text(encoding="utf-8"))
    path.write_text(json.dumps({**stored, **change}), encoding="utf-8")
    with pytest.raises(RecordError, match=message):
        MasterRecord.read(path)
