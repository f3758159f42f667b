"""Print a summary of the frames and the masters planned from them; write nothing."""

import sys

import calmasters.interrupts  # noqa: F401
from calmasters.commands.summary import causes_in, records_in, summarize
from calmasters.errors import exit_on_error
from calmasters.planning.planner import decide
from calmasters.settings import Settings

with exit_on_error():
    settings = Settings.from_config(snakemake.config)
    decision = decide(settings)
    causes, records = causes_in(decision, settings), records_in(decision, settings)
    print(summarize(decision, causes, records), file=sys.stderr)
