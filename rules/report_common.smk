# What the rules of the report ask of the plan; no rules.

from pathlib import PurePosixPath

from calmasters.model.job import MasterJob
from calmasters.quality import MEASURE_VERSION
from calmasters.quality.camera import bias_of, settings_with_defects

QUALITY = f"{OUTPUT.as_posix()}/quality"
PICTURES = ("_overview.webp", "_sections.webp", "_structure.webp", ".jpg")


@lru_cache(1)
def loaded_jobs(digest):
    files = (OUTPUT / job_file(master) for master in plan().masters)
    return [MasterJob.from_json(file.read_text(encoding="utf-8")) for file in files]


def all_jobs():
    """The jobs of the plan: as decided in a preview, else as the checkpoint wrote them."""
    return previewed().jobs if previewing() else loaded_jobs(plan().digest)


def job_named(name):
    found = [job for job in all_jobs() if job.name == name]
    if not found:
        raise WorkflowError(f"the plan has no master {name}: see {OUTPUT}/plan.json")
    return found[0]


def bias_belonging_to(job):
    return bias_of(job, all_jobs(), SETTINGS.master_match_keywords)


def made_file(path):
    """A file of output_dir as an input; one that a preview expects may not be there yet."""
    file = OUTPUT / path
    return [] if previewing() and not file.exists() else file.as_posix()


# --- input and params functions, named for what they give -----------------------------------------


def measured_job(wildcards):
    return made_file(job_named(wildcards.name).file)


def measured_master(wildcards):
    return f"{OUTPUT.as_posix()}/{job_named(wildcards.name).master}"


def measured_statistics(wildcards):
    return str(PurePosixPath(measured_master(wildcards)).with_suffix(".json"))


def measured_bias(wildcards):
    return used_master(bias_belonging_to(job_named(wildcards.name)))


def measured_bias_quality(wildcards):
    """The numbers of a flat's bias: made by this run, or left by the run that made a kept bias."""
    job = job_named(wildcards.name)
    if (
        job.type is not FrameType.FLAT
        or job.bias is None
        or job.bias.origin == "library"
    ):
        return []
    name = PurePosixPath(*PurePosixPath(job.bias.path).parts[2:]).with_suffix("")
    if job.bias.origin == "run":
        return f"{QUALITY}/{name}.json"
    kept = Path(QUALITY, f"{name}.json").absolute()
    return f"{kept.parent.as_posix()}/./{kept.name}" if kept.is_file() else []


def quality_digest(wildcards):
    job = job_named(wildcards.name)
    bias = bias_belonging_to(job)
    ranges = SETTINGS.quality.ranges[job.type.value]
    return fingerprint(job.digest, bias and bias.path, ranges, MEASURE_VERSION)


def setting_masters(wildcards):
    return [
        f"{OUTPUT.as_posix()}/{job.master}" for job in masters_of_setting(wildcards)
    ]


def setting_quality(wildcards):
    return [f"{QUALITY}/{job.name}.json" for job in masters_of_setting(wildcards)]


def setting_jobs(wildcards):
    return [
        file for job in masters_of_setting(wildcards) if (file := made_file(job.file))
    ]


def masters_of_setting(wildcards):
    return all_settings()[wildcards.setting]


def setting_digest(wildcards):
    members = [job.digest for job in masters_of_setting(wildcards)]
    return fingerprint(members, MEASURE_VERSION)


def all_settings():
    return settings_with_defects(all_jobs(), SETTINGS.master_match_keywords)


def all_defects(wildcards):
    return [f"{OUTPUT.as_posix()}/defects/{name}.fits" for name in all_settings()]


def all_quality(wildcards):
    return [f"{QUALITY}/{job.name}.json" for job in all_jobs()]


def all_pictures(wildcards):
    return [
        f"{QUALITY}/{job.name}{picture}" for job in all_jobs() for picture in PICTURES
    ]


def verdict_wanted(wildcards):
    """Where it is asked for, the file that only good masters make."""
    return f"{QUALITY}/verdict.txt" if SETTINGS.quality.fail_on == "error" else []


def verdict_digest(wildcards):
    return fingerprint(SETTINGS.quality)
