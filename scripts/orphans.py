"""List the masters that the plan does not make; with prune=true, move the unused ones away."""

import sys

import calmasters.interrupts  # noqa: F401
from calmasters.commands.orphans import find_orphans, list_orphans, set_aside_unused
from calmasters.errors import exit_on_error
from calmasters.planning.planner import decide
from calmasters.settings import Settings

with exit_on_error():
    settings = Settings.from_config(snakemake.config)
    orphans = find_orphans(decide(settings), settings)
    print(list_orphans(orphans), file=sys.stderr)
    if settings.prune:
        for file, target in set_aside_unused(orphans, settings.output_dir).items():
            print(f"moved {file} to {target}", file=sys.stderr)
