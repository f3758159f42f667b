"""Make one master (bias, dark or flat) from its job file."""

from pathlib import Path

import calmasters.interrupts  # noqa: F401
from calmasters.engines import engine_for
from calmasters.errors import exit_on_error
from calmasters.model.job import MasterJob

log = Path(snakemake.log[0])

with exit_on_error(log):
    job = MasterJob.read(Path(snakemake.input.job))
    engine_for(job, snakemake.config, snakemake.threads).make(
        job,
        input_dir=Path(snakemake.config["input_dir"]).expanduser(),
        output_dir=Path(snakemake.config["output_dir"]).expanduser(),
        output=Path(snakemake.output.master),
        log=log,
    )
