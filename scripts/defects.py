"""Map the bad pixels of one camera setting."""

from pathlib import Path

import calmasters.interrupts  # noqa: F401
from calmasters.atomic_files import write_whole
from calmasters.errors import exit_on_error
from calmasters.model.job import MasterJob
from calmasters.quality.defects import bad_pixels, defect_list, sources, write_map

with exit_on_error(Path(snakemake.log[0])):
    jobs = [MasterJob.read(Path(file)) for file in snakemake.input.jobs]
    files = (snakemake.input.masters, snakemake.input.quality)
    masters = [*zip(jobs, *(map(Path, each) for each in files), strict=True)]
    bad_map = bad_pixels(masters)
    write_map(Path(snakemake.output.map), bad_map, sources(masters))
    write_whole(Path(snakemake.output.list), defect_list(bad_map))
