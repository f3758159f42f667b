"""Print why each stale master will be rebuilt; write nothing."""

import sys

import calmasters.interrupts  # noqa: F401
from calmasters.errors import exit_on_error
from calmasters.planning.planner import decide
from calmasters.planning.stale_reasons import format_reasons, stale_reasons
from calmasters.settings import Settings

with exit_on_error():
    settings = Settings.from_config(snakemake.config)
    decision = decide(settings)
    reasons = stale_reasons(decision.jobs, settings.output_dir)
    print(
        format_reasons(reasons, decision.short_names) or "Every master is current.", file=sys.stderr
    )
