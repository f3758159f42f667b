"""The functions of the report in a real browser."""

from __future__ import annotations

import pytest

expect = pytest.importorskip("playwright.sync_api").expect

ROWS = "#table tbody tr"


def column(page, number: int) -> list[str]:
    return page.locator(f"{ROWS} > :nth-child({number})").all_inner_texts()


def open_card(page, name: str) -> None:
    page.locator(".card > summary", has_text=name).first.click()


def background(page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_page_opens_from_disk_without_a_network(page):
    assert page.title() == "Calibration masters"
    assert page.locator("article").count() == page.locator(ROWS).count() == 5
    page.get_by_role("button", name="Open all").click()
    for picture in page.locator("article img").all():
        picture.scroll_into_view_if_needed()
    broken = page.evaluate("[...document.images].filter(i => i.src && !i.naturalWidth).length")
    assert broken == 0


def test_header_text_is_text(page, markup_filter):
    assert page.get_by_role("heading", name=f"flat {markup_filter} 2026-01-16").is_visible()
    assert page.locator("img[src='x']").count() == 0
    assert page.title() == "Calibration masters"


def test_a_heading_sorts_and_reverses_the_order(page):
    heading = page.locator("#table thead th").nth(4)
    heading.get_by_role("button").click()
    rising = [float(text) for text in column(page, 5)]
    assert rising == sorted(rising)
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.get_by_role("button").press("Enter")
    assert [float(text) for text in column(page, 5)] == rising[::-1]
    assert heading.get_attribute("aria-sort") == "descending"


def test_text_and_verdict_filter_masters(page):
    page.get_by_label("Filter").fill("dark 60 s")
    assert page.locator(f"{ROWS}:visible").count() == 1
    assert page.locator("article:visible h3").all_inner_texts()[0].startswith("dark 60 s")
    assert page.locator("#shown").inner_text() == "1 of 5 shown"
    page.get_by_label("Filter").fill("")
    page.get_by_label("Verdict").select_option("out of range")
    shown = page.locator(f"{ROWS}:visible th").all_inner_texts()
    assert len(shown) == 2
    assert all(name.startswith("flat") for name in shown)
    page.get_by_label("Filter").fill("no such master")
    assert page.locator("article:visible").count() == 0


def test_a_preview_zooms_to_single_pixels(page):
    open_card(page, "bias")
    button = page.get_by_role("button", name="Enlarge the picture of bias")
    button.click()
    dialog = page.get_by_role("dialog")
    picture, scale = dialog.locator("img"), dialog.locator("#zoom-scale")
    fitted = picture.bounding_box()["width"]
    assert fitted <= 1280
    assert scale.inner_text() != "1:1"
    page.keyboard.press("+")
    assert picture.bounding_box()["width"] == pytest.approx(1.5 * fitted, rel=0.01)
    dialog.get_by_role("button", name="1:1").click()
    expect(scale).to_have_text("1:1")
    assert picture.evaluate("i => [i.naturalWidth, i.clientWidth]") == [604, 604]
    page.keyboard.press("0")
    expect(scale).not_to_have_text("1:1")
    assert picture.bounding_box()["width"] == pytest.approx(fitted, rel=0.01)
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert button.evaluate("b => b === document.activeElement")


def test_all_controls_are_reachable_by_keyboard(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the masters"
    page.keyboard.press("Enter")
    assert page.url.endswith("#masters")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "filter"
    for name in ("Problems", "Masters", "Cameras and nights", "Refused frames, by remedy", "Trend"):
        assert page.get_by_role("heading", name=name, exact=True).count() == 1
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, a, input, select')]"
        ".filter(e => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length))"
        ".length"
    )
    assert nameless == 0


def test_the_theme_of_the_system_is_used_until_it_is_switched(open_report):
    light, dark = background(open_report().page), open_report(theme="dark").page
    night = background(dark)
    assert night != light
    dark.get_by_role("button", name="Switch between light and dark").click()
    assert background(dark) == light
    dark.get_by_role("button", name="Switch between light and dark").click()
    assert background(dark) == night


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_enough_contrast(open_report, theme):
    page = open_report(theme=theme).page
    selectors = (".quiet", ".chip", "figcaption", "#table th", "nav a", ".findings li")
    for selector in (*selectors, "summary h3", ".links .chip", ".plot text"):
        assert contrast(page, selector) >= 4.5, selector


def contrast(page, selector: str) -> float:
    """Return the contrast (WCAG 2.2) of a text and the nearest opaque background."""
    text, ground = page.locator(selector).first.evaluate(
        """element => {
            const colour = getComputedStyle(element).color;
            let ground = element;
            const clear = () => getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)';
            while (clear()) ground = ground.parentElement;
            return [colour, getComputedStyle(ground).backgroundColor];
        }"""
    )
    one, other = sorted((luminance(text), luminance(ground)), reverse=True)
    return (one + 0.05) / (other + 0.05)


def luminance(colour: str) -> float:
    channels = [int(text) / 255 for text in colour.strip("rgb()").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("width", [360, 390, 768])
def test_the_page_fits_a_phone(open_report, width):
    page = open_report(width=width, height=800).page
    for details in page.locator("details").all():
        details.evaluate("d => { d.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Enlarge the picture of bias").click()
    box = page.get_by_role("dialog").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


@pytest.mark.parametrize("width", [360, 390])
def test_a_phone_shows_each_verdict_beside_its_master(open_report, width):
    page = open_report(width=width, height=800).page
    for chip in page.locator("#table .chip, .card > summary .chip").all():
        box = chip.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    open_card(page, "flat B")
    page.locator(".card[open] .plots").scroll_into_view_if_needed()
    # The card is longer than the screen: its name and verdict stay at the top.
    assert page.locator(".card[open] > summary .chip").bounding_box()["y"] < 120


def test_problems_come_first_and_lead_to_their_masters(page):
    assert page.locator("main section").nth(1).get_attribute("id") == "problems"
    cause = page.locator("#problems li", has_text="exposed too short")
    assert cause.count() == 1
    assert cause.locator("a").count() == 2
    assert page.locator(".card[open]").count() == 0
    cause.locator("a").first.click()
    card = page.locator(".card[open]")
    expect(card).to_have_count(1)
    assert card.locator("h3").inner_text().startswith(cause.locator("a").first.inner_text())
    assert 0 <= card.locator("h3").bounding_box()["y"] < 200


def test_a_card_opens_by_keyboard_by_link_and_by_search(page):
    summary = page.locator(".card > summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator(".card[open]").count() == 1
    page.keyboard.press("Enter")
    assert page.locator(".card[open]").count() == 0
    page.get_by_label("Filter").fill("filter-b_")
    assert page.locator(".card[open] h3").all_inner_texts()[0].startswith("flat B")
    page.get_by_label("Filter").fill("")
    assert page.locator(".card[open]").count() == 0
    page.get_by_label("Filter").fill("flat B")
    page.locator("#plan a", has_text="bias").click()
    expect(page.locator(".card[open]:visible h3", has_text="bias")).to_be_visible()
    assert page.get_by_label("Filter").input_value() == ""


def test_the_page_works_without_its_script(browser, report):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(report.as_uri())
    assert not page.get_by_label("Filter").is_visible()
    open_card(page, "bias")
    assert page.locator(".plot").first.is_visible()
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_print_is_light_and_opens_only_cards_with_a_problem(open_report, theme):
    # An A4 sheet is 703 x 1024 pixels large inside its margins.
    page = open_report(width=703, theme=theme).page
    page.emulate_media(media="print", color_scheme=theme)
    for article in page.locator("article").all():
        is_problem = "problem" in (article.get_attribute("class") or "")
        assert article.is_visible() is is_problem
        assert article.locator(".plots").is_visible() is is_problem
        assert not article.locator("caption", has_text="Frames used").is_visible()
    assert not page.locator("nav").is_visible()
    assert luminance(page.evaluate("getComputedStyle(document.body).color")) < 0.1
    heights = [each.bounding_box()["height"] for each in page.locator(".problem").all()]
    assert max(heights) < 1024


def test_plots_fit_their_frames(page):
    page.get_by_role("button", name="Open all").click()
    outside = page.evaluate(
        """[...document.querySelectorAll('.plot')].flatMap(plot => {
            const box = plot.getBoundingClientRect();
            return [...plot.querySelectorAll('text, path')].filter(mark => {
                const own = mark.getBoundingClientRect();
                return own.left < box.left - 1 || own.right > box.right + 1
                    || own.top < box.top - 1 || own.bottom > box.bottom + 1;
            }).map(mark => mark.textContent || mark.getAttribute('d').slice(0, 40));
        })"""
    )
    assert page.locator(".plot").count() >= 12
    assert outside == []
