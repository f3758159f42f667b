# What the rules ask. calmasters/workflow/ answers; nothing is decided here.

from calmasters.workflow.report_inputs import ReportInputs
from calmasters.workflow.workflow import Workflow

WORKFLOW = Workflow(SETTINGS, is_main_process=workflow.is_main_process)
REPORT = ReportInputs(WORKFLOW, SETTINGS)

if CONSOLE:
    CONSOLE.attach(WORKFLOW)


def is_forced():
    return bool(workflow.dag_settings.forceall or workflow.dag_settings.forcerun)


def prepared():
    """The object that answers, once Snakemake knows what kind of run this is."""
    if not WORKFLOW.is_prepared:
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
        for message in messages:
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
        checkpoints.inventory.get()
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
