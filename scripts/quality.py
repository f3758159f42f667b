"""Measure one master and its frames; make its pictures."""

from pathlib import Path

from calmasters.atomic_files import write_whole
from calmasters.errors import reported
from calmasters.images.master_file import read_image
from calmasters.model.job import MasterJob
from calmasters.quality.measure import Companions, measure
from calmasters.reporting.pictures import Pictures, write_pictures
from calmasters.settings import Settings

companions = (snakemake.input.get(name) for name in ("bias", "bias_quality"))
companions = Companions(*(Path(file) if file else None for file in companions))

with reported(Path(snakemake.log[0])):
    job = MasterJob.from_json(Path(snakemake.input.job).read_text(encoding="utf-8"))
    quality = measure(
        job,
        master=Path(snakemake.input.master),
        statistics=Path(snakemake.input.statistics),
        companions=companions,
        settings=Settings.from_config(snakemake.config),
    )
    output = snakemake.output
    write_pictures(
        read_image(Path(snakemake.input.master))[0],
        Pictures(*map(Path, (output.overview, output.sections, output.structure, output.full))),
    )
    write_whole(Path(output.quality), quality.to_json())
