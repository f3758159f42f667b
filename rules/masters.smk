# Plan to masters: frames combined to a master bias, dark or flat.
#
# INPUTS:
#   job        = <output>/jobs/<type>/<name>.json   what the master is made of, and how
#   bias, dark                                      of flats: the masters that calibrate them
# OUTPUTS:
#   master     = <output>/masters/<type's folder>/<name>.<format>
#   record     = <output>/masters/<type's folder>/<name>.json
#
# A master is stale when its job file is newer: the checkpoint writes a new one when the job has
# changed (frames added, removed or changed, settings that change pixels, another bias or dark).
#
# No rule here has params: Snakemake imports pandas to compare them, also in a run with nothing to
# do (docs/decisions/0001-one-checkpoint-and-job-files.md).

from calmasters.engines import needs_of


wildcard_constraints:
    name="(.+/)?master[^/]+",


rule master_bias:
    """Combine bias frames."""
    input:
        job=job_of("bias"),
    output:
        master="<output>/masters/<biases>/{name}.<format>",
        record="<output>/masters/<biases>/{name}.json",
    log:
        "<output>/logs/bias/{name}.log",
    threads: threads_needed
    resources:
        # How many PixInsight or Siril may run at once is set by the profile.
        **needs_of(SETTINGS.engine).slots,
        mem_mb=memory_needed,
        runtime=runtime_needed,
    script:
        "../scripts/master.py"


use rule master_bias as master_dark with:
    input:
        job=job_of("dark"),
    output:
        master="<output>/masters/<darks>/{name}.<format>",
        record="<output>/masters/<darks>/{name}.json",
    log:
        "<output>/logs/dark/{name}.log",


use rule master_bias as master_flat with:
    input:
        job=job_of("flat"),
        bias=flat_bias,
        dark=flat_dark,
    output:
        master="<output>/masters/<flats>/{name}.<format>",
        record="<output>/masters/<flats>/{name}.json",
    log:
        "<output>/logs/flat/{name}.log",
