# Masters to numbers, pictures and one page.
#
# INPUTS:
#   job, master, record       of each master; its bias (and the numbers of that) where it has one,
#                             and the master of the night before
# OUTPUTS:
#   quality  = <output>/quality/<name>.json     numbers, judged; <name>_*.webp and .jpg next to it
#   defects  = <output>/defects/<setting>.fits  bad pixels of a camera setting; .txt for PixInsight
#   page     = <output>/report.html             everything on one page that opens from disk
#   metrics  = <output>/quality/metrics.csv     all numbers of all masters
#   <output>/leave_out.yaml                     with the page, if frames differ from the others
#
# The frames are read again, since noise and gain are measured between frames; they are no inputs.
# Nothing here is an input of a master.


wildcard_constraints:
    setting="badPixels[^/]+",


rule quality:
    """Measure a master and its frames, judge the numbers, make its pictures."""
    input:
        job=lambda wildcards: reported().measured_job(wildcards.name),
        master=lambda wildcards: reported().measured_master(wildcards.name),
        record=lambda wildcards: reported().measured_record(wildcards.name),
        bias=lambda wildcards: as_input(reported().measured_bias(wildcards.name)),
        bias_quality=lambda wildcards: reported().bias_quality_input(wildcards.name),
        night_before=lambda wildcards: reported().night_before(wildcards.name),
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
        mem_mb=lambda wildcards, attempt: attempt
        * reported().measuring_mb(wildcards.name),
        runtime=runtime_needed,
    params:
        digest=lambda wildcards: reported().quality_digest(wildcards.name),
        bias=lambda wildcards: reported().measured_bias_file(wildcards.name),
    script:
        "../scripts/quality.py"


rule defects:
    """Map the bad pixels of a camera setting."""
    input:
        jobs=lambda wildcards: reported().setting_jobs(wildcards.setting),
        masters=lambda wildcards: reported().setting_masters(wildcards.setting),
        quality=lambda wildcards: reported().setting_quality(wildcards.setting),
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
        mem_mb=lambda wildcards, attempt: attempt
        * reported().mapping_mb(wildcards.setting),
        runtime=30,
    params:
        digest=lambda wildcards: reported().setting_digest(wildcards.setting),
    script:
        "../scripts/defects.py"


rule report_page:
    """Put everything on one page."""
    input:
        plan=plan_file,
        quality=lambda wildcards: reported().all_quality(),
        pictures=lambda wildcards: reported().all_pictures(),
        defects=lambda wildcards: reported().all_defects(),
        comparison=lambda wildcards: REPORT.comparison(),
    output:
        page=report(
            "<output>/report.html",
            caption="../report/page.rst",
            category="Report",
            labels={"what": "all masters, frames and trends on one page"},
        ),
        metrics="<output>/quality/metrics.csv",
    log:
        "<output>/logs/report.log",
    params:
        digest=REPORT.page_digest(),
    script:
        "../scripts/report.py"


rule verdict:
    """Fail where a number is outside its range, after the report is written."""
    input:
        page="<output>/report.html",
        quality=lambda wildcards: reported().all_quality(),
    output:
        verdict="<output>/quality/verdict.txt",
    log:
        "<output>/logs/verdict.log",
    localrule: True
    params:
        digest=REPORT.verdict_digest(),
    script:
        "../scripts/verdict.py"


rule report:
    """Make the report."""
    input:
        "<output>/report.html",
        # Where the plan does not hold any more, everything is checked again.
        plan_file,
        REPORT.verdict(),
    localrule: True
