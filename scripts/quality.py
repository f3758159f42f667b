"""Measure one master and its frames; make its pictures."""

from pathlib import Path

import calmasters.interrupts  # noqa: F401
from calmasters.atomic_files import write_whole
from calmasters.errors import exit_on_error
from calmasters.images.master_file import read_image
from calmasters.model.job import MasterJob
from calmasters.quality.measure import BiasReference, measure
from calmasters.reporting.pictures import Pictures, write_pictures
from calmasters.settings import Settings

# The path, not the input: a library's bias with a date in the future is not an input.
files = (snakemake.params.bias, snakemake.input.get("bias_quality"))
reference = BiasReference(*(Path(file) if file else None for file in files))

with exit_on_error(Path(snakemake.log[0])):
    quality = measure(
        MasterJob.read(Path(snakemake.input.job)),
        master=Path(snakemake.input.master),
        record=Path(snakemake.input.record),
        reference=reference,
        settings=Settings.from_config(snakemake.config),
    )
    output = snakemake.output
    write_pictures(
        read_image(Path(snakemake.input.master))[0],
        Pictures(*map(Path, (output.overview, output.sections, output.structure, output.full))),
    )
    write_whole(Path(output.quality), quality.to_json())
