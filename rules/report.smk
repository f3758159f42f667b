# Masters to numbers, pictures and one page.
#
# INPUTS:
#   job, master, statistics   of each master; bias (and its numbers) where it has one
#   frames                    read again: noise and gain are measured between frames
# OUTPUTS:
#   quality  = <output>/quality/<name>.json     numbers, judged; <name>_*.webp and .jpg beside it
#   defects  = <output>/defects/<setting>.fits  bad pixels of a camera setting; .txt for PixInsight
#   page     = <output>/report.html             all of it, to be opened from disk
#
# Nothing here is an input of a master.


wildcard_constraints:
    setting="badPixels[^/]+",


rule quality:
    """Measure a master and its frames, judge the numbers, make its pictures."""
    input:
        job=measured_job,
        master=measured_master,
        statistics=measured_statistics,
        bias=measured_bias,
        bias_quality=measured_bias_quality,
    output:
        quality=report(
            "<output>/quality/{name}.json",
            caption="../report/quality.rst",
            category="Masters",
            labels={"master": "{name}", "what": "numbers"},
        ),
        overview=report(
            "<output>/quality/{name}_overview.webp",
            caption="../report/overview.rst",
            category="Masters",
            labels={"master": "{name}", "what": "overview"},
        ),
        sections="<output>/quality/{name}_sections.webp",
        structure=report(
            "<output>/quality/{name}_structure.webp",
            caption="../report/structure.rst",
            category="Masters",
            labels={"master": "{name}", "what": "structures"},
        ),
        full="<output>/quality/{name}.jpg",
    log:
        "<output>/logs/quality/{name}.log",
    resources:
        mem_mb=measuring_memory,
        runtime=runtime_needed,
    params:
        digest=quality_digest,
    script:
        "../scripts/quality.py"


rule defects:
    """Map the bad pixels of a camera setting."""
    input:
        jobs=setting_jobs,
        masters=setting_masters,
        quality=setting_quality,
    output:
        map="<output>/defects/{setting}.fits",
        list=report(
            "<output>/defects/{setting}.txt",
            caption="../report/defects.rst",
            category="Bad pixels",
            labels={"setting": "{setting}"},
        ),
    log:
        "<output>/logs/defects/{setting}.log",
    resources:
        mem_mb=mapping_memory,
        runtime=30,
    params:
        digest=setting_digest,
    script:
        "../scripts/defects.py"


rule report_page:
    """Put everything on one page."""
    input:
        plan=plan_file,
        quality=all_quality,
        pictures=all_pictures,
        defects=all_defects,
    output:
        page=report(
            "<output>/report.html",
            caption="../report/page.rst",
            category="Report",
            labels={"what": "all masters, frames and trends on one page"},
        ),
    log:
        "<output>/logs/report.log",
    params:
        version=MEASURE_VERSION,
    script:
        "../scripts/report.py"


rule verdict:
    """Fail where a number is outside its range, after the report is written."""
    input:
        page="<output>/report.html",
        quality=all_quality,
    output:
        verdict="<output>/quality/verdict.txt",
    log:
        "<output>/logs/verdict.log",
    params:
        digest=verdict_digest,
    script:
        "../scripts/verdict.py"


rule report:
    """Make the report."""
    input:
        "<output>/report.html",
        # Where the plan does not hold any more, all is looked at again.
        plan_file,
        verdict_wanted,
