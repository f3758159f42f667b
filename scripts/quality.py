"""Measure one master and its frames; make its pictures."""

from pathlib import Path

from calmasters.atomic_files import write_whole
from calmasters.errors import reported
from calmasters.images.master_file import read_image
from calmasters.model.job import MasterJob
from calmasters.quality.measure import BiasReference, measure
from calmasters.reporting.pictures import Pictures, write_pictures
from calmasters.settings import Settings

# By its path, not as an input: a library's bias that is ahead of the clock is none.
bias, bias_quality = snakemake.params.bias, snakemake.input.get("bias_quality")

with reported(Path(snakemake.log[0])):
    quality = measure(
        MasterJob.read(Path(snakemake.input.job)),
        master=Path(snakemake.input.master),
        record=Path(snakemake.input.record),
        reference=BiasReference(bias and Path(bias), bias_quality and Path(bias_quality)),
        settings=Settings.from_config(snakemake.config),
    )
    output = snakemake.output
    write_pictures(
        read_image(Path(snakemake.input.master))[0],
        Pictures(*map(Path, (output.overview, output.sections, output.structure, output.full))),
    )
    write_whole(Path(output.quality), quality.to_json())
