"""Write the report of a run."""

from pathlib import Path

import calmasters.interrupts  # noqa: F401
from calmasters.errors import exit_on_error
from calmasters.reporting.collect import read_content
from calmasters.reporting.pages import write_report
from calmasters.settings import Settings

with exit_on_error(Path(snakemake.log[0])):
    settings = Settings.from_config(snakemake.config)
    content = read_content(settings, Path(snakemake.input.plan))
    write_report(Path(snakemake.output.page), content)
