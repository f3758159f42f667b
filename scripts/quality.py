"""Measure one master and its frames; make its pictures."""

from pathlib import Path

import calmasters.interrupts  # noqa: F401
from calmasters.atomic_files import write_whole
from calmasters.errors import exit_on_error
from calmasters.images.master_file import read_image
from calmasters.model.job import MasterJob
from calmasters.quality.measure import measure
from calmasters.quality.measurement import BiasReference
from calmasters.quality.previous import MeasuredMaster, keep, with_changes
from calmasters.reporting.pictures import Pictures, write_change, write_pictures
from calmasters.settings import Settings

# The path, not the input: a library's bias with a date in the future is not an input.
files = (snakemake.params.bias, snakemake.input.get("bias_quality"))
reference = BiasReference(*(Path(file) if file else None for file in files))

with exit_on_error(Path(snakemake.log[0])):
    job = MasterJob.read(Path(snakemake.input.job))
    settings = Settings.from_config(snakemake.config)
    quality = measure(
        job,
        master=Path(snakemake.input.master),
        record=Path(snakemake.input.record),
        reference=reference,
        settings=settings,
    )
    output = snakemake.output
    image, _ = read_image(Path(snakemake.input.master))
    night_before = snakemake.input.get("night_before")
    measured = MeasuredMaster(
        job, image, quality, settings, Path(night_before) if night_before else None
    )
    quality, changes = with_changes(measured)
    pictures = Pictures(
        *map(Path, (output.overview, output.sections, output.structure, output.full))
    )
    write_change(pictures.change, changes)
    write_pictures(image, pictures)
    write_whole(Path(output.quality), quality.to_json())
    keep(measured)
