"""Write the PixInsight scripts of all masters."""

from pathlib import Path

import calmasters.interrupts  # noqa: F401
from calmasters.engines.pixinsight.engine import PixInsightEngine
from calmasters.errors import exit_on_error
from calmasters.model.layout import job_path_of
from calmasters.planning.plan_file import Plan

output_dir = Path(snakemake.config["output_dir"]).expanduser()

with exit_on_error(Path(snakemake.log[0])):
    plan = Plan.load(Path(snakemake.input.plan))
    PixInsightEngine.from_config(snakemake.config).write_scripts(
        [output_dir / job_path_of(master) for master in plan.masters],
        input_dir=Path(snakemake.config["input_dir"]).expanduser(),
        output_dir=output_dir,
        folder=Path(snakemake.output.scripts),
    )
