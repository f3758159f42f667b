# Frames to plan: which frames there are, what they are, and what will be made of them.
#
# OUTPUTS:
#   inventory = <output>/inventory.csv   one row a frame: keywords, group, status, reason
#   plan      = <output>/plan.json       one entry a master: frames, recipe, bias and dark, why
#   (and)       <output>/jobs/*/*.json   the job of each master, written only when it changes
#
# The frames are no inputs: a digest of the directory's listing stands for them, which is what
# lets a hundred thousand of them be looked through in seconds.


checkpoint inventory:
    """Read new headers, group, match, decide."""
    output:
        inventory="<output>/inventory.csv",
        plan="<output>/plan.json",
    log:
        "<output>/logs/inventory.log",
    params:
        digest=scan_digest,
    script:
        "../scripts/inventory.py"


rule summary:
    """Print frames by type, refusals by remedy, masters, and what to shoot next."""
    script:
        "../scripts/summary.py"
