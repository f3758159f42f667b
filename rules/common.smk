# What the rules ask of the plan. Decisions are made in calmasters/planning/planner.py, none here.
#
# A preview (dry run, --dag, --summary) decides in memory and writes nothing, so that it shows the
# whole plan before the checkpoint has ever run.

import os
import time
from functools import lru_cache

from snakemake.logging import logger

from calmasters.planning import stale_reasons as why
from calmasters.inventory.content_digests import ContentDigests
from calmasters.atomic_files import temporary_folder
from calmasters.model.job import JOB_TIME_NS, beside, stored_digest
from calmasters.planning.plan_file import (
    Plan,
    date_back,
    is_ahead,
    is_made,
    job_file,
    load_stale_jobs,
    outdate_plan,
    scan,
    unsettled,
)
from calmasters.inventory.scan import fingerprint

OUTPUT = SETTINGS.output_dir
TOMORROW_NS = time.time_ns() + 86_400 * 10**9


def previewing():
    """Tell whether nothing will be run; known only once Snakemake builds its graph."""
    return workflow.executor_plugin is None or workflow.dryrun


@lru_cache(1)
def scanned():
    contents = ContentDigests(SETTINGS)
    found = scan(SETTINGS, contents)
    if workflow.is_main_process and not previewing():
        contents.save()
    return found


@lru_cache(1)
def current_plan():
    """The plan on disk where it still holds, else None."""
    try:
        stored = Plan.load(OUTPUT / "plan.json")
        return stored if stored.is_current(SETTINGS, scanned().digest) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@lru_cache(1)
def previewed():
    # Only previews decide; a run leaves that to the checkpoint.
    from calmasters.planning.planner import decide, require_sound

    decision = decide(SETTINGS)
    require_sound(decision, SETTINGS)
    return decision


@lru_cache(1)
def reasons():
    """Why masters are made, by master."""
    current = current_plan()
    jobs = load_stale_jobs(OUTPUT, current) if current else previewed().jobs
    return why.explain(jobs, OUTPUT)


@lru_cache(1)
def previewed_plan():
    if words := workflow.dryrun and why.told(reasons()):
        logger.info(f"Why masters are made:\n{words}")
    return current_plan() or previewed().plan


@lru_cache(1)
def outdated():
    """Tell whether the plan no longer holds; a run then dates it so that Snakemake sees it."""
    # A job's own process takes the plan as it is, also when frames arrive meanwhile.
    if not workflow.is_main_process:
        return False
    if not previewing() and RUN.was_cut_short:
        begin()  # what it puts back may serve flats
    if current_plan():
        return False
    if not previewing():
        begin()
        outdate_plan(OUTPUT)
    return True


@lru_cache(1)
def written_plan():
    written = Plan.load(Path(checkpoints.inventory.get().output.plan))
    if workflow.is_main_process:
        date_back(OUTPUT, written)
    return written


def plan():
    """The plan: decided now in a preview, else as the checkpoint wrote it."""
    if previewing():
        return previewed_plan()
    outdated()
    return written_plan()


def master_of(wildcards, kind):
    folder = master_folder(FrameType(kind), SETTINGS.layout)
    return f"masters/{folder}/{wildcards.name}.{SETTINGS.master_format}"


def planned(wildcards, kind):
    """The master that a rule's wildcard names."""
    master = master_of(wildcards, kind)
    if master not in plan().masters:
        raise WorkflowError(
            f"the plan has no master {master}: see {OUTPUT}/plan.json for those it has, "
            f"{OUTPUT}/inventory.csv for the frames left out and why"
        )
    return plan().masters[master]


# --- input and params functions, named for what they give -----------------------------------------


def all_masters(wildcards):
    # The plan itself is asked for too: a preview shows the checkpoint by it, and a directory of
    # which no master can be made still leaves nothing to be done.
    masters = plan().masters if everything_wanted() else stale_masters()
    files = [*masters, *map(beside, masters), "plan.json"]
    return [f"{OUTPUT.as_posix()}/{file}" for file in files]


def everything_wanted():
    """Tell whether masters that need nothing are meant too: in pictures, by force, by --touch."""
    forced = workflow.dag_settings.forceall or workflow.dag_settings.forcerun
    return workflow.executor_plugin is None or forced or workflow.touch


def stale_masters():
    # Where the plan is not written, no file's time tells yet.
    unwritten = previewing() and current_plan() is None
    return [*reasons()] if unwritten else unsettled(OUTPUT, plan())


@lru_cache(1)
def news(time_ns):
    """A file of that time, outside of everything: what makes the checkpoint stale."""
    directory = temporary_folder()
    file = Path(directory.name, "frames or settings have changed")
    file.touch()
    os.utime(file, ns=(time_ns, time_ns))
    return directory, file.as_posix()


def changes(wildcards):
    """Nothing, or where the plan is out of date a file that is newer."""
    if not outdated():
        return []
    # A preview leaves the plan's time as it is.
    return news(TOMORROW_NS if previewing() else JOB_TIME_NS)[1]


def job_of(kind):
    def job(wildcards):
        digest = planned(wildcards, kind).digest
        file = OUTPUT / "jobs" / kind / f"{wildcards.name}.json"
        if not previewing() or stored_digest(file) == digest:
            return file.as_posix()
        # The checkpoint will write it, which a preview does not do.
        made = is_made(OUTPUT, master_of(wildcards, kind), digest)
        return [] if made else f"{OUTPUT.as_posix()}/plan.json"

    return job


def plan_file(wildcards):
    plan()  # dates the file where it no longer holds
    return f"{OUTPUT.as_posix()}/plan.json"


def scripts_digest(wildcards):
    """What the scripts depend on besides the jobs."""
    return fingerprint(SETTINGS.pixinsight, SETTINGS.calibrated, Path.cwd())


def flat_bias(wildcards):
    return used_master(planned(wildcards, "flat").bias)


def flat_dark(wildcards):
    return used_master(planned(wildcards, "flat").dark)


def used_master(used):
    """The file of a bias or dark master, as an input: none where the flat has none."""
    if used is None:
        return []
    if used.origin == "run":
        return f"{OUTPUT.as_posix()}/{used.path}"
    # Kept and library masters are made by nobody: written with /./ they match no output.
    path = used.located(OUTPUT).absolute()
    file = f"{path.parent.as_posix()}/./{path.name}"
    if used.origin == "kept":
        return file
    # What a library's master holds is part of the job, and its time says nothing. Snakemake would
    # refuse a flat that is older.
    return [] if is_ahead(path) else ancient(file)
