"""List the masters that the plan does not make; with prune=true, move the unused ones aside."""

import sys
from pathlib import Path

from calmasters.decision import decide
from calmasters.errors import reported
from calmasters.orphans import find_orphans, list_orphans, set_aside
from calmasters.settings import Settings

schema = Path(snakemake.scriptdir).parent / "config" / "config.schema.yaml"

with reported():
    settings = Settings.from_config(snakemake.config, schema)
    orphans = find_orphans(decide(settings), settings)
    print(list_orphans(orphans), file=sys.stderr)
    if settings.prune:
        for file, target in set_aside(orphans, settings.output_dir).items():
            print(f"moved {file} to {target}", file=sys.stderr)
