# Plan to PixInsight's scripts: one for each master, to be read or to be run by hand.
#
# INPUTS:
#   plan       = <output>/plan.json                which masters there are
#   (and)        <output>/jobs/<type>/<name>.json   what each is made of, and how
# OUTPUTS:
#   scripts    = <output>/scripts/<type>/<name>.js
#
# With engine: pixinsight the masters are made by the same scripts, but not from these files: a
# script is nobody's input.
#
# With pixinsight.session: shared the run begins a session, which the masters' jobs join
# (docs/decisions/0020-a-keeper-holds-one-pixinsight.md).

import atexit


def begin_session():
    """Have one PixInsight make the masters of this run, where that is asked for."""
    is_shared = (
        SETTINGS.engine == "pixinsight" and SETTINGS.pixinsight.session == "shared"
    )
    # Jobs of a cluster have memory of their own, and other hosts.
    if is_shared and workflow.is_main_process and workflow.local_exec:
        from calmasters.engines.pixinsight.session import begin

        # Snakemake's own hooks are not called when it is interrupted.
        atexit.register(begin(OUTPUT / "logs" / "pixinsight.log").communicate)


rule scripts:
    """Write the script of every master; run nothing."""
    input:
        plan=plan_file,
    output:
        scripts=directory("<output>/scripts"),
    log:
        "<output>/logs/scripts.log",
    params:
        digest=scripts_digest,
    script:
        "../scripts/scripts.py"
