# What a run does before the first job and after the last: it has output_dir for itself, and keeps
# the masters that it rebuilds until the new ones are there. Previews, and rules that only print, do
# without. With pixinsight.session: shared it has one PixInsight for all masters.

import atexit

#: Rules that change nothing; but `orphans` moves masters where it is told to.
SHOWING = {"why", "summary", *([] if SETTINGS.prune else ["orphans"])}


def end():
    for message in WORKFLOW.end():
        logger.error(message)


def leave():
    """End at the latest with the process: Snakemake's own errors come by no handler."""
    end()
    WORKFLOW.release()


def begin_session():
    """Have one PixInsight make the masters of this run, where that is asked for."""
    is_shared = (
        SETTINGS.engine == "pixinsight" and SETTINGS.pixinsight.session == "shared"
    )
    # Jobs of a cluster have memory of their own, and other hosts.
    if is_shared and workflow.is_main_process and workflow.local_exec:
        from calmasters.engines.pixinsight.session import begin

        # Snakemake's own hooks are not called when it is interrupted.
        log = SETTINGS.output_dir / "logs" / "pixinsight.log"
        atexit.register(begin(log).communicate)


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
        WORKFLOW.keep(outputs, is_forced=is_forced())
        begin_session()


onsuccess:
    end()


onerror:
    end()
