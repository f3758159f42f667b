"""The page of a report: header text stays text, and many masters stay readable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_content import (
    KEYWORDS,
    MARKUP,
    decision_of,
    image_of,
    job_of,
    master_of,
    quality_of,
    transfer_regions,
    trend_points,
)

from calmasters.comparison.between_engines import ComparedMaster, EngineComparison
from calmasters.comparison.picture import write_picture
from calmasters.frame import Frame, FrameType, Geometry, Status, Traits, Value, Verdict
from calmasters.model.job import LeftOut, UsedMaster
from calmasters.planning.short_names import label_of
from calmasters.quality.changes import Changes
from calmasters.quality.dark_temperature import DarkCurrent, DarkTemperature
from calmasters.quality.estimate import Estimate
from calmasters.quality.leave_out import OddFrame
from calmasters.quality.quality_record import Finding, FrameQuality, Level, RegionQuality
from calmasters.quality.surface import Dust
from calmasters.quality.trend import Trend
from calmasters.reporting.collect import ReportContent
from calmasters.reporting.masters import (
    CameraNumbers,
    Defects,
    Master,
    camera_numbers,
    in_electrons,
    titled,
)
from calmasters.reporting.pages import room_for_pictures, write_report
from calmasters.reporting.pictures import write_change, write_pictures


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
        titled([master_of(tmp_path, bias), master_of(tmp_path, flat)], {}),
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


def compared(directory: Path) -> EngineComparison:
    picture = "compare/pictures/siril/flat.webp"
    write_picture(directory / picture, image_of())
    master = ComparedMaster("masters/flat/x.xisf", MARKUP, "siril", pixels=5, all_pixels=9)
    masters = [replace(master, picture=picture), replace(master, problem=f"no {MARKUP}")]
    return EngineComparison(["native", "siril"], "2026-11-28T03:00:00+00:00", masters)


# --- names and numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "keywords", "label"),
    [
        (FrameType.BIAS, {}, "bias"),
        (FrameType.DARK, {"EXPOSURE": 60.0}, "dark 60 s"),
        (FrameType.FLAT, {"FILTER": "B", "DATE": "2026-01-16"}, "flat B 2026-01-16"),
        (FrameType.FLAT, {}, "flat"),
    ],
)
def test_masters_have_short_labels(
    type_: FrameType, keywords: Mapping[str, Value], label: str
) -> None:
    assert label_of(type_, keywords) == label


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


def test_frames_that_a_job_left_out_are_listed(tmp_path: Path, content: ReportContent) -> None:
    left_out = LeftOut("dark7.fits", "its level is 900 ADU, the others have 100")
    dark = master_of(tmp_path, job_of(FrameType.DARK, "dark"), left_out=(left_out,))
    write_report(tmp_path / "report.html", replace(content, masters=titled([dark], {})))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    refused = text[text.index('id="refused"') :].partition("</section>")[0]
    assert "left out when a master was made" in refused
    assert "dark7.fits" in refused
    assert left_out.reason in refused


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

    VOID = frozenset({"meta", "link", "img", "br", "input"})

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

    def place_of(self, tag: str, **attributes: str) -> int:
        """Return the index of the first element with a tag and attributes."""
        return next(
            index
            for index, (name, found) in enumerate(self.elements)
            if name == tag and attributes.items() <= found.items()
        )

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
    assert len(texts) == 3
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
    picture[4:12, 8:16] = -0.05
    write_change(flat.pictures.change, Changes(None, 0.0, Dust(0.1, 0.05), picture))
    compared_flat = replace(flat, quality=replace(flat.quality, previous=f"before {MARKUP}"))
    content = ReportContent(decision_of(), [compared_flat], [], [])
    write_report(tmp_path / "report.html", content)
    page = Page(tmp_path / "report.html")
    assert "Compared with before <script>" in " ".join(page.text.split())
    labels = [image.get("alt", "") for image in page.all("img")]
    assert any("differs from the master before" in label for label in labels)
    write_change(flat.pictures.change, None)
    assert not flat.pictures.change.exists()
    write_report(tmp_path / "report.html", content)
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


# --- the page for readers -------------------------------------------------------------------------


def test_two_masters_never_have_the_same_title(tmp_path: Path) -> None:
    keywords = (
        {"INSTRUME": "A", "GAIN": 1},
        {"INSTRUME": "A", "GAIN": 2},
        {"INSTRUME": "B", "GAIN": 1},
    )
    jobs = [
        job_of(FrameType.BIAS, f"bias {number}", keywords=each)
        for number, each in enumerate(keywords)
    ]
    dark = job_of(FrameType.DARK, "dark", keywords={"EXPOSURE": 60.0, **keywords[0]})
    names = ["bias, A, gain 1", "bias, A, gain 2", "bias, B, gain 1", "dark 60 s, A, gain 1"]
    masters = [master_of(tmp_path, job) for job in (*jobs, dark)]
    short_names = {master.job.master: name for master, name in zip(masters, names, strict=True)}
    found = titled(masters, short_names)
    assert [master.title for master in found] == names
    assert [master.brief for master in found] == [*names[:3], "dark 60 s"]
    assert found[0].rest == "A, gain 1"
    # Names that are missing, or those of other masters, have the names of files added.
    alike = titled(masters, dict.fromkeys(short_names, "bias, A"))
    assert len({master.title for master in alike}) == len({master.brief for master in alike}) == 4


def test_briefs_are_no_longer_than_needed(tmp_path: Path) -> None:
    masters = [master_of(tmp_path, job_of(FrameType.BIAS, name, keywords={})) for name in "ab"]
    names = ("bias, one camera, -10 °C", "bias, another camera, -10 °C")
    found = titled(
        masters, {each.job.master: name for each, name in zip(masters, names, strict=True)}
    )
    assert [master.brief for master in found] == ["bias, one camera", "bias, another camera"]


def many(directory: Path, count: int) -> list[Master]:
    """Return one master with 20 frames under many names, all exposed too short."""
    job = job_of(FrameType.FLAT, "flat")
    one = master_of(directory, job, (80, 120))
    frames = [
        FrameQuality(f"flats/{number}.fits", "2026-01-16", 28_000.0 + number, 3.4, -10.0, "")
        for number in range(20)
    ]
    finding = Finding(
        Level.ERROR, "level: 9 % (expected: at least 15)", "it is dusk", "wait", "level_percent"
    )
    quality = quality_of(
        job, frames=frames, findings=[finding], numbers={"level_adu": 28_000.0, "frames": 20.0}
    )
    masters = []
    for number in range(count):
        name = f"flat-{number:03d}"
        numbered = replace(one.job, name=name, keywords={"FILTER": f"F{number}"})
        masters.append(replace(one, job=numbered, quality=replace(quality, name=name)))
    return titled(masters, {})


def test_a_cause_of_many_masters_is_reported_once_before_the_list(tmp_path: Path) -> None:
    masters = many(tmp_path, 30)
    write_report(tmp_path / "report.html", ReportContent(decision_of(), masters, [], []))
    page = Page(tmp_path / "report.html")
    problems, rest = page.text.split("Problems", 2)[2].split("30 of 30", 1)[0].split("Filter", 1)
    assert problems.count("It is dusk") == 1
    assert problems.count("To do: wait.") == 1
    assert "30 masters:" in problems
    assert "and 18 more" in problems
    anchors = {f"#{master.anchor}" for master in masters}
    before_the_list = [
        str(attributes["href"])
        for tag, attributes in page.elements[: page.place_of("table", id="table")]
        if tag == "a"
    ]
    assert anchors <= {*before_the_list}
    assert rest


def test_a_page_without_problems_has_no_summary_of_them(tmp_path: Path) -> None:
    master = master_of(tmp_path, job_of(FrameType.BIAS, "bias"))
    good = replace(master, quality=replace(master.quality, findings=[], verdict=Level.GOOD))
    content = ReportContent(replace(decision_of(), warnings=()), [good], [], [])
    write_report(tmp_path / "report.html", content)
    assert "Problems" not in Page(tmp_path / "report.html").text


def test_cards_are_closed_and_those_with_a_problem_are_marked(page: Page) -> None:
    cards = [each for each in page.all("details") if each.get("class") == "card"]
    assert len(cards) == 2
    assert all("open" not in card for card in cards)
    assert [article.get("class") for article in page.all("article")] == ["problem out"] * 2


def test_each_master_adds_little_to_the_page_and_its_pictures_wait_until_they_are_seen(
    tmp_path: Path,
) -> None:
    pages = []
    for count in (1, 41):
        path = tmp_path / f"{count}.html"
        write_report(path, ReportContent(decision_of(), many(tmp_path, count), [], []))
        text = re.sub(r'"data:image[^"]*"', '""', path.read_text(encoding="utf-8"))
        pages.append((len(text), Page(path)))
    (short_text, short_page), (long_text, page) = pages
    assert (long_text - short_text) / 40 < 25_000
    assert (len(page.elements) - len(short_page.elements)) / 40 < 350
    pictures = [image for image in page.all("img") if image.get("src")]
    assert len(pictures) == 82
    for image in pictures:
        assert (image["loading"], image["decoding"]) == ("lazy", "async")
        assert image["width"]
        assert image["height"]


def test_a_constant_master_has_a_sentence_instead_of_pictures(tmp_path: Path) -> None:
    job = job_of(FrameType.BIAS, "bias")
    master = master_of(tmp_path, job)
    write_pictures(np.full((32, 48), 0.01, np.float32), master.pictures)
    write_report(tmp_path / "report.html", ReportContent(decision_of(), [master], [], []))
    page = Page(tmp_path / "report.html")
    assert "No picture: all pixels of the master look the same." in page.text
    assert not [image for image in page.all("img") if image.get("src")]


def test_pictures_of_masters_with_a_problem_come_first(tmp_path: Path) -> None:
    good, bad = (
        master_of(tmp_path, job_of(FrameType.BIAS, name), (320, 480)) for name in ("good", "bad")
    )
    good = replace(good, quality=replace(good.quality, findings=[], verdict=Level.GOOD))
    size = good.pictures.overview.stat().st_size
    content = ReportContent(decision_of(), [good, bad], [], [])
    write_report(tmp_path / "report.html", content, picture_bytes=int(1.5 * size))
    page = Page(tmp_path / "report.html")
    texts = [str(image["alt"]) for image in page.all("img") if image.get("src")]
    assert texts
    assert all("bad" in text for text in texts)
    assert "The page has no room for this picture" in page.text


def test_temperatures_of_frames_have_one_decimal(tmp_path: Path) -> None:
    master = master_of(tmp_path, job_of(FrameType.BIAS, "bias"))
    frame = replace(master.quality.frames[0], ccd_temp_c=-10.104270106606831)
    master = replace(master, quality=replace(master.quality, frames=[frame]))
    write_report(tmp_path / "report.html", ReportContent(decision_of(), [master], [], []))
    text = Page(tmp_path / "report.html").text
    assert "-10.1" in text
    assert "-10.10" not in text


def test_flats_are_listed_by_the_masters_that_they_use(tmp_path: Path) -> None:
    bias = job_of(FrameType.BIAS, "bias", keywords={})
    library = UsedMaster("library/dark.xisf", "library", "it fits")
    flats = [
        job_of(
            FrameType.FLAT,
            f"flat {name}",
            keywords={"FILTER": name},
            bias=UsedMaster(bias.master, "run", "it fits"),
            dark=library,
        )
        for name in "RGB"
    ]
    masters = titled([master_of(tmp_path, job) for job in (bias, *flats)], {})
    write_report(tmp_path / "report.html", ReportContent(decision_of(), masters, [], []))
    words = " ".join(Page(tmp_path / "report.html").text.split())
    row = words.split("biasdarkflats ")[1]
    assert row.startswith("bias library/dark.xisf (library) flat R flat G flat B")


def test_large_differences_between_engines_have_no_exponent() -> None:
    compared = ComparedMaster(
        "m", "flat", "siril", pixels=5, all_pixels=9, largest_noise=31_234.5, largest_adu=12_345.6
    )
    assert compared.result == "55.6 % differ, at most 31234 x noise, 12346 ADU at x 0, y 0"


def test_very_many_masters_leave_lessroom_for_pictures(tmp_path: Path) -> None:
    one = many(tmp_path, 1)
    rooms = [room_for_pictures(one * count) for count in (1, 200, 500, 10_000)]
    assert rooms == [6_500_000, 5_500_000, 1_000_000, 1_000_000]
