"""Numbers about a master and its frames, and what they mean.

``sample`` reads rows of the frames; ``pairs`` and ``sequence`` measure noise and change between
frames, ``surface`` measures the master. ``noise_by_region`` measures read noise, gain, white and
linearity of each amplifier and colour (``regions``), with ``tiles`` of pairs of frames,
``read_noise``, ``photon_transfer`` and ``response``; each is an ``estimate``. ``lighting``
recognizes flats of spectrographs. ``verification`` applies a master to its frames, ``previous`` and
``changes`` compare it with the one before; ``telegraph`` finds pixels that jump.

``judgement`` compares the numbers with their ranges, after ``limits`` has adapted these to the
master; ``clusters`` finds frames that do not belong together. ``measurement`` reads a master and
its frames once for all numbers, ``frame_findings`` says what is wrong, and ``measure`` makes a
``quality_record`` of it. With the records of all masters, ``own_history`` judges by what is usual
for a camera; ``causes`` groups what was found. ``camera`` groups the masters of a camera setting,
``defects`` maps bad pixels, ``trend`` follows a camera setting over the nights,
``dark_temperature`` over the temperatures; ``leave_out`` lists the frames that differ. Only
``camera``, ``causes``, ``digits``, ``estimate``, ``judgement``, ``leave_out``, ``own_history`` and
``quality_record`` import quickly enough for the rules.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MEASURE_VERSION"]

#: Raise it when a number or a picture is made in another way: all masters are measured again.
MEASURE_VERSION: Final = 3
