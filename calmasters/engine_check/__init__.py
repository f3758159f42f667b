"""Check an installed application: known small masters, compared with the native engine.

:mod:`.cases` has the frames, :mod:`.check` makes the masters and compares them, :mod:`.table` shows
the result, and :mod:`.bug_report` packs what a bug report needs, without personal paths.
"""

from __future__ import annotations

__all__: list[str] = []
