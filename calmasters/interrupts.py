"""Import this first in a script: Ctrl-C ends it without a traceback, also during its imports.

What must be cleaned up after a signal, another program, sets handlers of its own
(:func:`calmasters.engines.subprocesses.run`); temporary files are removed by the main process.
"""

from __future__ import annotations

import signal

__all__: list[str] = []

signal.signal(signal.SIGINT, signal.SIG_DFL)
