"""Write the PixInsight scripts of all masters."""

import sys
from pathlib import Path

import calmasters.interrupts  # noqa: F401
from calmasters.engines.pixinsight.engine import PixInsightEngine
from calmasters.engines.pixinsight.user_scripts import write_scripts
from calmasters.errors import exit_on_error
from calmasters.model.job import MasterJob
from calmasters.model.layout import job_path_of
from calmasters.planning.plan_file import Plan
from calmasters.settings import input_root

output_dir = Path(snakemake.config["output_dir"]).expanduser()

with exit_on_error(Path(snakemake.log[0])):
    plan = Plan.load(Path(snakemake.input.plan))
    write_scripts(
        [
            (planned.short_name, MasterJob.read(output_dir / job_path_of(master)))
            for master, planned in plan.masters.items()
        ],
        PixInsightEngine.from_config(snakemake.config),
        input_dir=input_root(snakemake.config["input_dir"]),
        output_dir=output_dir,
        folder=Path(snakemake.output.scripts),
    )
    print(f"Run in PixInsight: {Path(snakemake.output.scripts, 'all.js')}", file=sys.stderr)
