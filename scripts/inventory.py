"""Write inventory.csv, plan.json and the job files."""

from pathlib import Path

from calmasters.commands.summary import summarize
from calmasters.errors import reported
from calmasters.planning.checkpoint import refresh_plan
from calmasters.settings import Settings

log = Path(snakemake.log[0])
with reported(log):
    decided = refresh_plan(Settings.from_config(snakemake.config))
    log.write_text(summarize(decided), encoding="utf-8", errors="backslashreplace")
