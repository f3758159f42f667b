"""Say in words why each stale master is made again; write nothing."""

import sys
from pathlib import Path

from calmasters import why
from calmasters.decision import decide
from calmasters.errors import reported
from calmasters.settings import Settings

schema = Path(snakemake.scriptdir).parent / "config" / "config.schema.yaml"

with reported():
    settings = Settings.from_config(snakemake.config, schema)
    found = why.explain(decide(settings).jobs, settings.output_dir)
    print(why.told(found) or "Every master is as its job says.", file=sys.stderr)
