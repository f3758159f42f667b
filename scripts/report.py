"""Write the report of a run."""

from pathlib import Path

import calmasters.interrupts  # noqa: F401
from calmasters.errors import exit_on_error
from calmasters.model.layout import LEAVE_OUT
from calmasters.quality.leave_out import write_leave_out
from calmasters.reporting.collect import read_content
from calmasters.reporting.metrics import metrics_table, write_metrics
from calmasters.reporting.pages import write_report
from calmasters.settings import Settings

with exit_on_error(Path(snakemake.log[0])):
    settings = Settings.from_config(snakemake.config)
    content = read_content(settings, Path(snakemake.input.plan))
    write_leave_out(
        settings.output_dir / LEAVE_OUT,
        content.odd_frames,
        content.odd_but_kept,
        settings.exclude,
    )
    write_metrics(
        Path(snakemake.output.metrics), metrics_table(content.masters, settings.headers.extra)
    )
    write_report(Path(snakemake.output.page), content)
