"""The engine that has Siril make the masters.

It puts the frames into a folder as one of Siril's sequences (:mod:`.sequence`), writes a script
(:mod:`.script`), runs siril-cli with it (:mod:`.program`), and writes the master of what it finds
then (:mod:`.result`).
"""

from __future__ import annotations

__all__: list[str] = []
