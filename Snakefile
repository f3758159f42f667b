# Raw astronomical frames in one directory to calibration masters: bias, dark, flat.
#
#     snakemake masters        make what is missing or stale
#     snakemake -n masters     show what would be made
#     snakemake scripts        only write scripts to be run in PixInsight by hand
#     snakemake report         previews, numbers, what is wrong and why: output/report.html
#     snakemake summary        frames by type, what was refused and why, what to shoot next
#     snakemake why            what changed for each master that is stale
#     snakemake engine_check   check the installed PixInsight or Siril
#     snakemake compare        masters by several engines, compared pixel by pixel
#     snakemake orphans        masters that no frames make any more

import atexit
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import min_version

from calmasters.config_check import translated, typed_config
from calmasters.console.console import install
from calmasters.errors import CalmastersError
from calmasters.frame import FrameType
from calmasters.model.layout import master_folder
from calmasters.running.python_path import StartablePython
from calmasters.settings import Settings

# What a run shows on the terminal, from here on.
CONSOLE = install(workflow, logger)

min_version("9.27")  # pathvars


# Defaults come from the repository; a config/config.yaml of the working directory overrides them.
configfile: str(Path(workflow.basedir, "config", "config.yaml"))


if Path("config/config.yaml").is_file():

    configfile: "config/config.yaml"


SCHEMA = Path(workflow.basedir, "config", "config.schema.yaml")
if workflow.config_settings.config:
    config.update(typed_config(config, SCHEMA))

try:
    SETTINGS = Settings.from_config(config, SCHEMA)
    PYTHON = StartablePython()
except CalmastersError as error:
    raise WorkflowError(str(error)) from error

# Snakemake starts each job by this path.
sys.executable = PYTHON.path
atexit.register(PYTHON.close)

if CONSOLE:
    for message in translated(config)[1]:
        logger.warning(message)


pathvars:
    output=SETTINGS.output_dir.as_posix(),
    biases=master_folder(FrameType.BIAS, SETTINGS.layout),
    darks=master_folder(FrameType.DARK, SETTINGS.layout),
    flats=master_folder(FrameType.FLAT, SETTINGS.layout),
    format=SETTINGS.master_format,


report: "report/workflow.rst"


localrules:
    masters,
    inventory,
    summary,
    bug_report,
    why,
    orphans,
    scripts,
    verdict,
    report,
    engine_check,
    compare,


include: "rules/common.smk"
include: "rules/run.smk"


rule masters:
    """Make every master of the plan."""
    input:
        all_masters,


include: "rules/inventory.smk"
include: "rules/masters.smk"
include: "rules/pixinsight.smk"
include: "rules/engines.smk"
include: "rules/report.smk"
