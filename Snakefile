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

from calmasters import WORKFLOW_FILES
from calmasters.config_check import (
    fill_defaults,
    has_settings,
    translated,
    typed_config,
)
from calmasters.console.console import install
from calmasters.errors import CalmastersError
from calmasters.frame import FrameType
from calmasters.libraries import require_same_version
from calmasters.model.layout import master_folder
from calmasters.running.python_path import StartablePython
from calmasters.running.working_directory import require_writable_directory
from calmasters.settings import Settings
from calmasters.workflow.targets import RULES

# What a run shows on the terminal, from here on.
CONSOLE = install(workflow, logger)

min_version("9.27")  # pathvars


SCHEMA = WORKFLOW_FILES / "config" / "config.schema.yaml"
OWN_CONFIG = Path("config/config.yaml")

try:
    require_writable_directory()
    has_own_config = OWN_CONFIG.is_file() and has_settings(OWN_CONFIG)
except CalmastersError as error:
    raise WorkflowError(str(error)) from error

# A config/config.yaml of the working directory has priority over the defaults. In a module of another
# workflow, Snakemake does not read it: `config:` of the module takes its place.
if has_own_config:

    configfile: "config/config.yaml"


try:
    require_same_version(Path(workflow.source_path("config/config.yaml")))
    # In place: this is the dictionary that scripts get.
    fill_defaults(config, WORKFLOW_FILES / "config" / "config.yaml")
    if workflow.config_settings.config:
        config.update(typed_config(config, SCHEMA))
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


include: "rules/common.smk"
include: "rules/run.smk"


rule masters:
    """Make every master of the plan."""
    input:
        all_masters,
    localrule: True


include: "rules/inventory.smk"
include: "rules/masters.smk"
include: "rules/pixinsight.smk"
include: "rules/engines.smk"
include: "rules/report.smk"


# In a module of another workflow, rules may have other names, and some may not be used.
if CONSOLE:
    OWN = (name for name in (*RULES, "report_page") if rules.has(name))
    CONSOLE.attach(WORKFLOW, {getattr(rules, name).rule.name: name for name in OWN})
