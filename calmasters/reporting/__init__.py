"""The report: previews of masters, plots of their numbers, and the page.

``pictures`` makes the previews, ``plots`` draws the numbers (``panels`` has axes and marks),
``digits`` writes them, ``masters`` prepares the data of each master, ``collect`` reads the results
of a run, ``pages`` writes the page.
"""

from __future__ import annotations

__all__ = ()
