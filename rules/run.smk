# What a run does before the first job and after the last: it has output_dir for itself, and saves
# the masters that it rebuilds until the new ones are there. Previews, and rules that only print, do
# without. An engine may need something of its own for the whole run, such as one PixInsight.

import atexit
from contextlib import chdir
from pathlib import Path

from calmasters.engines import needs_of

#: With --directory, Snakemake goes back to where it was started before the process ends.
DIRECTORY = Path.cwd()


def end():
    for message in WORKFLOW.end():
        logger.error(message)


def leave():
    """End at the latest with the process: Snakemake's own errors come by no handler."""
    with chdir(DIRECTORY):
        end()
        WORKFLOW.release()


def begin_session():
    """Have one program make the masters of this run, where the engine has that."""
    # Jobs of a cluster have memory of their own, and other hosts.
    if workflow.is_main_process and workflow.local_exec:
        if end_session := needs_of(SETTINGS.engine).begin_session(SETTINGS):
            # Snakemake's own hooks are not called when it is interrupted.
            atexit.register(end_session)


atexit.register(leave)


def begin_run():
    """Take output_dir, where this run makes something in it or moves orphans."""
    jobs = [*workflow.dag.needrun_jobs()]
    outputs = [file for job in jobs for file in job.output if WORKFLOW.is_own(file)]
    # Rules that only print have no output.
    prunes = SETTINGS.prune and rules.has("orphans")
    prunes = prunes and any(job.rule is rules.orphans.rule for job in jobs)
    if WORKFLOW.has_started or not (outputs or prunes):
        return
    try:
        for message in WORKFLOW.begin():
            logger.warning(message)
    except CalmastersError as error:
        raise WorkflowError(str(error)) from error
    WORKFLOW.save_previous(outputs, is_forced=is_forced())
    begin_session()


# Later it is always that of the outer workflow.
IS_MODULE = not workflow.modifier.is_main_snakefile()


def both(own, outer):
    def call(log):
        own()
        outer(log)

    return call


def begin_with_outer_workflow():
    """As a module: have the hooks of the outer workflow begin and end this run, too.

    Snakemake calls only those. Their attributes are not public.
    """
    if IS_MODULE:
        workflow._onstart = both(begin_run, workflow._onstart)
        workflow._onsuccess = both(end, workflow._onsuccess)
        workflow._onerror = both(end, workflow._onerror)


def end_at_once():
    """Have Snakemake end when its work is done.

    It limits how many jobs it starts in a second, by a timer that it then waits for. Only a cluster
    needs that limit.
    """
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


onstart:
    end_at_once()
    begin_run()


onsuccess:
    end()


onerror:
    end()
