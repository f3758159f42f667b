"""A run on an ``output_dir``: what it does before the first thing is made, and after the last."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from calmasters.atomic_files import sweep, sweep_temporary
from calmasters.errors import OutputError, explained
from calmasters.running import kept_masters as previous
from calmasters.running.lock import RunLock

__all__ = ["Run", "told"]


class Run:
    """One run, which has ``output_dir`` for itself from :meth:`begin` to :meth:`release`.

    Parameters
    ----------
    output_dir : Path
    """

    def __init__(self, output_dir: Path) -> None:
        self._output_dir = output_dir
        self._lock = RunLock(output_dir)
        self._begun = False

    @property
    def was_cut_short(self) -> bool:
        """Whether a run before was killed, and nobody has put that in order."""
        left = self._lock.exists or previous.put_back_needed(self._output_dir)
        return left and not self._lock.is_held

    def begin(self) -> list[str]:
        """Take ``output_dir`` and mend what a killed run has left there; once.

        Returns
        -------
        list of str
            What a person should know.

        Raises
        ------
        OutputError
            If another run is at work there, or it cannot be written.
        """
        if self._begun:
            return []
        try:
            left_by = self._lock.take()
            self._begun = True
            words = [f"A run before was cut short ({left_by}); going on from there."]
            return [*(words if left_by else []), *map(told, self.end())]
        except OSError as error:
            raise OutputError(f"output_dir '{self._output_dir}': {explained(error)}") from error

    def keep(self, masters: Iterable[str]) -> None:
        """Keep masters that are about to be made again."""
        previous.keep(self._output_dir, masters)

    def end(self) -> list[str]:
        """Put back masters that could not be made again, and remove what killed jobs have left.

        Returns
        -------
        list of str
            The masters that are back, relative to ``output_dir``.
        """
        if not self._begun:
            return []
        sweep(self._output_dir)
        sweep_temporary()
        return previous.put_back(self._output_dir)

    def release(self) -> None:
        """Leave ``output_dir`` to others."""
        self._lock.release()


def told(master: str) -> str:
    """Say that a master is back."""
    return f"{master} was not made again: the one made before is back, and still stale."
