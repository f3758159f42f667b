"""Print what a person wants to know of a directory of frames; write nothing."""

import sys

from calmasters.commands.summary import summarize
from calmasters.errors import reported
from calmasters.planning.planner import decide
from calmasters.settings import Settings

with reported():
    print(summarize(decide(Settings.from_config(snakemake.config))), file=sys.stderr)
