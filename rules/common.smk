# What the rules ask of the plan. Decisions are made in calmasters/plan.py, none here.
#
# A preview (dry run, --dag, --summary) decides in memory and writes nothing, so that it shows the
# whole plan before the checkpoint has ever run.

from functools import lru_cache

from calmasters.inventory import fingerprint
from calmasters.plan import Plan, decide, job_file, scan

OUTPUT = SETTINGS.output_dir


def previewing():
    """Tell whether nothing will be run; known only once Snakemake builds its graph."""
    return workflow.executor_plugin is None or workflow.dryrun


@lru_cache(1)
def scanned():
    return scan(SETTINGS)


@lru_cache(1)
def previewed():
    return decide(SETTINGS)


@lru_cache(1)
def forget_old_plan():
    """Remove a plan that no longer holds, so that the checkpoint makes it anew.

    Snakemake sees as much by the checkpoint's parameter, but not where its records are lost.
    """
    path = OUTPUT / "plan.json"
    try:
        current = Plan.load(path).is_current(SETTINGS, scanned().digest)
    except (OSError, ValueError, KeyError, TypeError):
        current = False
    if not current:
        path.unlink(missing_ok=True)


@lru_cache(1)
def loaded_plan(path, mtime_ns):
    return Plan.load(Path(path))


def plan():
    """The plan: decided now in a preview, else as the checkpoint wrote it."""
    if previewing():
        return previewed().plan
    if workflow.is_main_process:
        forget_old_plan()
    path = Path(checkpoints.inventory.get().output.plan)
    return loaded_plan(path, path.stat().st_mtime_ns)


def planned(wildcards, kind):
    """The master that a rule's wildcard names."""
    folder = master_folder(FrameType(kind), SETTINGS.layout)
    master = f"masters/{folder}/{wildcards.name}.{SETTINGS.master_format}"
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
    return [f"{OUTPUT.as_posix()}/{path}" for path in (*plan().masters, "plan.json")]


def scan_digest(wildcards):
    return scanned().digest


def job_of(kind):
    def job(wildcards):
        planned(wildcards, kind)
        file = OUTPUT / "jobs" / kind / f"{wildcards.name}.json"
        # A preview goes before the checkpoint that writes the file.
        return [] if previewing() and not file.exists() else file.as_posix()

    return job


def plan_file(wildcards):
    plan()  # removes the file where it no longer holds
    return f"{OUTPUT.as_posix()}/plan.json"


def scripts_digest(wildcards):
    """What the scripts depend on besides the jobs."""
    return fingerprint(SETTINGS.pixinsight, SETTINGS.calibrated, Path.cwd())


def digest_of(kind):
    def digest(wildcards):
        return planned(wildcards, kind).digest

    return digest


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
    return f"{path.parent.as_posix()}/./{path.name}"
