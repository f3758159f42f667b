"""The engine that makes masters with Siril.

It puts the frames into a folder as a sequence of Siril (:mod:`.sequence`), writes a script
(:mod:`.script`), runs siril-cli with it (:mod:`.program`), and writes the master from the result
(:mod:`.result`).
"""

from __future__ import annotations

__all__: list[str] = []
