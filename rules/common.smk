# What the rules ask. calmasters/workflow/ answers; nothing is decided here.

from snakemake.settings.types import RerunTrigger

from calmasters.errors import ConfigError
from calmasters.workflow.report_inputs import ReportInputs
from calmasters.workflow.workflow import Workflow

WORKFLOW = Workflow.shared(
    SETTINGS, is_main_process=workflow.is_main_process, checkpoints=checkpoints
)
REPORT = ReportInputs(WORKFLOW, SETTINGS)


def profile_warnings():
    """Say where Snakemake decides what is stale in another way than the profile has it decide."""
    dag = workflow.dag_settings
    is_complete = dag.max_checksum_file_size == 0 and dag.rerun_triggers <= {
        RerunTrigger.MTIME,
        RerunTrigger.PARAMS,
    }
    # A job of a cluster is not asked what is stale.
    if workflow.is_main_process and not is_complete:
        yield (
            "Snakemake runs without rerun-triggers: [mtime, params] and max-checksum-file-size: 0, "
            "so it may keep stale masters and rebuild current ones: add --workflow-profile "
            f"{WORKFLOW_FILES / 'profiles' / 'default'}, or these settings to your profile"
        )


def is_forced():
    return bool(workflow.dag_settings.forceall or workflow.dag_settings.forcerun)


def prepared():
    """The object that answers, once Snakemake knows what kind of run this is."""
    if not WORKFLOW.is_prepared:
        begin_with_outer_workflow()
        is_picture = workflow.executor_plugin is None
        options = {"--until": workflow.dag_settings.until, "--touch": workflow.touch}
        # A dry run always counts as local; only a cluster is given a number of jobs.
        is_local = workflow.local_exec and not (
            workflow.dryrun and workflow.resource_settings.nodes
        )
        try:
            messages = WORKFLOW.prepare(
                is_preview=is_picture or workflow.dryrun,
                wants_all=is_picture or is_forced() or workflow.touch,
                makes_masters=not (is_picture or workflow.touch),
                is_local=is_local,
                options=[name for name, used in options.items() if used],
            )
            reasons = WORKFLOW.explanation if workflow.dryrun else ""
        except CalmastersError as error:
            raise WorkflowError(str(error)) from error
        for message in [*profile_warnings(), *messages]:
            logger.warning(message)
        if reasons:
            logger.warning(f"Why masters are made:\n{reasons}")
    return WORKFLOW


def planned():
    """The object that answers, once the checkpoint has run, if it has to run.

    A preview does not wait for it. Where the plan holds, the masters are known at once: otherwise
    Snakemake would add them only after it has looked for the rules of --until.
    """
    if not prepared().is_preview and (WORKFLOW.trigger() or is_forced()):
        WORKFLOW.checkpoints.inventory.get()
    return WORKFLOW


def reported():
    """The object that answers about the report, once the checkpoint has run."""
    planned()
    return REPORT


def as_input(master):
    """A bias or dark as an input. A library's counts by its content, not by its time."""
    file = WORKFLOW.used_input(master)
    return ancient(file) if file and master.origin == "library" else file


# --- input functions, and resources of the jobs that Snakemake will run -----------------------------


def asked_alone(rule_name):
    """No input: the rule reads what runs left, also those that failed, so it must come after them."""
    if len(workflow.dag_settings.targets) > 1:
        raise ConfigError(
            f"{rule_name} packs what earlier runs left in output_dir: ask for it alone, after the "
            "run that shows the problem"
        )
    return []


def all_masters(wildcards):
    return planned().targets()


def plan_file(wildcards):
    return prepared().path("plan.json")


def job_of(kind):
    return lambda wildcards: planned().job_input(kind, wildcards.name)


def flat_bias(wildcards):
    return as_input(planned().planned("flat", wildcards.name).bias)


def flat_dark(wildcards):
    return as_input(planned().planned("flat", wildcards.name).dark)


def threads_needed(wildcards):
    return planned().threads(wildcards.name)


def memory_needed(wildcards, threads, attempt):
    return attempt * planned().memory_mb(wildcards.name, threads)


def runtime_needed(wildcards, attempt):
    return attempt * planned().runtime_min(wildcards.name)
