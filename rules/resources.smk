# What jobs take of a machine; no rules. Snakemake asks for those that it will run, no others.

from calmasters.running import job_resources as resources
from calmasters.model.job import MasterJob


@lru_cache(1)
def previewed_jobs():
    return {job.name: job for job in previewed().jobs}


@lru_cache(1)
def job_files():
    """The job file of each master of the plan, by the master's name."""
    files = map(PurePosixPath, map(job_file, plan().masters))
    return {
        str(PurePosixPath(*file.parts[2:]).with_suffix("")): OUTPUT / file
        for file in files
    }


@lru_cache(1)  # Snakemake asks for one job's threads, memory and time together
def job_to_run(name):
    if previewing() and current_plan() is None:
        return previewed_jobs()[name]
    return MasterJob.from_json(job_files()[name].read_text(encoding="utf-8"))


# --- threads and resources functions, named for what they give ------------------------------------


def threads_needed(wildcards):
    return resources.threads(job_to_run(wildcards.name))


def memory_needed(wildcards, threads, attempt):
    return attempt * resources.memory_mb(job_to_run(wildcards.name), threads)


def runtime_needed(wildcards, attempt):
    return attempt * resources.runtime_min(job_to_run(wildcards.name), SETTINGS)


def measuring_memory(wildcards, attempt):
    job = job_to_run(wildcards.name)
    measuring = resources.measuring_mb(job.geometry, len(job.frames))
    return attempt * resources.requested_mb(measuring)


def mapping_memory(wildcards, attempt):
    masters = masters_of_setting(wildcards)
    mapping = resources.measuring_mb(masters[0].geometry, frames=1)
    return attempt * resources.requested_mb(mapping)
