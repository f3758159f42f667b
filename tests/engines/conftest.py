from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from calmasters.frame import FrameType, Geometry
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.settings import Calibration, Integration

VECTORS = Path(__file__).parents[1] / "data" / "integration-vectors.npz"
FLAT_SETTINGS = Integration(normalization="Multiplicative", rejectionNormalization="EqualizeFluxes")


@pytest.fixture(scope="session")
def vectors() -> Mapping[str, np.ndarray]:
    with np.load(VECTORS) as file:
        return dict(file)


class Site:
    """The folders of a test; writes frames and creates their jobs."""

    def __init__(self, root: Path) -> None:
        self.input_dir, self.output_dir = root / "raw", root / "out"
        self.input_dir.mkdir()
        self.output_dir.mkdir()
        self.output = self.output_dir / "masters" / "M.xisf"
        self.log = self.output_dir / "logs" / "M.log"

    def write(self, frames: np.ndarray, name: str = "frame", **cards: Any) -> list[FrameFile]:
        return [
            self.write_one(frame, f"{name}{i:03}.fits", cards) for i, frame in enumerate(frames)
        ]

    def write_one(self, frame: np.ndarray, name: str, cards: Mapping[str, Any]) -> FrameFile:
        path = self.input_dir / name
        fits.PrimaryHDU(frame, fits.Header(cards)).writeto(path)
        stat = path.stat()
        return FrameFile(name, stat.st_size, stat.st_mtime_ns)

    def master(self, image: np.ndarray, name: str) -> UsedMaster:
        fits.PrimaryHDU(image.astype(np.float32)).writeto(self.output_dir / name)
        return UsedMaster(name, "run", "the test wrote it")

    def job(
        self,
        frames: list[FrameFile],
        shape: tuple[int, int],
        type_: FrameType = FrameType.BIAS,
        settings: Integration | None = None,
        **changes: Any,
    ) -> MasterJob:
        flat = type_ is FrameType.FLAT
        recipe = Recipe(
            engine="native",
            algorithm_version=1,
            integration=settings or (FLAT_SETTINGS if flat else Integration()),
            calibration=Calibration() if flat else None,
            float_range="unit",
            master_format="xisf",
        )
        job = MasterJob(
            name="M",
            type=type_,
            keywords={"INSTRUME": "Cam's", "GAIN": 100},
            geometry=Geometry(shape[1], shape[0]),
            frames=tuple(frames),
            header={"EXPTIME": 1.5},
            recipe=recipe,
        )
        return replace(job, **changes)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)
