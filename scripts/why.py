"""Say in words why each stale master is made again; write nothing."""

import sys

from calmasters.errors import reported
from calmasters.planning import stale_reasons as why
from calmasters.planning.planner import decide
from calmasters.settings import Settings

with reported():
    settings = Settings.from_config(snakemake.config)
    found = why.explain(decide(settings).jobs, settings.output_dir)
    print(why.told(found) or "Every master is as its job says.", file=sys.stderr)
