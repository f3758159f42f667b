"""Measure the time for the numbers, the pictures and the page of a report.

    python benchmarks/report.py            # 30 masters of 3840x2160, 12 frames each
    python benchmarks/report.py --small    # the same number of 960x540, as a quick test

All masters use the same frames under other names; each measurement reads its frames again. A page
of 200 masters is written, too, and opened in Chromium where playwright and Chromium are installed.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
import yaml

from calmasters.headers.fits_cards import Card
from calmasters.images.master_file import read_image, write_master
from calmasters.model.job import MasterJob
from calmasters.model.master_record import FrameStatistics, MasterRecord, MasterStatistics
from calmasters.planning.planner import decide
from calmasters.quality.causes import Cause, shared_causes
from calmasters.quality.changes import Sketch, compare
from calmasters.quality.lighting import is_lit_in_lines
from calmasters.quality.measure import measure
from calmasters.quality.measurement import BiasReference
from calmasters.quality.own_history import judged
from calmasters.quality.sample import ADU, FrameSample
from calmasters.quality.telegraph import telegraph_share
from calmasters.quality.verification import Applied, verify
from calmasters.reporting.collect import ReportContent
from calmasters.reporting.masters import Master
from calmasters.reporting.pages import write_report
from calmasters.reporting.pictures import Pictures, write_pictures
from calmasters.settings import Settings
from calmasters.synthetic.camera import Camera
from calmasters.synthetic.session import ObservingSession, write_session

CONFIG = Path(__file__).parents[1] / "config"
MASTERS, MANY, FRAMES, PROCESSES = 30, 200, 12, 2
#: Masters whose checks are timed one by one.
CHECKED = 6

T = TypeVar("T")


def timed(title: str, work: Callable[[], T]) -> T:
    """Call a function and print the time it takes."""
    start = time.perf_counter()
    result = work()
    print(f"{title:48} {time.perf_counter() - start:8.2f} s")
    return result


def settings_for(directory: Path) -> Settings:
    """Return the default settings for a directory."""
    config = yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8"))
    config |= {"input_dir": str(directory / "frames"), "output_dir": str(directory / "output")}
    return Settings.from_config(config, CONFIG / "config.schema.yaml")


def prepare(directory: Path, size: tuple[int, int]) -> list[MasterJob]:
    """Write frames, and bias and flat masters under many names; return their jobs."""
    camera = Camera(width=size[0], height=size[1])
    session = ObservingSession(
        camera, bias=FRAMES, darks=0, flats=FRAMES, filters=("B",), nights=1, lights=0, broken=0
    )
    write_session(directory / "frames", session)
    settings = settings_for(directory)
    bias, flat = decide(settings).jobs
    jobs = []
    for number in range(MASTERS):
        job = replace((bias, flat)[number % 2], name=f"master{number}", bias=None, dark=None)
        jobs.append(job)
        level, noise = ((600.0, 1.5), (28_000.0, 55.0))[number % 2]
        random = np.random.default_rng(number).normal(level, noise, size[::-1])
        image = (random * (camera.flat_field if number % 2 else 1.0) / ADU).astype(np.float32)
        master = settings.output_dir / job.master
        master.parent.mkdir(parents=True, exist_ok=True)
        write_master(master, image, [Card("IMAGETYP", "Master")])
        frames = tuple(FrameStatistics(frame.path, 10, 100) for frame in job.frames)
        numbers = (0.5, 0.5, 0.0, 1.0, 1e-3, 1.0)
        MasterRecord.of(job, MasterStatistics(frames, *numbers, versions={})).write(master)
    (settings.output_dir / "quality").mkdir()
    return jobs


def write_numbers(directory: Path, job: MasterJob) -> None:
    """Measure one master, and write its record."""
    settings = settings_for(directory)
    master = settings.output_dir / job.master
    quality = measure(job, master, master.with_suffix(".json"), BiasReference(), settings)
    path = settings.output_dir / "quality" / f"{job.name}.json"
    path.write_text(quality.to_json(), encoding="utf-8")


def time_checks(directory: Path, job: MasterJob) -> dict[str, float]:
    """Time what is checked of one master besides, on a sample that is read before.

    In seconds of the processor, without waiting for the disk.
    """
    settings = settings_for(directory)
    image, _ = read_image(settings.output_dir / job.master)
    paths = [settings.input_dir / frame.path for frame in job.frames]
    start = time.process_time()
    measure(
        job,
        settings.output_dir / job.master,
        settings.output_dir / job.record,
        BiasReference(),
        settings,
    )
    numbers = time.process_time() - start
    sample = FrameSample.read(paths, job.geometry, job.recipe.frame_range)
    integration = job.recipe.integration
    applied = Applied(sample.of(image), job.type, integration, 0.0, 0.0, [1.0] * len(paths))
    start = time.process_time()
    verify(sample, applied)
    verified = time.process_time() - start
    start = time.process_time()
    telegraph_share(sample, 5.0)
    searched = time.process_time() - start
    start = time.process_time()
    sketch = Sketch.of(image, job.type, job.geometry, "", len(paths), 5.0)
    compare(sketch, sketch, job.type)
    with BytesIO() as file:
        sketch.save(file)
    compared = time.process_time() - start
    return {
        "numbers of one master": numbers,
        "of these, applied to its frames": verified,
        "of these, pixels that jump (darks)": searched,
        "besides, compared with the one before": compared,
    }


def write_previews(directory: Path, job: MasterJob) -> None:
    """Write the pictures of one master."""
    output = directory / "output"
    write_pictures(read_image(output / job.master)[0], Pictures.of(output, job.name))


def find_causes(directory: Path, jobs: list[MasterJob]) -> list[Cause]:
    """Judge all masters by their history, and group what was found."""
    files = [directory / "output" / "quality" / f"{job.name}.json" for job in jobs]
    return shared_causes(judged(settings_for(directory), files))


def look_for_lines(directory: Path, job: MasterJob) -> bool:
    """Ask whether a master is lit in lines."""
    return is_lit_in_lines(read_image(directory / "output" / job.master)[0], 0.0)


def read_masters(directory: Path, jobs: Sequence[MasterJob]) -> list[Master]:
    """Read the records of masters."""
    return [Master.load(job, directory / "output") for job in jobs]


def write_page(directory: Path, masters: Sequence[Master]) -> Path:
    """Write the page, and return its path."""
    path = directory / "output" / "report.html"
    write_report(path, ReportContent(decide(settings_for(directory)), masters, [], []))
    return path


def repeated(masters: Sequence[Master], count: int) -> list[Master]:
    """Return as many masters, under other names."""
    return [
        replace(master, job=replace(master.job, name=f"{master.job.name}-{number}"))
        for number in range(-(-count // len(masters)))
        for master in masters
    ][:count]


def measure_page(directory: Path, masters: Sequence[Master]) -> None:
    """Write a page, and print its size and how long a browser needs to open it."""
    title = f"of {len(masters)} masters"
    page = timed(f"the page {title}", lambda: write_page(directory, masters))
    print(f"{f'size of the page {title}':48} {page.stat().st_size / 1e6:8.2f} MB")
    for width in (1440, 390):
        seconds = seconds_to_open(page, width)
        if seconds is not None:
            print(f"{f'opening it in Chromium, {width} pixels wide':48} {seconds:8.2f} s")


def seconds_to_open(page: Path, width: int) -> float | None:
    """Return the time from a click on a page to its load event; None without a browser."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if program is None:
        return None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": 900})
        tab.goto(page.as_uri(), timeout=120_000)
        milliseconds: float = tab.evaluate(
            "performance.getEntriesByType('navigation')[0].loadEventEnd"
        )
        browser.close()
    return milliseconds / 1000


