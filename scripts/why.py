"""Say in words why each stale master is made again; write nothing."""

import sys

from calmasters.errors import reported
from calmasters.planning.planner import decide
from calmasters.planning.stale_reasons import format_reasons, stale_reasons
from calmasters.settings import Settings

with reported():
    settings = Settings.from_config(snakemake.config)
    reasons = stale_reasons(decide(settings).jobs, settings.output_dir)
    print(format_reasons(reasons) or "Every master is current.", file=sys.stderr)
