"""The engine that has PixInsight make the masters.

It writes a script (:mod:`.script`), runs PixInsight with it (:mod:`.runner`) and believes nothing
but the script's own report (:mod:`.status`) and a master that it can read itself (:mod:`.result`).
"""

from __future__ import annotations

__all__: list[str] = []
