"""The report: previews, plots, and one page in which header text stays text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calmasters.comparison.between_engines import ComparedMaster, EngineComparison
from calmasters.comparison.picture import write_picture
from calmasters.frame import Frame, FrameType, Geometry, Status, Traits, Value, Verdict
from calmasters.headers.fits_cards import Card
from calmasters.images.master_file import write_master
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.model.master_record import FrameStatistics, MasterRecord, MasterStatistics
from calmasters.planning.planner import Decision
from calmasters.quality.changes import Changes
from calmasters.quality.dark_temperature import DarkCurrent, DarkTemperature
from calmasters.quality.estimate import Estimate
from calmasters.quality.leave_out import OddFrame
from calmasters.quality.quality_record import (
    Finding,
    FrameQuality,
    Histogram,
    Level,
    QualityRecord,
    RegionQuality,
)
from calmasters.quality.surface import Dust
from calmasters.quality.trend import Point, Trend
from calmasters.reporting.collect import ReportContent
from calmasters.reporting.masters import (
    CameraNumbers,
    Defects,
    Master,
    camera_numbers,
    in_electrons,
    measured,
    short,
)
from calmasters.reporting.pages import write_report
from calmasters.reporting.pictures import (
    Pictures,
    auto_stretch,
    sections,
    write_change,
    write_pictures,
)
from calmasters.reporting.plots import (
    draw_frames,
    draw_histogram,
    draw_photon_transfer,
    draw_trend,
    label_of,
)
from calmasters.settings import Integration

MARKUP = "<script>alert(1)</script><b>\"x\" & 'y' $\\alpha$"

KEYWORDS: Mapping[str, Value] = {
    "INSTRUME": MARKUP,
    "GAIN": 100,
    "FILTER": "<i>Ha</i>",
    "DATE": "2026-01-16",
}


def job_of(type_: FrameType, name: str = MARKUP, **fields: Any) -> MasterJob:
    job = MasterJob(
        name=re.sub(r"[^A-Za-z0-9]", "-", name),
        type=type_,
        keywords=KEYWORDS,
        geometry=Geometry(48, 32),
        frames=(FrameFile(f"{MARKUP}.fits", 1, 1),),
        header={},
        recipe=Recipe("native", 1, Integration(), None, "unit", "xisf"),
    )
    return replace(job, **fields)


def quality_of(job: MasterJob, **fields: Any) -> QualityRecord:
    record = QualityRecord(
        name=job.name,
        master=job.master,
        type=job.type.value,
        digest=job.digest,
        verdict=Level.ERROR,
        numbers={"level_adu": 612.34, "hot_percent": 2.0, "rejected_percent": 0.5},
        ranges={"hot_percent": [None, 1.0]},
        findings=[
            Finding(
                Level.ERROR,
                f"hot pixels of {MARKUP}",
                cause="the sensor ages",
                remedy="cool more",
                number="hot_percent",
            )
        ],
        frames=[
            FrameQuality(
                path=f"{MARKUP}.fits",
                night="2026-01-16",
                level_adu=612.0,
                rejected_percent=0.5,
                ccd_temp_c=-10.0,
                stands_out=f"it is {MARKUP}",
            )
        ],
        nights=[],
        histogram=Histogram([600.0, 610.0, 620.0], [3, 5]),
        vignetting=[1.0, 0.9, 0.8] if job.type is FrameType.FLAT else [],
    )
    return replace(record, **fields)


def image_of(shape: tuple[int, int] = (32, 48)) -> np.ndarray:
    return (np.random.default_rng(1).normal(600, 5, shape) / 65535).astype(np.float32)


def master_of(directory: Path, job: MasterJob, shape: tuple[int, int] = (32, 48)) -> Master:
    quality = directory / "quality" / f"{job.name}.json"
    quality.parent.mkdir(parents=True, exist_ok=True)
    quality.write_text(quality_of(job).to_json(), encoding="utf-8")
    master = directory / job.master
    master.parent.mkdir(parents=True, exist_ok=True)
    write_master(master, image_of(shape), [Card("IMAGETYP", "x")])
    counts = tuple(FrameStatistics(frame.path, 0, 0) for frame in job.frames)
    statistics = MasterStatistics(counts, 0.5, 0.5, 0.0, 1.0, 1e-3, 1.0, {"python": "3.11"})
    MasterRecord.of(job, statistics).write(master)
    write_pictures(image_of(shape), Pictures.of(directory, job.name))
    return Master.load(job, directory)


def decision_of(*frames: tuple[Frame, Verdict]) -> Decision:
    verdicts = {frame.path: verdict for frame, verdict in frames}
    return Decision("", (), (), (), tuple(frame for frame, _ in frames), verdicts, (MARKUP,), {})


@pytest.fixture
def content(tmp_path: Path) -> ReportContent:
    """The content of a report, with markup in every place that can contain header text."""
    bias = job_of(FrameType.BIAS, "bias")
    flat = job_of(FrameType.FLAT, "flat", bias=UsedMaster(bias.master, "run", f"because {MARKUP}"))
    frame = Frame(f"{MARKUP}.fits", 1, 1, Traits({"TYPE": "flat", **KEYWORDS}))
    refused = frame._replace(path=f"broken {MARKUP}.fits")
    trend = Trend(MARKUP, "bias", "read_noise_adu", "read noise, ADU", trend_points(5.0, 8.0))
    return ReportContent(
        decision_of(
            (frame, Verdict(Status.USED, group=flat.name)),
            (refused, Verdict(Status.REFUSED, f"is cut {MARKUP}; copy it", f"copy {MARKUP}")),
        ),
        [master_of(tmp_path, bias), master_of(tmp_path, flat)],
        [Defects("badPixels_x", tmp_path / "a b.fits", tmp_path / "a b.txt", [flat.name], 7, 3)],
        [trend],
        compared(tmp_path),
        [CameraNumbers(MARKUP, transfer_regions(), 2)],
        [OddFrame(f"odd {MARKUP}.fits", f"its level is 700 ADU {MARKUP}")],
        [f"flat: 5 of 9 frames differ {MARKUP}"],
        [
            DarkTemperature(
                MARKUP, "e-/s", [DarkCurrent(-10.0, 0.05, 0.001), DarkCurrent(0.0, 0.16, 0.002)]
            ),
            DarkTemperature("one", "ADU/s", [DarkCurrent(-10.0, 0.05, 0.001)]),
        ],
    )


def transfer_regions() -> list[RegionQuality]:
    """Two amplifiers: of the second the gain is unknown."""
    known = {
        "read_noise_adu": Estimate(8.012, 0.0123),
        "gain_e_adu": Estimate(0.80123, 0.0023),
        "white_adu": Estimate.unknown(f"no flat reaches white {MARKUP}"),
    }
    unknown = {**known, "gain_e_adu": Estimate.unknown("white is near")}
    points = [[1000.0, 1314.0, True], [10_000.0, 12_560.0, True], [60_000.0, 20_000.0, False]]
    return [RegionQuality("11", "", known, points), RegionQuality("12", "", unknown, [])]


def compared(directory: Path) -> EngineComparison:
    picture = "compare/pictures/siril/flat.webp"
    write_picture(directory / picture, image_of())
    master = ComparedMaster("masters/flat/x.xisf", MARKUP, "siril", pixels=5, all_pixels=9)
    masters = [replace(master, picture=picture), replace(master, problem=f"no {MARKUP}")]
    return EngineComparison(["native", "siril"], "2026-11-28T03:00:00+00:00", masters)


def trend_points(*values: float) -> list[Point]:
    return [Point(f"2026-01-{day:02d}", value, "m") for day, value in enumerate(values, 1)]


# --- pictures -------------------------------------------------------------------------------------


def test_the_stretch_maps_the_median_to_a_quarter() -> None:
    image = image_of((200, 300))
    stretched = auto_stretch(image)
    assert np.median(stretched) == pytest.approx(0.25 * 255, abs=1)
    order = np.argsort(image, axis=None)
    assert (np.diff(stretched.ravel()[order].astype(int)) >= 0).all()


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_constant_image_is_stretched(level: float) -> None:
    assert auto_stretch(np.full((8, 8), level, np.float32)).shape == (8, 8)


def test_sections_are_pixels_of_the_master() -> None:
    image = np.random.default_rng(1).integers(0, 255, (1500, 2000), np.uint8)
    mosaic = sections(image)
    np.testing.assert_array_equal(mosaic[:200, :200], image[:200, :200])
    np.testing.assert_array_equal(mosaic[-200:, -200:], image[-200:, -200:])
    np.testing.assert_array_equal(mosaic[202:402, 202:402], image[650:850, 900:1100])


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_previews_are_small_enough_for_a_page(tmp_path: Path) -> None:
    pictures = Pictures.of(tmp_path, "m.1")
    pictures.full.parent.mkdir()
    write_pictures(image_of((1200, 2000)), pictures)
    assert pictures.full == tmp_path / "quality" / "m.1.jpg"
    sizes = {path.name: size_of(path) for path in pictures.full.parent.iterdir()}
    assert sizes["m.1.jpg"] == (2000, 1200)
    assert sizes["m.1_overview.webp"] == (667, 400)
    assert sizes["m.1_sections.webp"] == (604, 604)
    assert sizes["m.1_structure.webp"] == (500, 300)
    assert sum(path.stat().st_size for path in tmp_path.glob("quality/*.webp")) < 300_000


# --- plots ----------------------------------------------------------------------------------------


def test_plots_use_the_colours_of_the_page_and_have_a_title() -> None:
    svg = draw_histogram(quality_of(job_of(FrameType.BIAS)))
    assert svg.startswith('<svg role="img"')
    assert "<title>Histogram of the master, median 612.3 ADU</title>" in svg
    assert "currentColor" in svg
    assert "var(--accent)" in svg
    assert "mathdefault" not in svg
    assert draw_histogram(quality_of(job_of(FrameType.BIAS))) == svg


def test_the_plot_of_frames_has_no_rejection_where_it_is_unknown() -> None:
    quality = quality_of(job_of(FrameType.BIAS))
    assert "<title>Level and rejection of 1 frames; 1 stand out</title>" in draw_frames(quality)
    unknown = replace(quality.frames[0], rejected_percent=None)
    svg = draw_frames(replace(quality, frames=[unknown]))
    assert "<title>Level of 1 frames; 1 stand out</title>" in svg
    assert "rejected" not in svg


def test_a_plot_contains_markup_as_text() -> None:
    trend = Trend(MARKUP, "bias", "level_adu", MARKUP, trend_points(5.0, 8.0))
    svg = draw_trend(trend)
    assert "<script" not in svg
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in svg
    assert "rose from 5 (2026-01-01) to 8 (2026-01-02)" in svg


@pytest.mark.parametrize(
    ("type_", "keywords", "label"),
    [
        (FrameType.BIAS, {}, "bias"),
        (FrameType.DARK, {"EXPOSURE": 60.0}, "dark 60.00 s"),
        (FrameType.FLAT, {"FILTER": "B", "DATE": "2026-01-16"}, "flat B 2026-01-16"),
        (FrameType.FLAT, {}, "flat"),
    ],
)
def test_masters_have_short_labels(
    type_: FrameType, keywords: Mapping[str, Value], label: str
) -> None:
    assert label_of(job_of(type_, keywords=keywords)) == label


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.0, "12"),
        (612.34, "612.3"),
        (0.7966, "0.797"),
        (0.00193, "0.002"),
        (-0.00001, "0"),
        (None, ""),
    ],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert short(value) == text


def test_a_number_with_an_uncertainty_has_its_digits(tmp_path: Path) -> None:
    job = job_of(FrameType.FLAT, "flat")
    quality = quality_of(
        job,
        numbers={"level_adu": 612.0, "gain_e_adu": 0.450912, "read_noise_adu": 36.987},
        uncertainties={"gain_e_adu": 0.00137, "read_noise_adu": 0.0961},
        unknown={"white_adu": "no flat reaches white"},
        regions=transfer_regions(),
    )
    master = replace(master_of(tmp_path, job), quality=quality)
    rows = {row.name: row for row in master.rows}
    assert rows["gain_e_adu"].value == "0.4509 ± 0.0014 e-/ADU"
    assert rows["read_noise_adu"].value == "36.987 ± 0.096 ADU"
    assert rows["white_adu"].value == "unknown"
    assert rows["white_adu"].reason == "no flat reaches white"
    assert [region.name for region in master.regions] == ["amplifier 11", "amplifier 12"]
    content = ReportContent(decision_of(), [master], [], [])
    write_report(tmp_path / "report.html", content)
    text = Page(tmp_path / "report.html").text
    assert "amplifier 12" in text
    assert "gain, e-/ADU: white is near." in text


def test_digits_follow_a_rounded_uncertainty() -> None:
    assert measured(Estimate(1234.56, 98.7)) == "1235 ± 99"
    assert measured(Estimate(1.23456, 0.0997)) == "1.23 ± 0.10"
    assert measured(Estimate(34_600.0, 0.0)) == "34600"
    assert measured(Estimate.unknown("why")) == ""


def test_a_camera_setting_has_the_numbers_of_all_its_masters(tmp_path: Path) -> None:
    def flat(name: str, gain: Estimate) -> Master:
        job = job_of(FrameType.FLAT, name)
        names = ("read_noise_adu", "white_adu", "full_well_e", "nonlinearity_percent")
        estimates = {"gain_e_adu": gain, **{each: Estimate.unknown("none") for each in names}}
        region = RegionQuality("", "", estimates, [[1000.0, 1314.0, True]])
        return replace(master_of(tmp_path, job), quality=quality_of(job, regions=[region]))

    bias_job = job_of(FrameType.BIAS, "bias")
    noise = RegionQuality("", "", {"read_noise_adu": Estimate(8.0, 0.1)})
    bias = replace(master_of(tmp_path, bias_job), quality=quality_of(bias_job, regions=[noise]))
    flats = [
        flat("one", Estimate(0.80, 0.01)),
        flat("two", Estimate(0.81, 0.01)),
        flat("three", Estimate.unknown("white is near")),
    ]
    (camera,) = camera_numbers([bias, *flats], ("GAIN",))
    (region,) = camera.regions
    assert (camera.setting, camera.flats) == ("GAIN 100, 48x32 binned 1x1", 3)
    assert camera.gain.value == pytest.approx(0.805)
    assert camera.gain.uncertainty == pytest.approx(0.01 / 2**0.5)
    assert region.estimates["read_noise_e"].value == pytest.approx(8 * 0.805)
    assert region.estimates["white_adu"].reason == "none"
    assert len(region.points) == 3
    assert camera_numbers([bias], ("GAIN",)) == []


def test_the_photon_transfer_curve_says_what_was_found() -> None:
    svg = draw_photon_transfer("camera", transfer_regions())
    assert "<title>Photon transfer curve of camera: gain 0.8012 e-/ADU</title>" in svg
    for text in ("level above the bias, ADU", "not used", "shot and read noise", "1,000"):
        assert text in svg
    assert "no gain" in draw_photon_transfer("camera", [transfer_regions()[1]])


def test_the_gain_of_flats_converts_numbers_of_the_same_setting_to_electrons(
    tmp_path: Path,
) -> None:
    bias = master_of(tmp_path, job_of(FrameType.BIAS, "bias"))
    other = master_of(tmp_path, job_of(FrameType.BIAS, "other", keywords={"GAIN": 200}))
    flat = master_of(tmp_path, job_of(FrameType.FLAT, "flat"))
    bias, other = (
        replace(master, quality=quality_of(master.job, numbers={"read_noise_adu": 10.0}))
        for master in (bias, other)
    )
    flat = replace(flat, quality=quality_of(flat.job, numbers={"gain_e_adu": 0.5}))
    converted = in_electrons([bias, other, flat], ("GAIN",))
    assert [master.number("read_noise_e") for master in converted] == [5.0, None, None]


# --- the page -------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    VOID = frozenset({"meta", "link", "img", "br", "input", "path", "use", "rect"})

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def page(tmp_path: Path, content: ReportContent) -> Page:
    write_report(tmp_path / "report.html", content)
    return Page(tmp_path / "report.html")


def test_the_page_is_well_formed_and_its_links_have_targets(page: Page) -> None:
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        target = str(link["href"])
        assert not target.startswith("#") or target[1:] in ids
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "data-for"):
            assert attributes.get(name) is None or attributes[name] in ids


def test_header_values_are_text_and_never_markup(page: Page) -> None:
    assert len(page.all("script")) == 1
    assert not page.all("i")
    for place in (f"hot pixels of {MARKUP}", f"because {MARKUP}", f"copy {MARKUP}", "<i>Ha</i>"):
        assert place in page.text


def test_the_page_loads_nothing_from_a_network(page: Page) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "data-sections"):
            value = str(attributes.get(name) or "")
            assert tag == "a" or not value or value.startswith(("data:", "#"))
        assert not [name for name in attributes if name.startswith("on")]
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy
    assert "default-src 'none'" in policy


def test_every_picture_has_an_alternative_text(page: Page) -> None:
    texts = [image["alt"] for image in page.all("img") if image.get("src")]
    assert len(texts) == 5
    assert all(texts)
    assert all(svg.get("role") == "img" for svg in page.all("svg"))


def test_a_master_has_its_numbers_and_remedies(page: Page) -> None:
    for text in (
        *(
            "out of range",
            "2 % ▲",
            "at most 1",
            "Likely cause: the sensor ages.",
            "To do: cool more.",
        ),
        *("WinsorizedSigmaClip", "1 left out", "2026-01-16", "rose from 5"),
    ):
        assert text in page.text, text


def test_a_comparison_of_engines_is_shown_with_its_picture(page: Page) -> None:
    assert "Compared with those by engine native on 2026-11-28" in " ".join(page.text.split())
    assert "55.6 % differ" in page.text


def test_frames_to_leave_out_are_listed_with_the_command(page: Page, tmp_path: Path) -> None:
    text = " ".join(page.text.split())
    assert "1 used frame differs from the others of its master" in text
    assert f"snakemake masters --configfile {tmp_path}/leave_out.yaml" in text
    assert "its level is 700 ADU" in text
    assert "quality/metrics.csv" in {link["href"] for link in page.all("a")}


def test_the_doubling_temperature_or_the_reason_is_shown(page: Page) -> None:
    text = " ".join(page.text.split())
    assert "doubles every 5.96 ± 0.19 °C" in text
    assert "0.0500 ± 0.0010" in text
    assert "Doubling temperature unknown: darks of two or more set-points" in text


def test_what_changed_is_shown_with_the_master_it_was_compared_with(tmp_path: Path) -> None:
    flat = master_of(tmp_path, job_of(FrameType.FLAT, "flat"))
    picture = np.zeros((24, 32), np.float32)
    write_change(flat.pictures.change, Changes(None, 0.0, Dust(0.1, 0.05), picture))
    compared_flat = replace(flat, quality=replace(flat.quality, previous=f"before {MARKUP}"))
    write_report(tmp_path / "report.html", ReportContent(decision_of(), [compared_flat], [], []))
    page = Page(tmp_path / "report.html")
    assert "Compared with before <script>" in " ".join(page.text.split())
    labels = [image.get("alt", "") for image in page.all("img")]
    assert any("differs from the master before" in label for label in labels)
    write_change(flat.pictures.change, None)
    assert not flat.pictures.change.exists()
    write_report(tmp_path / "report.html", ReportContent(decision_of(), [compared_flat], [], []))
    labels = [image.get("alt", "") for image in Page(tmp_path / "report.html").all("img")]
    assert not any("differs from the master before" in label for label in labels)


def test_links_to_files_are_relative_and_safe(page: Page) -> None:
    links = {link["href"] for link in page.all("a")}
    assert {"a%20b.fits", "a%20b.txt", "quality/flat.jpg"} <= links


def test_a_directory_without_masters_has_a_report(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", ReportContent(decision_of(), [], [], []))
    page = Page(tmp_path / "report.html")
    assert "None: every bias, dark and flat was used." in page.text
    assert "No trend yet" in page.text


def test_the_pictures_of_a_page_have_a_size_limit(tmp_path: Path) -> None:
    jobs = [
        job_of(FrameType.BIAS, f"bias {number}", geometry=Geometry(1920, 1080))
        for number in range(3)
    ]
    masters = [master_of(tmp_path, job, (1080, 1920)) for job in jobs]
    content = ReportContent(decision_of(), masters, [], [])
    write_report(tmp_path / "complete.html", content)
    assert 'data-sections="data:' in (tmp_path / "complete.html").read_text(encoding="utf-8")
    write_report(tmp_path / "small.html", content, picture_bytes=300_000)
    page = (tmp_path / "small.html").read_text(encoding="utf-8")
    assert 100_000 < sum(map(len, re.findall(r'"data:image[^"]*"', page))) < 300_100
    assert all(f'href="quality/bias-{number}.jpg"' in page for number in range(3))
