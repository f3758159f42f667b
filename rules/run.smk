# What a run does before the first job and after the last: it has output_dir for itself
# (calmasters/running/lock.py), and keeps the masters that it makes again until the new ones are there
# (calmasters/running/kept_masters.py). Previews, and rules that only print, do without. With pixinsight.session:
# shared it has one PixInsight (docs/decisions/0020-a-supervisor-holds-one-pixinsight.md).

import atexit

from calmasters.engines import needs_of
from calmasters.running.run import Run, told

RUN = Run(OUTPUT)

#: Rules that change nothing; but `orphans` moves masters where it is told to.
SHOWING = {"why", "summary", *([] if SETTINGS.prune else ["orphans"])}


def begin():
    """Have output_dir for this run alone; its jobs' own processes belong to it."""
    if workflow.is_main_process:
        try:
            told = RUN.begin()
        except CalmastersError as error:
            raise WorkflowError(str(error)) from error
        atexit.register(leave)
        for words in told:
            logger.warning(words)


def changes_something():
    return any(job.rule.name not in SHOWING for job in workflow.dag.needrun_jobs())


def about_to_be_made():
    """The masters that Snakemake will remove first; the inventory adds those it finds stale."""
    forced = workflow.dag_settings.forceall or workflow.dag_settings.forcerun
    if forced:
        files = (OUTPUT / "masters").rglob(f"*.{SETTINGS.master_format}")
    else:
        jobs = workflow.dag.needrun_jobs()
        files = (Path(file) for job in jobs for file in job.output)
    made = (file.relative_to(OUTPUT) for file in files if file.is_relative_to(OUTPUT))
    return [file.as_posix() for file in made if file.parts[0] == "masters"]


def end():
    back = RUN.end()
    for master in back:
        logger.error(told(master))
    # Snakemake has recorded what the input of the failed job holds, by which it would take the
    # master that is back for made of it.
    files = {f"{OUTPUT.as_posix()}/{master}" for master in back}
    for job in workflow.dag.jobs if files else ():
        if files.intersection(job.output):
            workflow.persistence.cleanup(job)


def leave():
    """End at the latest with the process: Snakemake's own errors come by no handler."""
    end()
    RUN.release()


def begin_session():
    """Have one program make the masters of this run, where the engine has that."""
    # Jobs of a cluster have memory of their own, and other hosts.
    if workflow.is_main_process and workflow.local_exec:
        if end_session := needs_of(SETTINGS.engine).begin_session(SETTINGS):
            # Snakemake's own hooks are not called when it is interrupted.
            atexit.register(end_session)


onstart:
    if changes_something():
        begin()
        RUN.keep(about_to_be_made())
        begin_session()


onsuccess:
    end()


onerror:
    end()
