"""Write inventory.csv, plan.json and the job files."""

from pathlib import Path

import calmasters.interrupts  # noqa: F401
from calmasters.commands.summary import summarize
from calmasters.errors import exit_on_error
from calmasters.planning.checkpoint import refresh_plan
from calmasters.settings import Settings

log = Path(snakemake.log[0])
with exit_on_error(log):
    decision = refresh_plan(Settings.from_config(snakemake.config))
    log.write_text(summarize(decision), encoding="utf-8", errors="backslashreplace")
