"""Masters and their numbers to pictures, plots and one page.

``pictures`` makes previews of masters, ``plots`` draws what is measured, ``pages`` writes the
report.
"""

from __future__ import annotations

__all__ = ()
