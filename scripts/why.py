"""Say in words why each stale master is made again; write nothing."""

import sys

from calmasters import why
from calmasters.decision import decide
from calmasters.errors import reported
from calmasters.settings import Settings

with reported():
    settings = Settings.from_config(snakemake.config)
    found = why.explain(decide(settings).jobs, settings.output_dir)
    print(why.told(found) or "Every master is as its job says.", file=sys.stderr)
