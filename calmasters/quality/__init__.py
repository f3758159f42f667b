"""Numbers about a master and its frames, and what they mean.

``sample`` reads the frames, ``pairs`` and ``sequence`` measure noise and change between them,
``surface`` measures the master, ``judgement`` holds the numbers against their ranges, ``measure``
puts it together, ``camera`` tells what belongs together, ``defects`` lists bad pixels, ``trend``
follows a camera over the months. Only ``camera`` and ``judgement`` are light enough for the rules.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MEASURE_VERSION"]

#: Raise it when a number or a picture is made in another way: all are measured anew.
MEASURE_VERSION: Final = 1
