# Plan to PixInsight's scripts: one for each master and one for all, to be run by hand.
#
# INPUTS:
#   plan       = <output>/plan.json                which masters there are
#   (and)        <output>/jobs/<type>/<name>.json   what each is made of, and how
# OUTPUTS:
#   scripts    = <output>/scripts/<type>/<name>.js
#   (and)        <output>/scripts/all.js
#
# With engine: pixinsight the masters are made by the same code, but not from these files: a script
# is nobody's input. What a user makes with them has a record, and so it is up to date.


rule scripts:
    """Write the script of every master; run nothing."""
    input:
        plan=plan_file,
    output:
        scripts=directory("<output>/scripts"),
    log:
        "<output>/logs/scripts.log",
    localrule: True
    params:
        digest=WORKFLOW.scripts_digest(),
    script:
        "../scripts/scripts.py"
