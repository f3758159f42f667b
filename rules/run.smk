# What a run does before the first job and after the last: it has output_dir for itself, and saves
# the masters that it rebuilds until the new ones are there. Previews, and rules that only print, do
# without. An engine may need something of its own for the whole run, such as one PixInsight.

import atexit
from contextlib import chdir
from pathlib import Path

from calmasters.engines import needs_of

#: Rules that change nothing; but `orphans` moves masters where the configuration says so.
SHOWING = {
    "why",
    "summary",
    "bug_report",
    "engine_check",
    "compare",
    *([] if SETTINGS.prune else ["orphans"]),
}


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


onstart:
    if any(job.rule.name not in SHOWING for job in workflow.dag.needrun_jobs()):
        try:
            for message in WORKFLOW.begin():
                logger.warning(message)
        except CalmastersError as error:
            raise WorkflowError(str(error)) from error
        outputs = (
            file for job in workflow.dag.needrun_jobs() for file in job.output
        )
        WORKFLOW.save_previous(outputs, is_forced=is_forced())
        begin_session()


onsuccess:
    end()


onerror:
    end()
