"""Take the picture of the report in README.md: the example session, one master searched for.

python docs/images/report.py    # writes docs/images/report.png; needs Chromium and playwright
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from calmasters.synthetic.camera import Camera
from calmasters.synthetic.session import ObservingSession, write_session

REPOSITORY = Path(__file__).parents[2]
PICTURE = Path(__file__).with_suffix(".png")


def make_report(directory: Path) -> Path:
    """Write the example session with larger frames, make its report, and return the page."""
    write_session(directory / "frames", ObservingSession(camera=Camera(width=960, height=640)))
    folders = (f"input_dir={directory / 'frames'}", f"output_dir={directory / 'output'}")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "report", "--config", *folders]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return directory / "output" / "report.html"


def take_picture(page: Path, picture: Path) -> None:
    """Open the page, search for one flat, which opens its card, and take a picture."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 1080})
        tab.goto(page.as_uri())
        tab.get_by_label("Filter").fill("flat 2026-01-16 filter-ha")
        tab.wait_for_function(
            "[...document.querySelectorAll('.card[open] img')].every(each => each.naturalWidth)"
        )
        tab.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        take_picture(make_report(Path(name)), PICTURE)
