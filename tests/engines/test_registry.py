"""An engine is a package and one line of ``ENGINES``; other modules use only its ``needs``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from calmasters import engines
from calmasters.engines import ENGINES, engine_for, needs_of
from calmasters.engines.needs import EngineNeeds
from calmasters.errors import ConfigError
from calmasters.frame import FrameType, Geometry
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.running import disk_space, job_resources
from calmasters.settings import Calibrated, Calibration, Integration, Settings

REPOSITORY = Path(__file__).parents[2]
SETTINGS = Settings.from_config(
    yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8"))
)


def job_for(engine: str) -> MasterJob:
    recipe = Recipe(engine, 1, Integration(), Calibration(), "unit", "xisf")
    frames = tuple(FrameFile(f"{number}.fits", 2_000_000, 0) for number in range(5))
    return MasterJob(
        name="M",
        type=FrameType.FLAT,
        keywords={},
        geometry=Geometry(1000, 1000),
        frames=frames,
        header={},
        recipe=recipe,
        bias=UsedMaster("masters/bias/B.xisf", "run", ""),
    )


def test_the_schema_has_the_registered_engines() -> None:
    schema = yaml.safe_load(
        (REPOSITORY / "config" / "config.schema.yaml").read_text(encoding="utf-8")
    )
    assert schema["properties"]["engine"]["enum"] == [*ENGINES]


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_declares_what_it_needs(name: str) -> None:
    needs, job = needs_of(name), job_for(name)
    assert isinstance(needs, EngineNeeds)
    assert needs.algorithm_version >= 1
    assert 1 <= needs.threads(job) <= 4
    assert needs.process_mb(job, 2) > 100
    assert needs.work_min(job, SETTINGS) > 0
    assert needs.map_bytes(job) >= 0
    assert needs.calibrated_bytes(job) in (0, 5 * 4_000_000)
    assert set(needs.slots.values()) <= {1}
    assert [*needs.unsupported(job)] == []
    assert not any(needs.pixel_parameters(SETTINGS).values())
    assert needs.begin_session(SETTINGS) is None


@pytest.mark.parametrize(
    ("name", "is_refused"), [("native", False), ("siril", False), ("pixinsight", True)]
)
def test_frames_packed_by_bzip2_are_refused_before_pixinsight_starts(
    name: str, is_refused: bool
) -> None:
    job = replace(job_for(name), frames=(FrameFile("n/a.fits.bz2", 2_000_000, 0),))
    sentences = [*needs_of(name).unsupported(job)]
    assert bool(sentences) == is_refused
    assert all("n/a.fits.bz2 is packed by bzip2" in sentence for sentence in sentences)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_is_loaded_by_its_name(name: str) -> None:
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8"))
    engine = engine_for(job_for(name), config, 1)
    assert type(engine).__module__ == f"{ENGINES[name]}.engine"


@pytest.mark.parametrize("name", ENGINES)
def test_profiles_limit_the_programs_that_run_at_once(name: str) -> None:
    for file in (REPOSITORY / "profiles").glob("*/config.yaml"):
        profile = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert needs_of(name).slots.keys() <= profile["resources"].keys()


def test_an_engine_that_is_not_registered_is_refused() -> None:
    with pytest.raises(ConfigError, match="no engine 'other'; choose native, pixinsight, siril"):
        needs_of("other")
    with pytest.raises(ConfigError, match="no engine 'other'"):
        engine_for(job_for("other"), {}, 1)


class SlowNeeds(EngineNeeds):
    """Declares only what has no default."""

    algorithm_version = 7

    def process_mb(self, job: MasterJob, threads: int) -> float:
        return 1000 * threads

    def work_min(self, job: MasterJob, settings: Settings) -> float:
        return 90

    def unsupported(self, job: MasterJob) -> Iterator[str]:
        yield from ()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> str:
    """An engine in another package, registered by one line."""
    modules: dict[str, Mapping[str, Any]] = {
        "slow": {"__path__": []},
        "slow.needs": {"NEEDS": SlowNeeds()},
        "slow.engine": {"create_engine": lambda config, threads, evidence: ("slow", threads)},
    }
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(engines.ENGINES, "slow", "slow")
    return "slow"


def test_another_engine_takes_one_line(slow: str) -> None:
    job = job_for(slow)
    assert engine_for(job, {}, 3) == ("slow", 3)
    assert job_resources.threads(job) == 4
    assert job_resources.memory_mb(job, 2) == 300 + 2400
    assert job_resources.runtime_min(job, replace(SETTINGS, engine=slow)) == 10 + 90
    need = disk_space.disk_need([job], Calibrated(keep=True))
    assert 4_000_000 < need.masters < 4_100_000
    assert need.calibrated == 0
