"""Print what a person wants to know of a directory of frames; write nothing."""

import sys
from pathlib import Path

from calmasters.decision import decide
from calmasters.errors import reported
from calmasters.settings import Settings
from calmasters.summary import summarize

schema = Path(snakemake.scriptdir).parent / "config" / "config.schema.yaml"

with reported():
    print(summarize(decide(Settings.from_config(snakemake.config, schema))), file=sys.stderr)
