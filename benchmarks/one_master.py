"""Make one master with the native engine in one new process, to measure it.

python benchmarks/one_master.py --type bias --output M.xisf FRAME...
python benchmarks/one_master.py --type flat --bias B.xisf --dark D.xisf --output M.xisf FRAME...
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import calmasters.interrupts  # noqa: F401
from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.native.needs import NEEDS
from calmasters.frame import FrameType, Geometry
from calmasters.headers.image_header import read_header
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.settings import Calibration, Integration


def main() -> int:
    """Run ``python benchmarks/one_master.py``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--type", choices=["bias", "dark", "flat"], required=True)
    parser.add_argument("--output", type=Path, required=True, help="the master, .xisf or .fits")
    parser.add_argument("--bias", type=Path, help="master bias, for flats")
    parser.add_argument("--dark", type=Path, help="master dark, for flats")
    parser.add_argument("--rejection", default="WinsorizedSigmaClip")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("frames", type=Path, nargs="+")
    arguments = parser.parse_args()
    output = arguments.output.absolute()
    statistics = NativeEngine(arguments.threads).make(
        job_of(arguments), Path(), Path(), output, output.with_suffix(".log")
    )
    print(f"{output}: mean {statistics.mean:.6f}, {statistics.seconds:.3f} s in the engine")
    return 0


def job_of(arguments: argparse.Namespace) -> MasterJob:
    """Return the job as the workflow plans it, with the default settings of the type."""
    type_ = FrameType(arguments.type)
    flat = type_ is FrameType.FLAT
    integration = Integration(
        rejection=arguments.rejection,
        normalization="Multiplicative" if flat else "NoNormalization",
        rejectionNormalization="EqualizeFluxes" if flat else "NoRejectionNormalization",
    )
    return MasterJob(
        name=arguments.output.stem,
        type=type_,
        keywords={},
        geometry=geometry_of(arguments.frames[0]),
        frames=tuple(frame_file(path) for path in arguments.frames),
        header={},
        recipe=Recipe(
            engine="native",
            algorithm_version=NEEDS.algorithm_version,
            integration=integration,
            calibration=Calibration() if flat else None,
            float_range="unit",
            master_format=arguments.output.suffix[1:],
        ),
        bias=library_master(arguments.bias),
        dark=library_master(arguments.dark),
        optimize_dark=bool(arguments.bias and arguments.dark),
    )


def geometry_of(path: Path) -> Geometry:
    """Read size and Bayer pattern from the header of a frame."""
    cards = read_header(path).cards
    pattern = cards.get("BAYERPAT")
    return Geometry(
        int(cards["NAXIS1"]), int(cards["NAXIS2"]), bayerpat=str(pattern) if pattern else None
    )


def frame_file(path: Path) -> FrameFile:
    """Return a frame as the plan lists it."""
    stat = path.stat()
    return FrameFile(str(path), stat.st_size, stat.st_mtime_ns)


def library_master(path: Path | None) -> UsedMaster | None:
    """Return a bias or dark as a master of a library."""
    return UsedMaster(str(path), "library", "given on the command line") if path else None


if __name__ == "__main__":
    sys.exit(main())
