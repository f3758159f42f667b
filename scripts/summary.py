"""Print what a person wants to know of a directory of frames; write nothing."""

import sys

from calmasters.decision import decide
from calmasters.errors import reported
from calmasters.settings import Settings
from calmasters.summary import summarize

with reported():
    print(summarize(decide(Settings.from_config(snakemake.config))), file=sys.stderr)
