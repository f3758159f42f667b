"""Fail where a master's numbers are outside their ranges."""

from pathlib import Path

from calmasters.errors import reported
from calmasters.quality.judgement import require_good

with reported(Path(snakemake.log[0])):
    require_good(map(Path, snakemake.input.quality), report=Path(snakemake.input.page))
    Path(snakemake.output.verdict).write_text("all numbers are in their ranges\n", encoding="ascii")
