"""A report of a small session, opened from disk in Chromium without a network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from calmasters.engines import engine_for
from calmasters.images.master_file import read_image
from calmasters.model.job import MasterJob
from calmasters.planning.checkpoint import refresh_plan
from calmasters.quality.camera import bias_of, settings_with_defects
from calmasters.quality.defects import bad_pixels, defect_list, write_map
from calmasters.quality.measure import measure
from calmasters.quality.measurement import BiasReference
from calmasters.reporting.collect import read_content
from calmasters.reporting.pages import write_report
from calmasters.reporting.pictures import Pictures, write_pictures
from calmasters.settings import Settings
from calmasters.synthetic.camera import Camera
from calmasters.synthetic.session import ObservingSession, write_session

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CONFIG = Path(__file__).parents[2] / "config"

#: A filter whose name runs a script if a page contains it as markup.
MARKUP = "<img src=x onerror=document.title=1>"

#: Large enough for a preview that is smaller than its master.
SESSION = ObservingSession(
    camera=Camera(width=1000, height=640),
    bias=10,  # the others are few, which is a problem
    darks=5,
    flats=5,
    filters=("B", MARKUP),
    nights=1,
    lights=1,
    broken=1,
)


@pytest.fixture
def markup_filter() -> str:
    return MARKUP


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, written by the library in the same way as by the rules."""
    directory = tmp_path_factory.mktemp("report")
    write_session(directory / "frames", SESSION)
    config = yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8"))
    config |= {"input_dir": str(directory / "frames"), "output_dir": str(directory / "output")}
    # The flats are out of this range.
    config["quality"]["ranges"]["flat"]["level_percent"] = [50, 75]
    settings = Settings.from_config(config, CONFIG / "config.schema.yaml")
    jobs = refresh_plan(settings).jobs
    for job in jobs:
        make(job, jobs, settings, config)
    for name, members in settings_with_defects(jobs, settings.master_match_keywords).items():
        map_defects(name, members, settings.output_dir)
    page = settings.output_dir / "report.html"
    write_report(page, read_content(settings, settings.output_dir / "plan.json"))
    return page


def make(job: MasterJob, jobs: tuple[MasterJob, ...], settings: Settings, config: dict) -> None:
    output = settings.output_dir
    master, stem = output / job.master, output / "quality" / job.name
    stem.parent.mkdir(exist_ok=True)
    log = output / "logs" / "log"
    engine_for(job, config, 1).make(job, settings.input_dir, output, master, log)
    bias = bias_of(job, jobs, settings.master_match_keywords)
    reference = BiasReference(bias.located(output) if bias else None)
    quality = measure(job, master, master.with_suffix(".json"), reference, settings)
    stem.with_name(f"{stem.name}.json").write_text(quality.to_json(), encoding="utf-8")
    write_pictures(read_image(master)[0], Pictures.of(settings.output_dir, job.name))


def map_defects(name: str, members: list[MasterJob], output: Path) -> None:
    bad_map = bad_pixels(
        (job, output / job.master, output / "quality" / f"{job.name}.json") for job in members
    )
    folder = output / "defects"
    folder.mkdir(exist_ok=True)
    write_map(folder / f"{name}.fits", bad_map, [])
    (folder / f"{name}.txt").write_text(defect_list(bad_map), encoding="ascii")


@pytest.fixture(scope="session")
def browser() -> Iterator[sync_api.Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    # Chromium has no sandbox for root, the usual user of continuous integration.
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"] if root else []
        )
        yield opened
        opened.close()


@dataclass
class Opened:
    """A page with its requests, and the messages and errors of its console."""

    page: sync_api.Page
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


@pytest.fixture
def open_report(browser: sync_api.Browser, report: Path) -> Iterator[Callable[..., Opened]]:
    """Open the report offline, in a window of any size and theme; the console must be empty."""
    contexts, all_opened = [], []

    def open_report(width: int = 1280, height: int = 900, theme: str = "light") -> Opened:
        viewport = {"width": width, "height": height}
        context = browser.new_context(viewport=viewport, color_scheme=theme, offline=True)
        contexts.append(context)
        opened = Opened(context.new_page())
        all_opened.append(opened)
        opened.page.set_default_timeout(5000)
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("console", lambda message: opened.messages.append(message.text))
        opened.page.on("pageerror", lambda error: opened.messages.append(str(error)))
        opened.page.goto(report.as_uri())
        return opened

    yield open_report
    for context in contexts:
        context.close()
    for opened in all_opened:
        assert opened.messages == []
        outside = [url for url in opened.requests if not url.startswith("data:")]
        assert outside == [report.as_uri()]


@pytest.fixture
def page(open_report: Callable[..., Opened]) -> sync_api.Page:
    return open_report().page
