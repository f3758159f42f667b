# Several engines: does an installed application make the masters of the native one, with known
# frames (engine_check) and with the user's (compare)?
#
# OUTPUTS:
#   check      = <output>/engine_check_<engine>.zip   for a bug report, also after a failure
#   comparison = <output>/compare/compare.json        and a picture for each master that differs
#   masters    = <output>/compare/<engine>/...          as in a run of that engine alone
#
# Neither file is declared as an output: Snakemake would remove the zip when a check fails, and
# would not compare again when frames have changed.

from calmasters import SNAKEFILE
from calmasters.engines import needs_of


rule engine_check:
    """Make small masters of known frames by PixInsight or Siril, and compare them."""
    localrule: True
    resources:
        **needs_of(SETTINGS.engine).slots,
    script:
        "../scripts/engine_check.py"


rule compare:
    """Make the masters by several engines, each in a folder of its own, and compare them."""
    localrule: True
    # Each engine has a run of its own, which uses all cores.
    threads: 1024
    params:
        snakefile=SNAKEFILE.as_posix(),
    script:
        "../scripts/compare.py"