def main() -> None:
    """Run ``python benchmarks/report.py``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="frames of 960x540")
    parser.add_argument("--size", type=int, nargs=2, default=[3840, 2160], metavar=("W", "H"))
    options = parser.parse_args()
    size = (960, 540) if options.small else tuple(options.size)
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(PROCESSES) as pool:
        directory = Path(name)
        jobs = prepare(directory, size)
        directories = [directory] * len(jobs)
        print(f"{len(jobs)} masters of {size[0]}x{size[1]}, {FRAMES} frames each, 2 processes")
        timed("numbers of all masters", lambda: list(pool.map(write_numbers, directories, jobs)))
        checks = [time_checks(directory, job) for job in jobs[:CHECKED]]
        for name in checks[0]:
            print(f"{name:48} {median(each[name] for each in checks):8.2f} s")
        timed("pictures of all masters", lambda: list(pool.map(write_previews, directories, jobs)))
        print("part of the numbers, or new:")
        timed("  history and causes", lambda: find_causes(directory, jobs))
        timed(
            "  lines of spectrographs, all masters",
            lambda: list(pool.map(look_for_lines, directories, jobs)),
        )
        masters = timed("reading the numbers", lambda: read_masters(directory, jobs))
        measure_page(directory, masters)
        measure_page(directory, repeated(masters, MANY))


if __name__ == "__main__":
    main()
