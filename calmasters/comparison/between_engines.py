"""Compare the masters that several engines made of the same frames."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from calmasters.atomic_files import write_whole
from calmasters.comparison.masters import ADU, compare_pixels
from calmasters.comparison.picture import write_picture
from calmasters.errors import CalmastersError, EngineError, RecordError, plain_number
from calmasters.images.master_file import read_image
from calmasters.model.job import read_made_of
from calmasters.model.layout import (
    PLAN,
    compared_output,
    difference_picture_path,
    master_name,
    record_path,
)
from calmasters.model.master_record import MasterRecord
from calmasters.planning.plan_file import Plan

__all__ = ["ComparedMaster", "EngineComparison", "compare_outputs", "comparison_lines"]


@dataclass(frozen=True, slots=True)
class ComparedMaster:
    """A master by one engine, compared with the one by the first engine.

    Attributes
    ----------
    master : str
        Path, relative to the folder of each engine.
    short_name : str
    engine : str
    problem : str
        Why it cannot be compared; empty where it was.
    note : str
        What else differs: the frames that it was made of, or the settings.
    pixels, all_pixels : int
        Number of pixels that differ, and of all.
    largest_noise : float or None
        The largest difference in units of the noise of the first engine's master; None where that
        has no noise.
    largest_adu : float
        The same in 16-bit ADU.
    x, y : int
        Where it is: column and row, from 0.
    picture : str
        Where they differ, relative to ``output_dir``; empty where no pixel does.
    """

    master: str
    short_name: str
    engine: str
    problem: str = ""
    note: str = ""
    pixels: int = 0
    all_pixels: int = 0
    largest_noise: float | None = None
    largest_adu: float = 0.0
    x: int = 0
    y: int = 0
    picture: str = ""

    @property
    def result(self) -> str:
        """How it differs, in words."""
        if self.problem:
            return self.problem
        if not self.pixels:
            return "identical"
        share = 100 * self.pixels / self.all_pixels
        noise = (
            "" if self.largest_noise is None else f"{plain_number(self.largest_noise, 3)} x noise, "
        )
        return (
            f"{plain_number(share, 3)} % differ, at most {noise}"
            f"{plain_number(self.largest_adu, 3)} ADU "
            f"at x {self.x}, y {self.y}"
        )


@dataclass(frozen=True, slots=True)
class EngineComparison:
    """A comparison of engines: ``compare.json``.

    Attributes
    ----------
    engines : sequence of str
        The others are compared with the first one.
    created : str
        UTC.
    masters : sequence of ComparedMaster
    """

    engines: Sequence[str]
    created: str
    masters: Sequence[ComparedMaster]

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        write_whole(path, json.dumps({"version": 1, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it back.

        Raises
        ------
        OSError
            If it cannot be read.
        RecordError
            If it is not a comparison.
        """
        try:
            stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            masters = [ComparedMaster(**each) for each in stored["masters"]]
            return cls(stored["engines"], stored["created"], masters)
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(path, "a comparison of engines", error) from error


def compare_outputs(output_dir: Path, engines: Sequence[str]) -> EngineComparison:
    """Compare the masters in the folders of several engines, and draw where they differ.

    Parameters
    ----------
    output_dir : Path
        The user's, with the folders of the engines below it.
    engines : sequence of str
    """
    plans = {engine: _plan(output_dir / compared_output(engine)) for engine in engines}
    first, *others = engines
    names = {
        master: planned.short_name
        for engine in engines
        for master, planned in plans[engine].masters.items()
    }
    masters = [
        _compared(
            output_dir, master, names[master], {name: plans[name] for name in (first, engine)}
        )
        for master in names
        for engine in others
    ]
    return EngineComparison(engines, datetime.now(UTC).isoformat(timespec="seconds"), masters)


def _plan(folder: Path) -> Plan:
    try:
        return Plan.load(folder / PLAN)
    except OSError as error:
        raise EngineError(
            f"'{folder}' has no plan: the run of this engine did not begin; its message is above"
        ) from error


def _compared(
    output_dir: Path, master: str, short_name: str, plans: Mapping[str, Plan]
) -> ComparedMaster:
    """Compare a master by one engine with that of the first one; their plans are in this order."""
    engine = [*plans][-1]
    folders = {name: output_dir / compared_output(name) for name in plans}
    missing = [name for name, plan in plans.items() if not _is_made(folders[name], master, plan)]
    if missing:
        problem = f"not made by {' and '.join(missing)}"
        return ComparedMaster(master, short_name, engine, problem)
    try:
        expected, found = (
            MasterRecord.read(folder / record_path(master)) for folder in folders.values()
        )
        reference, image = (read_image(folder / master)[0] for folder in folders.values())
    except (CalmastersError, OSError) as error:
        return ComparedMaster(master, short_name, engine, f"cannot be read: {error}")
    difference = compare_pixels(image, reference)
    picture = ""
    if difference.pixels:
        picture = difference_picture_path(engine, master_name(master))
        write_picture(output_dir / picture, image - reference)
    return ComparedMaster(
        master,
        short_name,
        engine,
        note="; ".join(_other_differences(found, expected)),
        pixels=difference.pixels,
        all_pixels=difference.all_pixels,
        largest_noise=difference.largest_adu / (ADU * expected.noise) if expected.noise else None,
        largest_adu=difference.largest_adu,
        x=difference.x,
        y=difference.y,
        picture=picture,
    )


def _is_made(folder: Path, master: str, plan: Plan) -> bool:
    """Return whether a master is there, and was made as planned: an older one may be there."""
    made = read_made_of(folder / record_path(master))
    planned = plan.masters.get(master)
    is_current = made is not None and planned is not None and made.serves(planned.made_of)
    return is_current and (folder / master).is_file()


def _other_differences(found: MasterRecord, expected: MasterRecord) -> Iterator[str]:
    """Say that a master was made of other frames or with other settings than expected."""
    files, wanted = ({frame.file for frame in record.frames} for record in (found, expected))
    if others := sorted({file.path for file in files ^ wanted}):
        yield f"made of {len(files)} frames, not of {len(wanted)}; they differ in {others[0]}" + (
            f" and {len(others) - 1} more" if len(others) > 1 else ""
        )
    if any(found.recipe[key] != expected.recipe[key] for key in ("integration", "calibration")):
        yield "made with other settings"


def comparison_lines(comparison: EngineComparison) -> Iterator[str]:
    """Yield the lines of a comparison for the terminal."""
    first, *others = comparison.engines
    yield f"Masters by {' and '.join(others)}, compared with those by {first}:"
    width = max((len(master.short_name) for master in comparison.masters), default=0)
    for master in comparison.masters:
        engine = f"{master.engine:<11}" if len(others) > 1 else ""
        yield f"  {master.short_name:<{width}}  {engine}{master.result}"
        if master.note:
            yield f"  {'':<{width}}  {master.note}"
