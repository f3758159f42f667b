# Frames to plan: which frames there are, what they are, and what will be made of them.
#
# OUTPUTS:
#   plan      = <output>/plan.json       one entry a master: frames, recipe, bias and dark, why
#   inventory = <output>/inventory.csv   one row a frame: keywords, group, status, reason
#   (and)       <output>/jobs/*/*.json   the job of each master, written only when it changes
#
# The frames are no inputs: a digest of the directory's listing stands for them, which is what
# lets a hundred thousand of them be looked through in seconds.


checkpoint inventory:
    """Read new headers, group, match, decide."""
    input:
        # Where the plan no longer holds, a file that is just newer than plan.json.
        lambda wildcards: prepared().trigger(),
    output:
        # The plan first: Snakemake asks for the first output, and a missing one is what makes it run.
        plan="<output>/plan.json",
        inventory="<output>/inventory.csv",
    log:
        "<output>/logs/inventory.log",
    localrule: True
    script:
        "../scripts/inventory.py"


rule why:
    """Say why each stale master is rebuilt."""
    localrule: True
    script:
        "../scripts/why.py"


rule orphans:
    """List masters that the plan does not make; with prune=true, move the unused aside."""
    input:
        lambda wildcards: begin_with_outer_workflow() or [],
    localrule: True
    script:
        "../scripts/orphans.py"


rule summary:
    """Print frames by type, refusals by remedy, masters, and what to shoot next."""
    localrule: True
    script:
        "../scripts/summary.py"


rule bug_report:
    """Write headers, plan, records, logs and versions to one zip, without personal paths."""
    input:
        lambda wildcards: asked_alone("bug_report"),
    localrule: True
    script:
        "../scripts/bug_report.py"
