"""Write inventory.csv, plan.json and the job files."""

from pathlib import Path

from calmasters import plan
from calmasters.errors import reported
from calmasters.settings import Settings
from calmasters.summary import summarize

log = Path(snakemake.log[0])
schema = Path(snakemake.scriptdir).parent / "config" / "config.schema.yaml"

with reported(log):
    decision = plan.write(Settings.from_config(snakemake.config, schema))
    log.write_text(summarize(decision), encoding="utf-8", errors="backslashreplace")
