"""Write the report of a run."""

from pathlib import Path

from calmasters.errors import reported
from calmasters.reporting.collect import collect
from calmasters.reporting.pages import write_report
from calmasters.settings import Settings

with reported(Path(snakemake.log[0])):
    settings = Settings.from_config(snakemake.config)
    write_report(Path(snakemake.output.page), collect(settings, Path(snakemake.input.plan)))
