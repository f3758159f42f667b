"""A run on an ``output_dir``: what it does before the first thing is made, and after the last."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from calmasters.atomic_files import sweep, sweep_temporary
from calmasters.errors import OutputError, os_error_message
from calmasters.running import previous_masters
from calmasters.running.lock import RunLock

__all__ = ["Run"]


class Run:
    """One run, which has ``output_dir`` for itself from :meth:`begin` to :meth:`release`.

    Parameters
    ----------
    output_dir : Path
    """

    def __init__(self, output_dir: Path) -> None:
        self._output_dir = output_dir
        self._lock = RunLock(output_dir)
        self._has_begun = False

    @property
    def was_interrupted(self) -> bool:
        """Whether the previous run was killed, and nobody has cleaned up after it."""
        left = self._lock.exists or previous_masters.restore_needed(self._output_dir)
        return left and not self._lock.is_held

    def begin(self) -> list[str]:
        """Take ``output_dir``, and clean up after a run that was killed; once.

        Returns
        -------
        list of str
            What a person should know.

        Raises
        ------
        OutputError
            If another run is at work there, or it cannot be written.
        """
        if self._has_begun:
            return []
        try:
            left_by = self._lock.take()
            self._has_begun = True
            messages = [f"The previous run was interrupted ({left_by}); resuming."] * bool(left_by)
            return messages + [
                f"It could not rebuild {master}; restored the previous version."
                for master in self.end()
            ]
        except OSError as error:
            raise OutputError(
                f"output_dir '{self._output_dir}': {os_error_message(error)}"
            ) from error

    @property
    def now_ns(self) -> int:
        """The time of now by the clock of the disk; for a run that has begun."""
        return self._lock.now_ns()

    def save_previous(self, masters: Iterable[str]) -> None:
        """Save masters that are about to be rebuilt, until the new ones are there."""
        previous_masters.save(self._output_dir, masters)

    def end(self) -> list[str]:
        """Restore masters that could not be rebuilt, and remove what killed jobs have left.

        Returns
        -------
        list of str
            The masters restored, relative to ``output_dir``.
        """
        if not self._has_begun:
            return []
        sweep(self._output_dir)
        sweep_temporary()
        return previous_masters.restore(self._output_dir)

    def release(self) -> None:
        """Leave ``output_dir`` to others."""
        self._lock.release()
