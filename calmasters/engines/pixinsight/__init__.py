"""The engine that has PixInsight make the masters.

It writes a script (:mod:`.script`), runs PixInsight with it (:mod:`.runner`) and believes nothing
but the script's own report (:mod:`.status`) and a master that it can read itself (:mod:`.result`).
"""

from calmasters.engines.pixinsight.engine import PixInsightEngine

__all__ = ["PixInsightEngine"]
