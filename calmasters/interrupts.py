"""Import this first in a script: Ctrl-C ends it without a traceback, also during its imports.

What must be cleaned up after a signal, another program, sets handlers of its own
(:func:`calmasters.engines.subprocesses.run`); temporary files are removed by the main process.

The linear algebra of NumPy gets one thread, before it starts more: nothing here needs them, and
those that wait for work are busy for a while.
"""

from __future__ import annotations

import os
import signal

__all__: list[str] = []

signal.signal(signal.SIGINT, signal.SIG_DFL)
os.environ["OPENBLAS_NUM_THREADS"] = "1"
