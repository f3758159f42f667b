from __future__ import annotations

from pathlib import Path

import pytest

from calmasters.errors import ConfigError
from calmasters.frame import FrameType
from calmasters.model.layout import (
    LAYOUTS,
    job_path,
    job_path_of,
    master_name,
    master_path,
    output_dir_of,
    record_path,
)

NAMES = ("masterFlat_FILTER-B_SETTEMP--10.00", "ATR585M/DATE_2026-01-15/masterFlat_FILTER_B")
KINDS = (FrameType.BIAS, FrameType.DARK, FrameType.FLAT)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("master_format", ["xisf", "fits"])
def test_a_masters_path_gives_its_name_its_record_and_its_job(
    layout: str, kind: FrameType, name: str, master_format: str
) -> None:
    master = master_path(kind, name, layout, master_format)
    assert master_name(master) == name
    assert record_path(master) == f"{master.removesuffix(master_format)}json"
    assert job_path_of(master) == job_path(kind, name) == f"jobs/{kind}/{name}.json"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("output_dir", ["output", "masters/bias/output", "made here"])
@pytest.mark.parametrize("name", NAMES)
def test_the_output_dir_of_a_master_is_found_in_every_layout(
    tmp_path: Path, layout: str, output_dir: str, name: str
) -> None:
    master = master_path(FrameType.FLAT, name, layout, "xisf")
    found = output_dir_of(tmp_path / output_dir / master)
    assert found == (tmp_path / output_dir, master)


def test_the_output_dir_may_be_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert output_dir_of(Path("masters/bias/m.xisf")) == (tmp_path, "masters/bias/m.xisf")


@pytest.mark.parametrize(
    "path", ["m.xisf", "bias/m.xisf", "masters/m.xisf", "masters/other/m.xisf"]
)
def test_a_file_elsewhere_is_no_master(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match="is not a master of this workflow"):
        output_dir_of(tmp_path / path)
