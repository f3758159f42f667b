"""The engine that makes masters with PixInsight.

It writes a script (:mod:`.script`), runs PixInsight with it (:mod:`.runner`), and relies only on
the report of the script (:mod:`.status`) and on a master that it can read (:mod:`.result`).
"""

from __future__ import annotations

__all__: list[str] = []
