"""Plots: each has a title and axes with units, or a sentence where there is nothing to draw."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from report_content import MARKUP, job_of, quality_of, transfer_regions, trend_points

from calmasters.frame import FrameType
from calmasters.quality.quality_record import Histogram
from calmasters.quality.trend import Trend
from calmasters.reporting.panels import Panel, Scale
from calmasters.reporting.plots import (
    Plot,
    draw_frames,
    draw_histogram,
    draw_photon_transfer,
    draw_trend,
    draw_vignetting,
)


def svg_of_plot(plot: Plot) -> str:
    assert plot.svg, plot.note
    return str(plot.svg)


def test_plots_use_the_colours_of_the_page_and_have_a_title() -> None:
    svg = svg_of_plot(draw_histogram(quality_of(job_of(FrameType.BIAS))))
    assert svg.startswith('<svg role="img"')
    assert "<title>Histogram of the master, median 612.3 ADU</title>" in svg
    assert "currentColor" in svg
    assert "var(--accent)" in svg
    assert len(svg) < 5000


def test_the_plot_of_frames_has_no_rejection_where_it_is_unknown() -> None:
    quality = quality_of(job_of(FrameType.BIAS))
    plot = draw_frames(quality)
    assert plot.title == "Level and rejected samples of each frame"
    assert "1 frames, 1 stand out</title>" in svg_of_plot(plot)
    unknown = replace(quality.frames[0], rejected_percent=None)
    plot = draw_frames(replace(quality, frames=[unknown]))
    assert plot.title == "Level of each frame"
    assert "rejected" not in svg_of_plot(plot)


def test_a_plot_contains_markup_as_text() -> None:
    trend = Trend(MARKUP, "bias", "level_adu", MARKUP, trend_points(5.0, 8.0))
    svg = svg_of_plot(draw_trend(trend))
    assert "<script" not in svg
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in svg
    assert "rose from 5 (2026-01-01) to 8 (2026-01-02)" in svg


def test_the_photon_transfer_curve_says_what_was_found() -> None:
    plot = draw_photon_transfer("camera", transfer_regions())
    svg = svg_of_plot(plot)
    assert "<title>Photon transfer curve of camera: gain 0.8012 ± 0.0023 e-/ADU</title>" in svg
    assert "level above the bias, ADU" in svg
    assert "1,000" in svg
    assert plot.note == (
        "Blue: pairs of flats. Red: pairs of flats that were not used. "
        "Line: shot noise and read noise."
    )


def test_every_plot_has_a_title_and_axes_with_units() -> None:
    quality = quality_of(job_of(FrameType.FLAT))
    trend = Trend("camera", "bias", "read_noise_adu", "read noise, ADU", trend_points(5.0, 8.0))
    for plot, labels in (
        (draw_histogram(quality), ("level, ADU", "pixels")),
        (draw_frames(quality), ("level, ADU", "rejected, %", "frame, in order of time")),
        (
            draw_vignetting(quality),
            ("distance from the centre, % of the corner&#39;s", "level, % of the centre"),
        ),
        (
            draw_photon_transfer("camera", transfer_regions()),
            ("level above the bias, ADU", "variance, ADU²"),
        ),
        (draw_trend(trend), ("night", "read noise, ADU")),
    ):
        assert plot.title
        texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg_of_plot(plot))
        assert {*labels} <= {*texts}, plot.title
        ticks = [text for text in texts if text not in labels]
        assert len(ticks) >= 4, plot.title
        assert not [tick for tick in ticks if "e" in tick or len(tick) > 11], plot.title


def test_a_plot_without_points_is_a_sentence() -> None:
    quality = quality_of(
        job_of(FrameType.FLAT),
        histogram=Histogram([611.5, 612.0, 612.5], [0, 64]),
        vignetting=[1.0, 3.17e11],
        frames=[],
        numbers={"level_adu": 612.0},
    )
    for plot in (
        draw_histogram(quality),
        draw_frames(quality),
        draw_vignetting(quality),
        draw_photon_transfer("camera", [transfer_regions()[1]]),
        draw_trend(Trend("camera", "bias", "level_adu", "level, ADU", [])),
    ):
        assert plot.svg is None, plot.title
        assert plot.note.endswith("."), plot.title
    assert draw_histogram(quality).note == "All pixels of the master are at 612 ADU."


def test_marks_of_frames_that_stand_out_have_another_colour() -> None:
    quality = quality_of(job_of(FrameType.BIAS))
    assert 'stroke="var(--bad)"' in svg_of_plot(draw_frames(quality))
    usual = replace(quality, frames=[replace(quality.frames[0], stands_out="")])
    assert "var(--bad)" not in svg_of_plot(draw_frames(usual))


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ((585.0, 617.0), ["590", "600", "610"]),
        ((0.0, 2.3), ["0.0", "0.5", "1.0", "1.5", "2.0"]),
        ((599.829, 599.849), ["599.830", "599.835", "599.840", "599.845"]),
        ((5.0, 5.0), ["4.6", "4.8", "5.0", "5.2", "5.4"]),
        ((-0.02, 0.02), ["-0.02", "-0.01", "0.00", "0.01", "0.02"]),
    ],
)
def test_ticks_are_round_and_have_the_digits_of_their_step(
    values: tuple[float, float], ticks: list[str]
) -> None:
    scale = Scale.around("x", values, margin=0.0)
    assert [tick.text for tick in scale.ticks] == ticks


def test_marks_are_where_their_values_are() -> None:
    x = Scale.around("x", (0.0, 10.0), margin=0.0)
    y = Scale.logarithmic("y", (1.0, 100.0))
    panel = Panel(x, y)
    panel.points([0.0, 5.0, 10.0], [1.0, 10.0, 100.0], "accent")
    places = re.findall(r"M([\d.]+) ([\d.]+)h0", str(panel))
    (left, low), (middle, half), (right, high) = [(float(a), float(b)) for a, b in places]
    assert middle == pytest.approx((left + right) / 2, abs=0.1)
    assert half == pytest.approx((low + high) / 2, abs=0.1)
    assert low > high


def test_a_logarithmic_scale_of_alike_values_has_ticks() -> None:
    for values in ((20_000.0, 35_000.0), (9.0, 11.0), (1.0, 1e6), (100.0, 100.0)):
        ticks = Scale.logarithmic("y", values).ticks
        assert 3 <= len(ticks) <= 8, values
