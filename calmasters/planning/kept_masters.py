"""Masters in ``output_dir`` that no job makes: which flats may use, and what became of others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path, PurePath, PurePosixPath
from types import MappingProxyType
from typing import Final

from calmasters.errors import RecordError
from calmasters.frame import Frame, Status, Verdict
from calmasters.model.job import FrameFile
from calmasters.model.layout import master_name, record_path
from calmasters.model.master_record import MasterRecord
from calmasters.planning.matching import Candidate, Match, candidate_of

__all__ = ["KeptMasters", "fate_of_frames", "kept_in_use", "kept_unused"]

#: Masters that a sentence names.
_SHOWN: Final = 3
#: Without the settings of the command line, the plan may make them again.
_PRUNE: Final = (
    "to move {} to output_dir/orphans, run with the same settings: "
    "snakemake orphans --config prune=true"
)


class KeptMasters:
    """Masters in ``output_dir`` that no job makes.

    Flats may use a bias or dark only if its frames are gone from disk, so that it is all that is
    left of them. Frames that are still there, and do not make it now, were left out for a reason.

    Parameters
    ----------
    masters : iterable of Frame
        The files of bias and darks, as the inventory reads them.
    frames : iterable of Frame
        All of ``input_dir``.
    verdicts : mapping of str to Verdict
    output_dir : Path
    elsewhere : mapping of str to str
        Masters of an earlier ``master_format`` or ``layout``, to where a job makes them now.
    flats : iterable of str
        Paths of master flats.

    Attributes
    ----------
    candidates : list of Candidate
        Those that flats may use.
    flats : list of str
        Paths of master flats whose frames are gone.
    warnings : list of str
        What became of the frames of the others, for a person.
    """

    def __init__(
        self,
        masters: Iterable[Frame],
        frames: Iterable[Frame],
        verdicts: Mapping[str, Verdict],
        output_dir: Path,
        elsewhere: Mapping[str, str] = MappingProxyType({}),
        flats: Iterable[str] = (),
    ) -> None:
        self.candidates: list[Candidate] = []
        self.flats: list[str] = []
        self._unused: dict[str, list[str]] = defaultdict(list)
        self._old_flats: dict[str, str] = {}
        offered = [(each, candidate_of(each, "kept")) for each in masters]
        flats = [path for path in flats if path not in elsewhere]
        present = _Present(frames if offered or flats else ())
        for master, candidate in offered:
            if candidate is None:
                continue
            record = _record(output_dir / record_path(master.path))
            if fate := _fate(record, present, verdicts):
                if master.path not in elsewhere:
                    self._unused[fate].append(PurePath(master.path).stem)
            else:
                # The header of a master has no position (0, 0), its record has.
                recorded = record.geometry if record else candidate.geometry
                is_placed = recorded.xorigin is not None or recorded.layout
                geometry = recorded if is_placed else candidate.geometry
                self.candidates.append(replace(candidate, geometry=geometry))
        for path in flats:
            if fate := _fate(_record(output_dir / record_path(path)), present, verdicts):
                self._old_flats[path] = fate
            else:
                self.flats.append(path)
        used = {candidate.path for candidate in self.candidates}
        self._elsewhere = {path: now for path, now in elsewhere.items() if path not in used}

    @property
    def warnings(self) -> list[str]:
        """Which flats are old, and why other masters are not used."""
        return [
            *self._old_flat_sentences(),
            *self._elsewhere_sentences(),
            *self._unused_sentences(),
        ]

    def _old_flat_sentences(self) -> Iterator[str]:
        if self._old_flats:
            fate, *others = dict.fromkeys(self._old_flats.values())
            is_one = len(self._old_flats) == 1
            are, them = ("is", "it") if is_one else ("are", "them")
            if others:
                fate = f"of the first: {fate}"
            elif not is_one:
                fate = _plural(fate)
            yield (
                f"output_dir: {_named([*map(master_name, self._old_flats)])} {are} of an earlier "
                f"run, and not what the frames make now: {fate}; {_PRUNE.format(them)}"
            )

    def _elsewhere_sentences(self) -> Iterator[str]:
        if self._elsewhere:
            before, now = next(iter(self._elsewhere.items()))
            count = len(self._elsewhere)
            what, them = (f"{count} masters", "them") if count > 1 else ("1 master", "it")
            yield (
                f"output_dir: no flat uses {what} of an earlier master_format or layout: {before} "
                f"is {now} now; delete {them}, or run: snakemake orphans --config prune=true"
            )

    def _unused_sentences(self) -> list[str]:
        return [
            _unused_sentence(fate, [*dict.fromkeys(names)]) for fate, names in self._unused.items()
        ]


def _unused_sentence(fate: str, names: Sequence[str]) -> str:
    """Say why masters are not used.

    >>> _unused_sentence("2 of its frames are left out", ["a", "b"])[:64]
    'output_dir: no flat uses a, b: 2 of their frames are left out; t'
    """
    them = "it" if len(names) == 1 else "them"
    if len(names) > 1:
        fate = _plural(fate)
    return (
        f"output_dir: no flat uses {_named(names)}: {fate}; to use {them} anyway, copy {them} to a "
        f"directory of library.bias or library.dark; {_PRUNE.format(them)}"
    )


def _plural(fate: str) -> str:
    return fate.replace("its frames", "their frames")


def kept_in_use(matches: Iterable[Match]) -> Iterator[str]:
    """Say that flats use masters whose frames are gone.

    Whoever deletes bad frames, and not their master, may believe that the master is gone as well.

    Parameters
    ----------
    matches : iterable of Match
        One for each flat.
    """
    flats = [
        names
        for match in matches
        if (names := [each.path for each in match.masters if each.origin == "kept"])
    ]
    if flats:
        names = [*dict.fromkeys(PurePath(path).stem for paths in flats for path in paths)]
        who = "1 flat uses" if len(flats) == 1 else f"{len(flats)} flats use"
        which, what = ("its", "it is") if len(names) == 1 else ("their", "they are")
        them = "it" if len(names) == 1 else "them"
        yield (
            f"output_dir: {who} {_named(names)}, kept there: {which} frames are not in input_dir; "
            f"if {what} not to be used, delete {them}"
        )


def kept_unused(paths: Iterable[str], matches: Iterable[Match]) -> Iterator[str]:
    """Name the masters that are kept without their frames, and that no flat uses.

    Parameters
    ----------
    paths : iterable of str
        Of all masters whose frames are gone.
    matches : iterable of Match
        One for each flat.
    """
    used = {each.path for each in chain.from_iterable(match.masters for match in matches)}
    names = [master_name(path) for path in paths if path not in used]
    if names:
        are, them = ("is", "it") if len(names) == 1 else ("are", "them")
        yield (
            f"output_dir: {_named(names)} {are} kept: no frames in input_dir make {them}; "
            f"{_PRUNE.format(them)}"
        )


class _Present:
    """Finds frames of earlier runs in ``input_dir``, by path or as the same file elsewhere."""

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._paths: set[str] = set()
        self._moved: dict[tuple[str, int, str | int], str] = {}
        for frame in frames:
            self._paths.add(frame.path)
            self._moved[_file(FrameFile(*frame[:3], frame.content))] = frame.path

    def paths(self, files: Iterable[FrameFile]) -> list[str]:
        """Return where those are that are still there."""
        places = (
            file.path if file.path in self._paths else self._moved.get(_file(file))
            for file in files
        )
        return [path for path in places if path]


def _file(file: FrameFile) -> tuple[str, int, str | int]:
    """Return what stays when a file is moved to another folder."""
    return PurePosixPath(file.path).name, file.size, file.content or file.mtime_ns


def _fate(record: MasterRecord | None, present: _Present, verdicts: Mapping[str, Verdict]) -> str:
    """Say what became of the frames of a master; empty if all are gone, or nobody knows them."""
    count = len(record.frames) if record else 0
    there = present.paths(frame.file for frame in record.frames) if record else []
    return fate_of_frames(there, verdicts, gone=count - len(there)) if there else ""


def _record(path: Path) -> MasterRecord | None:
    try:
        return MasterRecord.read(path)
    except (OSError, RecordError):
        return None


def fate_of_frames(there: Sequence[str], verdicts: Mapping[str, Verdict], gone: int) -> str:
    """Say what became of the frames that a master was made of.

    Parameters
    ----------
    there : sequence of str
        Paths of those that are still in ``input_dir``.
    verdicts : mapping of str to Verdict
    gone : int
        Number of the others.
    """
    return "; ".join(_parts([verdicts[path] for path in there], gone)) or "its frames are missing"


def _parts(verdicts: Sequence[Verdict], gone: int) -> Iterator[str]:
    if gone and verdicts:
        yield f"{gone} of its {gone + len(verdicts)} frames are missing"
    if groups := sorted({each.group for each in verdicts if each.status is Status.USED}):
        yield f"its frames make {', '.join(groups)} now"
    if left_out := [each.reason for each in verdicts if each.status is not Status.USED]:
        yield f"{len(left_out)} of its frames are left out: {left_out[0]}"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
