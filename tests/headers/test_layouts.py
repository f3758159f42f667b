"""Which layout a header gives: overscan, amplifiers, and what is wrong with their sections."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from calmasters.frame import Geometry
from calmasters.frame_layout import FrameLayout, FramePart, Section
from calmasters.headers.amplifiers import amplifiers_in, amplifiers_of, declared_numbers
from calmasters.headers.fits_cards import ImageHeader
from calmasters.headers.geometry import geometry_of
from calmasters.headers.layouts import FoundLayout, LayoutFinder
from calmasters.settings import LayoutRules

#: A table with the entry of a camera whose headers say nothing.
KNOWN = {"Plain*": {"size": (56, 40), "data": "[1:48,*]", "overscan": ("[49:56,*]",)}}


def header_of(width: int, height: int, cards: Mapping[str, Any], number: int = 0) -> ImageHeader:
    plain = {"NAXIS": 2, "NAXIS1": width, "NAXIS2": height, "BITPIX": 16, "BZERO": 32768}
    return ImageHeader({**plain, **cards}, 2880, 5760, number=number)


def found_in(
    header: ImageHeader, camera: str = "Camera", overscan: str = "auto", **cameras: Any
) -> FoundLayout:
    finder = LayoutFinder(LayoutRules(overscan, cameras), KNOWN)
    return finder.find(header, camera, geometry_of(header.cards))


def found(width: int = 56, height: int = 40, **cards: Any) -> FoundLayout:
    return found_in(header_of(width, height, cards))


def geometry_found(result: FoundLayout) -> Geometry:
    assert result.geometry is not None, result
    return result.geometry


def layout_found(result: FoundLayout) -> FrameLayout:
    layout = geometry_found(result).layout
    assert layout is not None
    return layout


DATA, BIAS = Section(0, 48, 0, 40), Section(48, 56, 0, 40)


@pytest.mark.parametrize(
    "cards",
    [
        {"BIASSEC": "[49:56,1:40]", "TRIMSEC": "[1:48,1:40]", "DATASEC": "[1:48,1:40]"},
        {"BIASSEC": "[49:56,1:40]", "DATASEC": "[1:48,*]"},
        {"BIASSEC": "[ 56 : 49 , 40 : 1 ]", "TRIMSEC": "[48:1,40:1]"},
        {"BIASSEC": "[49:56,*]"},
        {"BIASSEC": "[49:56,1:40]", "TRIMSEC": "[1:56,1:40]", "DATASEC": "[*,*]"},
        {"BIASSEC": "[49:56,1:40]", "TRIMSEC": "[0:0,0:0]", "DATASEC": "[1:48,1:40]"},
        {"BSEC1": "[49:56,1:40]", "TSEC1": "[1:48,1:40]"},
        {"BIASSECA": "[49:56,1:40]", "DATASECA": "[1:48,1:40]"},
        {"BIASSEC": "(49:56,1:40)", "TRIMSEC": "1:48,1:40"},
        {"BIASSEC": "[49.0:56.0,1:40", "DATASEC": "[1:48,1:40]"},
        {"BIASSEC": "[49:56,*]", "TRIMSEC": "[*,1:40]"},
    ],
)
def test_sections_of_a_header_give_the_layout(cards: dict[str, str]) -> None:
    result = found(**cards)
    expected = FramePart(DATA, overscan=(BIAS,))
    assert layout_found(result) == FrameLayout(48, 40, (expected,), "median", 1000.0)
    assert (result.source, result.warnings, result.problems) == ("header", (), ())
    assert geometry_found(result).is_levelled


@pytest.mark.parametrize(
    ("cards", "data", "overscan"),
    [
        pytest.param({"BIASSEC": "[1:8,1:40]"}, (8, 56, 0, 40), [(0, 8, 0, 40)], id="left"),
        pytest.param(
            {"BIASSEC": "[1:8,1:40] [53:56,1:40]"},
            *((8, 52, 0, 40), [(0, 8, 0, 40), (52, 56, 0, 40)]),
            id="two in one card",
        ),
        pytest.param(
            {"BIASSEC1": "[1:8,1:40]", "BIASSEC2": "[53:56,1:40]"},
            *((8, 52, 0, 40), [(0, 8, 0, 40), (52, 56, 0, 40)]),
            id="two cards",
        ),
        pytest.param({"BIASSEC": "[1:56,37:40]"}, (0, 56, 0, 36), [(0, 56, 36, 40)], id="rows"),
        pytest.param(
            {"BIASSEC": "[51:56,1:40]", "TRIMSEC": "[5:48,3:38]"},
            *((4, 48, 2, 38), [(50, 56, 0, 40)]),
            id="with a prescan and a gap",
        ),
        pytest.param(
            {"TRIMSEC": "[5:56,3:40]"}, (4, 56, 2, 40), [], id="no overscan, but a border"
        ),
        pytest.param(
            {"BIASSEC": "[51:56,1:40]", "TRIMSEC": "[5:48,*]", "DATASEC": "[1:50,*]"},
            *((4, 48, 0, 40), [(50, 56, 0, 40)]),
            id="TRIMSEC in DATASEC",
        ),
        *(
            pytest.param(
                {"BSEC1": "[51:56,1:40]", f"{card}1": "[5:48,*]"},
                *((4, 48, 0, 40), [(50, 56, 0, 40)]),
                id=f"{card} of the only amplifier",
            )
            for card in ("TSEC", "DSEC")
        ),
    ],
)
def test_an_overscan_may_be_anywhere(
    cards: dict[str, str], data: tuple[int, ...], overscan: list[tuple[int, ...]]
) -> None:
    layout = layout_found(found(**cards))
    (part,) = layout.parts
    assert part.data == data
    assert [*part.overscan] == overscan
    assert (layout.width, layout.height) == (part.data.width, part.data.height)
    assert layout.is_levelled == bool(overscan)


@pytest.mark.parametrize(
    "cards",
    [
        {},
        {"TRIMSEC": "[1:56,1:40]", "DATASEC": "[1:56,1:40]", "CCDSEC": "[101:156,1:40]"},
        {"TRIMSEC": "[*,*]"},
        {"TRIMSEC": "[0:55,0:39]"},
        {"TRIMSEC": "[17:72,1:40]"},
        {"DATASEC": "[1:112,1:80]"},
        {"BIASSEC": "[0:0,0:0]"},
        {"BIASSEC": "UNKNOWN", "TRIMSEC": ""},
        {"DETSIZE": "[1:4096,1:4096]", "LTV1": 0.0},
    ],
)
def test_sections_that_cut_nothing_off_say_nothing(cards: dict[str, str]) -> None:
    assert found(**cards).is_plain


@pytest.mark.parametrize(
    "cards",
    [
        {"BIASSEC": "[57:64,1:40]"},
        {"BIASSEC": "[57:64,1:40]", "TRIMSEC": "[1:56,1:40]"},
        {"BIASSEC": "[49:56,1:40]", "TRIMSEC": "[9:64,1:39]"},
        {"TRIMSEC": "[0:47,0:39]"},
        {"BIASSEC": "[49:56,1:41]"},
    ],
)
def test_sections_that_are_not_in_the_image_are_reported_and_not_used(
    cards: dict[str, str],
) -> None:
    result = found(**cards)
    assert result.geometry is None
    assert result.problems == ()
    (warning,) = result.warnings
    assert "is not inside of the image of 56x40 pixels" in warning
    assert "give the sections in cameras" in warning


@pytest.mark.parametrize(
    ("cards", "text"),
    [
        ({"BIASSEC": "[45:56,1:40]", "TRIMSEC": "[1:48,1:40]"}, "overlaps the image section"),
        ({"BIASSEC": "[*,*]"}, "not inside of the image"),
    ],
)
def test_sections_that_contradict_each_other_are_refused(cards: dict[str, str], text: str) -> None:
    result = found(**cards)
    assert result.geometry is None
    (problem,) = result.problems
    assert text in problem
    assert "; correct the header" in problem


@pytest.mark.parametrize(
    "cards",
    [
        {"BIASSEC": "[49-56,1-40]"},
        {"BIASSEC": "[49,56,1,40]"},
        {"BIASSEC": "[-1:-8,1:40]"},
        {"BIASSEC": 5},
        {"BIASSEC": "[49:56,1:40]", "TRIMSEC": "[1-48,1-40]"},
        {
            "BIASSECA": "[49:52,*]",
            "BIASSECB": "[53:56,*]",
            "DATASECA": "[1:24,*]",
            "DATASECB": "25-48",
        },
    ],
)
def test_a_section_that_cannot_be_read_is_refused(cards: dict[str, Any]) -> None:
    """Without it, the overscan would be a part of the frame."""
    (problem,) = found(**cards).problems
    assert "which is no section such as [1:2048,1:1024]" in problem
    assert found_in(header_of(56, 40, cards), overscan="off").problems == ()


def test_frames_cut_at_other_places_do_not_fit_unless_they_have_positions() -> None:
    cuts = {"TRIMSEC": "[1:48,1:40]"}, {"TRIMSEC": "[9:56,1:40]"}
    one, other = (geometry_found(found(**cards)) for cards in cuts)
    assert not one.fits(other)
    assert one.fits(geometry_found(found(**cuts[0])))
    assert one.fits(Geometry(48, 40))
    placed = {"XORGSUBF": 100, "YORGSUBF": 0}
    one, other = (geometry_found(found(**cards, **placed)) for cards in cuts)
    assert one.fits(other)


def test_sections_of_unbinned_pixels_are_binned() -> None:
    cards = {"BIASSEC": "[97:112,1:80]", "TRIMSEC": "[3:96,2:80]", "XBINNING": 2, "YBINNING": 2}
    (part,) = layout_found(found(**cards)).parts
    assert part.data == (1, 48, 1, 40)
    assert part.overscan == ((48, 56, 0, 40),)
    cards = {"BIASSEC": "[49:56,1:40]", "XBINNING": 2, "YBINNING": 2}
    (part,) = layout_found(found(**cards)).parts
    assert part.data == DATA


@pytest.mark.parametrize(
    ("cards", "origin"),
    [
        ({}, (None, None)),
        ({"CCDSEC": "[101:148,201:240]"}, (100, 200)),
        ({"LTV1": -100.0, "LTV2": -200.0}, (104, 200)),
        ({"LTV1": 4.0, "LTV2": 0.0}, (0, 0)),
        ({"XORGSUBF": 7, "YORGSUBF": 9}, (7, 9)),
    ],
)
def test_the_position_on_the_sensor_is_that_of_the_frame(
    cards: dict[str, Any], origin: tuple[int | None, int | None]
) -> None:
    result = geometry_found(found(BIASSEC="[53:56,1:40]", TRIMSEC="[5:52,1:40]", **cards))
    assert (result.xorigin, result.yorigin) == origin


def test_the_bayer_pattern_begins_where_the_frame_begins() -> None:
    cards = {"BAYERPAT": "RGGB"}
    for trim, pattern in (
        ("[3:48,3:40]", "RGGB"),
        ("[2:48,1:40]", "GRBG"),
        ("[1:48,2:40]", "GBRG"),
    ):
        assert geometry_found(found(TRIMSEC=trim, **cards)).bayerpat == pattern


def test_rows_from_bottom_to_top_are_turned() -> None:
    result = found(BIASSEC="[1:56,37:40]", ROWORDER="BOTTOM-UP")
    (part,) = layout_found(result).parts
    assert part.data == (0, 56, 4, 40)
    assert part.overscan == ((0, 56, 0, 4),)


def test_the_method_is_configured() -> None:
    header = header_of(56, 40, {"BIASSEC": "[49:56,*]"})
    for method in ("median", "polynomial", "constant"):
        assert layout_found(found_in(header, overscan=method)).level == method
    assert found_in(header, overscan="off").is_plain
    assert found_in(header, "CAMERA", "off", CAMERA={"data": "[1:40,*]"}).is_plain


def test_a_camera_in_the_configuration_comes_before_the_header() -> None:
    header = header_of(56, 40, {"BIASSEC": "[49:56,*]"})
    entry = {"data": "[1:40,*]", "overscan": ("[41:56,*]",), "level": "constant"}
    result = found_in(header, "camera", **{"CAMERA": entry})
    layout = layout_found(result)
    assert (layout.width, layout.level, result.source) == (40, "constant", "cameras")
    assert layout_found(found_in(header, "camera", "median", CAMERA=entry)).level == "median"
    other = {**entry, "size": (60, 40)}
    assert layout_found(found_in(header, "camera", CAMERA=other)).width == 48
    assert layout_found(found_in(header, "other", CAMERA=entry)).width == 48


def test_a_wrong_section_in_the_configuration_is_refused() -> None:
    result = found_in(header_of(56, 40, {}), "CAMERA", CAMERA={"overscan": ("[57:64,*]",)})
    (problem,) = result.problems
    assert "(cameras: CAMERA); correct the entry of this camera in cameras" in problem


def test_a_known_camera_counts_where_the_header_says_nothing() -> None:
    result = found_in(header_of(56, 40, {}), "Plain CCD")
    assert layout_found(result).width == 48
    (warning,) = result.warnings
    assert "it is cut as the known camera Plain* writes frames" in warning
    assert result.source == "known camera Plain*"
    assert found_in(header_of(48, 40, {}), "Plain CCD").is_plain
    assert found_in(header_of(56, 40, {}), "Plain CCD", "off").is_plain
    binned = {"XBINNING": 2, "YBINNING": 2}
    assert layout_found(found_in(header_of(28, 20, binned), "Plain CCD")).width == 24
    own = {"BIASSEC": "[53:56,*]"}
    assert layout_found(found_in(header_of(56, 40, own), "Plain CCD")).width == 52


# --- amplifiers -----------------------------------------------------------------------------------


def several(*images: Mapping[str, Any], size: tuple[int, int] = (24, 20), **primary: Any) -> Any:
    parts = tuple(
        header_of(*size, {**primary, **cards}, number) for number, cards in enumerate(images)
    )
    return parts[0]._replace(cards={**header_of(*size, primary).cards}, parts=parts)


#: Two amplifiers side by side; the right one is read from the right.
PAIR: tuple[dict[str, Any], ...] = (
    {"DATASEC": "[1:20,1:20]", "BIASSEC": "[21:24,1:20]", "DETSEC": "[1:20,1:20]", "EXTNAME": "A"},
    {"DATASEC": "[1:20,1:20]", "BIASSEC": "[21:24,1:20]", "DETSEC": "[40:21,1:20]", "EXTNAME": "B"},
)


def test_images_are_placed_by_their_sections_of_the_sensor() -> None:
    layout = layout_found(found_in(several(*PAIR)))
    assert (layout.width, layout.height, layout.is_levelled) == (40, 20, True)
    left, right = layout.parts
    assert (left.name, left.x, left.flip_x, left.image) == ("A", 0, False, 0)
    assert (right.name, right.x, right.flip_x, right.image) == ("B", 20, True, 1)
    assert right.overscan == ((20, 24, 0, 20),)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ({"DETSEC": "[21:40,1:20]"}, (20, 0, False, False)),
        ({"DETSEC": "[21:40,20:1]"}, (20, 0, False, True)),
        ({"DETSEC": "[40:21,20:1]"}, (20, 0, True, True)),
        ({"CCDSEC": "[1:20,21:40]"}, (0, 20, False, False)),
        ({"LTV1": -20.0, "LTV2": 0.0}, (20, 0, False, False)),
        ({"LTV1": 41.0, "LTV2": 0.0, "LTM1_1": -1.0, "LTM2_2": 1.0}, (20, 0, True, False)),
    ],
)
def test_each_turn_is_read(second: dict[str, Any], expected: tuple[Any, ...]) -> None:
    first = {"DETSEC": "[1:20,1:20]", "CCDSEC": "[1:20,1:20]"}
    data = {"DATASEC": "[1:20,1:20]"}
    part = layout_found(found_in(several({**data, **first}, {**data, **second}))).parts[1]
    assert (part.x, part.y, part.flip_x, part.flip_y) == expected


def test_a_reversed_data_section_turns_a_reversed_place_back() -> None:
    second = {"DATASEC": "[20:1,1:20]", "DETSEC": "[40:21,1:20]"}
    part = layout_found(found_in(several({"DATASEC": "[1:20,*]", "DETSEC": "[1:20,1:20]"}, second)))
    assert not part.parts[1].flip_x


def test_the_sensor_is_binned_and_the_samples_are_not() -> None:
    images = [{"DETSEC": "[1:48,1:40]"}, {"DETSEC": "[49:96,1:40]"}]
    result = geometry_found(found_in(several(*images, CCDSUM="2 2")))
    assert (result.width, result.height, result.xbinning) == (48, 20, 2)
    subframe = [{"DETSEC": "[101:148,201:240]"}, {"DETSEC": "[149:196,201:240]"}]
    placed = geometry_found(found_in(several(*subframe, CCDSUM="2 2")))
    assert (placed.xorigin, placed.yorigin) == (50, 100)


def test_amplifiers_of_one_image_have_names_in_their_cards() -> None:
    decam = {
        **{"DATASECA": "[1:20,1:40]", "BIASSECA": "[21:24,1:40]", "DETSECA": "[1:20,1:40]"},
        **{"DATASECB": "[37:56,1:40]", "BIASSECB": "[33:36,1:40]", "DETSECB": "[21:40,1:40]"},
    }
    arcon = {
        **{"DSEC11": "[1:20,1:40]", "BSEC11": "[21:24,1:40]"},
        **{"DSEC12": "[37:56,1:40]", "BSEC12": "[33:36,1:40]"},
    }
    for cards in (decam, arcon):
        layout = layout_found(found(**cards))
        assert (layout.width, layout.height, layout.is_levelled) == (40, 40, True)
        assert [(part.x, part.data.left) for part in layout.parts] == [(0, 0), (20, 36)]


def test_amplifiers_that_cover_the_image_without_an_overscan_are_plain() -> None:
    assert found(DSEC11="[1:28,1:40]", DSEC12="[29:56,1:40]").is_plain


def test_amplifiers_without_a_place_are_refused() -> None:
    (problem,) = found_in(several({"EXTNAME": "A"}, {"EXTNAME": "B"})).problems
    assert "contains 2 images" in problem
    assert "where on the sensor A, B is" in problem
    assert "; describe them in cameras" in problem


def test_an_image_of_one_dimension_among_others_is_refused() -> None:
    header = several(*PAIR)
    line = header.parts[1]._replace(cards={"NAXIS": 1, "NAXIS1": 24})
    (problem,) = found_in(header._replace(parts=(header.parts[0], line))).problems
    assert "contains 2 images (extensions), not all of two dimensions" in problem


def test_a_known_camera_counts_where_images_have_no_place() -> None:
    amplifiers = tuple(
        {"extension": number, "data": "[*,*]", "detector": f"[{first}:{first + 23},1:20]"}
        for number, first in ((1, 1), (2, 25))
    )
    finder = LayoutFinder(LayoutRules(), {"Two": {"size": (24, 20), "amplifiers": amplifiers}})
    header = several({"EXTNAME": "A"}, {"EXTNAME": "B"})
    result = finder.find(header, "Two", geometry_of(header.cards))
    assert (layout_found(result).width, result.source) == (48, "known camera Two")


@pytest.mark.parametrize(
    "second",
    [
        {"DETSEC": "[900000001:900000020,1:20]"},
        {"DETSEC": "[1:" + "9" * 5000 + ",1:20]"},
        {"LTV1": -1e300, "LTV2": 0.0},
        {"LTV1": 1.0, "LTV2": 0.0, "LTM1_1": 1e-308, "LTM2_2": 1.0},
    ],
)
def test_absurd_places_are_refused(second: dict[str, Any]) -> None:
    data = {"DATASEC": "[1:20,1:20]"}
    first = {"DETSEC": "[1:20,1:20]"} if "DETSEC" in second else {"LTV1": 0.0, "LTV2": 0.0}
    (problem,) = found_in(several({**data, **first}, {**data, **second})).problems
    assert "less than half" in problem or "no DETSEC, CCDSEC or LTV" in problem


def test_more_amplifiers_than_any_camera_has_are_refused() -> None:
    names = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *map(str, range(100))]
    cards = {f"DATASEC{name}": f"[{x + 1}:{x + 1},1:1]" for x, name in enumerate(names)}
    (problem,) = found_in(several(cards, cards, cards, size=(200, 1))).problems
    assert "has the sections of 378 amplifiers (limit 256)" in problem


QUARTERS: tuple[dict[str, Any], ...] = tuple(
    {"DETSEC": f"[{x}:{x + 23},{y}:{y + 19}]"} for y in (1, 21) for x in (1, 25)
)


@pytest.mark.parametrize("missing", range(4))
def test_a_missing_amplifier_is_refused(missing: int) -> None:
    images = [*QUARTERS[:missing], *QUARTERS[missing + 1 :]]
    (problem,) = found_in(several(*images)).problems
    assert problem.startswith("lacks an amplifier: none of its 3 is at [")
    assert "copy it again" in problem


def test_a_missing_half_is_known_by_the_size_of_the_sensor() -> None:
    for half in (QUARTERS[:2], QUARTERS[2:], QUARTERS[::2], QUARTERS[1::2]):
        (problem,) = found_in(several(*half, DETSIZE="[1:48,1:40]")).problems
        assert problem.startswith("lacks an amplifier")
    assert layout_found(found_in(several(*QUARTERS[:2]))).height == 20


def test_subframes_and_gaps_between_chips_lack_nothing() -> None:
    inner = [{"DETSEC": f"[{x}:{x + 23},{y}:{y + 19}]"} for y in (31, 51) for x in (25, 49)]
    result = geometry_found(found_in(several(*inner, DETSIZE="[1:96,1:100]")))
    assert (result.width, result.height, result.xorigin) == (48, 40, 24)
    chips = [{"DETSEC": "[1:24,1:20]"}, {"DETSEC": "[31:54,1:20]"}]
    assert geometry_found(found_in(several(*chips))).width == 54


@pytest.mark.parametrize(
    ("second", "text"),
    [
        ({"DETSEC": "[20:39,1:20]"}, "two amplifiers that overlap"),
        ({"DETSEC": "[21:50,1:20]"}, "20x20 samples of amplifier B ([1:20,1:20]), and 30x20"),
        ({"DATASEC": "[1:30,1:20]"}, "not inside of the image of 24x20"),
        ({"BIASSEC": "[20:24,1:20]"}, "overlaps the image section"),
        ({"BIASSEC": ""}, "has an overscan (BIASSEC), but none of amplifier B"),
    ],
)
def test_contradicting_amplifiers_are_refused(second: dict[str, Any], text: str) -> None:
    (problem,) = found_in(several(PAIR[0], {**PAIR[1], **second})).problems
    assert text in problem


def test_amplifiers_of_the_configuration_are_placed() -> None:
    amplifiers = (
        {"extension": 1, "data": "[1:20,*]", "detector": "[1:20,1:20]"},
        {"extension": "b", "data": "[1:20,*]", "detector": "[40:21,20:1]", "name": "right"},
    )
    entry = {"amplifiers": amplifiers}
    header = several({"EXTNAME": "A"}, {"EXTNAME": "B"})
    layout = layout_found(found_in(header, "CAMERA", CAMERA=entry))
    assert [part.name for part in layout.parts] == ["1", "right"]
    assert (layout.parts[1].flip_x, layout.parts[1].flip_y) == (True, True)
    assert layout_found(found_in(header, "CAMERA", "off", CAMERA=entry)).width == 40
    (problem,) = found_in(several({}, {"EXTNAME": "C"}), "CAMERA", CAMERA=entry).problems
    assert "has 2 images, and not the extension b" in problem


def test_gain_and_noise_of_an_amplifier_are_those_of_its_own_header() -> None:
    images = [{**image, "GAIN": 1.1 + number} for number, image in enumerate(PAIR)]
    header = several(*images, GAIN=100, RDNOISE=7.0)
    parts = layout_found(found_in(header)).parts
    assert [declared_numbers(header, part) for part in parts] == [
        {"gain_e_adu": 1.1, "read_noise_e": 7.0},
        {"gain_e_adu": 2.1, "read_noise_e": 7.0},
    ]
    cards = {"DSEC11": "[1:28,*]", "DSEC12": "[29:56,*]", "BIASSEC": "", "TSEC11": "[3:28,*]"}
    header = header_of(56, 40, {**cards, "GTGAIN11": 2.5, "GTRON11": 4.0, "GAIN": 3})
    parts = layout_found(found_in(header)).parts
    numbers = {"gain_e_adu": 2.5, "read_noise_e": 4.0}
    assert [declared_numbers(header, part) for part in parts] == [numbers, {}]


def test_a_gain_that_all_images_share_is_none_of_an_amplifier() -> None:
    header = several(*[{**image, "GAIN": 100, "RDNOISE": 4.5} for image in PAIR], GAIN=100)
    parts = layout_found(found_in(header)).parts
    assert [declared_numbers(header, part) for part in parts] == [{"read_noise_e": 4.5}] * 2


def test_the_gain_of_an_image_that_is_read_whole_is_none_of_an_amplifier() -> None:
    header = header_of(56, 40, {"BIASSEC": "[49:56,*]", "TRIMSEC": "[1:48,*]", "GAIN": 1.5})
    layout = layout_found(found_in(header))
    assert [declared_numbers(header, part) for part in layout.parts] == [{}]
    assert amplifiers_in(layout) == []


def test_amplifiers_have_their_places_in_the_frame_that_is_put_together() -> None:
    layout = layout_found(found_in(several(*PAIR)))
    first, second = amplifiers_in(layout)
    assert (first.left, second.right) == (0, layout.width)
    assert (first.right, first.top, first.bottom) == (second.left, 0, layout.height)


@pytest.mark.parametrize("order", ["TOP-DOWN", "BOTTOM-UP"])
def test_sections_of_amplifiers_are_counted_as_rows_are_read(order: str) -> None:
    cards = {"ASEC11": "[1:56,1:10]", "ASEC12": "[1:56,11:40]", "ROWORDER": order}
    lower, upper = amplifiers_of(header_of(56, 40, cards), 56, 40)
    assert (lower.name, upper.name) == ("11", "12")
    rows = [(0, 10), (10, 40)] if order == "TOP-DOWN" else [(30, 40), (0, 30)]
    assert [(each.top, each.bottom) for each in (lower, upper)] == rows


def test_two_parts_of_one_image_come_from_the_configuration() -> None:
    amplifiers = (
        {"data": "[1:24,*]", "detector": "[1:24,1:40]", "overscan": ("[25:28,*]",)},
        {"data": "[33:56,*]", "detector": "[25:48,1:40]", "overscan": ("[29:32,*]",)},
    )
    layout = layout_found(
        found_in(header_of(56, 40, {}), "CAMERA", CAMERA={"amplifiers": amplifiers})
    )
    assert (layout.width, layout.is_levelled) == (48, True)


def test_layouts_survive_a_file() -> None:
    geometry = geometry_found(found_in(several(*PAIR)))
    assert Geometry.from_json(json.loads(json.dumps(geometry.to_json()))) == geometry
    assert "layout" not in Geometry(3, 4).to_json()
    assert str(geometry) == (
        "40x20 binned 1x1, 2 amplifiers, overscan subtracted (median of each line)"
    )


# --- sections that are easily confused ------------------------------------------------------------


@pytest.mark.parametrize(
    "cards",
    [
        {"TRIMSEC": "[1:56,1:40]"},
        {"TRIMSEC": "[1:112,1:80]"},
        {"TRIMSEC": "[*,1:80]"},
        {"DATASEC": "[1:112,*]"},
    ],
)
def test_a_section_of_all_of_a_binned_image_says_nothing(cards: dict[str, str]) -> None:
    assert found(XBINNING=2, YBINNING=2, **cards).is_plain


@pytest.mark.parametrize("trim", ["[1:96,*]", "[*,1:80]"])
def test_a_section_of_a_binned_image_may_have_all_rows_or_columns(trim: str) -> None:
    cards = {"BIASSEC": "[97:112,*]", "TRIMSEC": trim, "XBINNING": 2, "YBINNING": 2}
    (part,) = layout_found(found(**cards)).parts
    assert (part.data, part.overscan) == (DATA, (BIAS,))


def test_an_overscan_above_leaves_the_rows_below() -> None:
    (part,) = layout_found(found(BIASSEC="[1:56,1:4]")).parts
    assert part.data == (0, 56, 4, 40)


@pytest.mark.parametrize("binning", [1, 2])
def test_the_section_that_is_not_in_the_image_is_named(binning: int) -> None:
    """Also if the image is binned, and the section has neither its pixels nor those before."""
    cards = {"BIASSEC": "[49:56,1:40]", "TRIMSEC": "[9:200,1:39]"}
    (warning,) = found(XBINNING=binning, YBINNING=binning, **cards).warnings
    assert "the section [9:200,1:39] of its header is not inside" in warning


def test_a_wrong_section_is_of_an_amplifier_only_if_there_are_several() -> None:
    cards = {"BIASSEC": "[45:56,1:40]", "TRIMSEC": "[1:48,1:40]"}
    (problem,) = found(**cards).problems
    assert "has the overscan [45:56,1:40], which overlaps" in problem
    second = {**PAIR[1], "DATASEC": "[1:30,1:20]"}
    (problem,) = found_in(several(PAIR[0], second)).problems
    assert "has the section [1:30,1:20] of amplifier B, which is not inside" in problem


@pytest.mark.parametrize("data", ["[1:20,*]", "[1:40,*]", "[1:40,1:40]"])
def test_sections_of_amplifiers_count_binned_pixels_or_else_unbinned_ones(data: str) -> None:
    images = [{"DATASEC": data, "DETSEC": f"[{x}:{x + 39},1:40]"} for x in (1, 41)]
    layout = layout_found(found_in(several(*images, CCDSUM="2 2")))
    assert [part.data for part in layout.parts] == [(0, 20, 0, 20)] * 2
    assert [part.x for part in layout.parts] == [0, 20]


@pytest.mark.parametrize("data", ["[1:48,*]", "[1:24,1:20]"])
def test_a_section_of_a_binned_image_may_have_all_columns(data: str) -> None:
    images = [{"DATASEC": data, "DETSEC": f"[{x}:{x + 47},1:40]"} for x in (1, 49)]
    layout = layout_found(found_in(several(*images, CCDSUM="2 2")))
    assert [part.data for part in layout.parts] == [(0, 24, 0, 20)] * 2


def test_a_place_may_count_binned_pixels() -> None:
    images = [{"DETSEC": f"[{x}:{x + 23},1:20]"} for x in (1, 25)]
    layout = layout_found(found_in(several(*images, CCDSUM="2 2")))
    assert [part.x for part in layout.parts] == [0, 24]


def test_amplifiers_without_a_place_are_pushed_together() -> None:
    cards = {"DSEC11": "[5:20,3:40]", "DSEC12": "[37:56,3:40]"}
    result = layout_found(found(**cards))
    assert (result.width, result.height) == (36, 38)
    assert [(part.x, part.y, part.image) for part in result.parts] == [(0, 0, 0), (16, 0, 0)]


@pytest.mark.parametrize("card", ["AMPNAME", "AMPID", "AMPLIFIER", "EXTNAME", "CCDNAME"])
def test_an_amplifier_has_the_name_of_its_header(card: str) -> None:
    images = [{**image, "EXTNAME": "", card: f" {number} "} for number, image in enumerate(PAIR, 7)]
    assert [part.name for part in layout_found(found_in(several(*images))).parts] == ["7", "8"]


def test_amplifiers_without_a_name_have_numbers() -> None:
    images = [{**image, "EXTNAME": ""} for image in PAIR]
    assert [part.name for part in layout_found(found_in(several(*images))).parts] == ["1", "2"]


@pytest.mark.parametrize("card", ["DETSEC", "CCDSEC", "CSEC"])
def test_an_amplifier_of_an_image_may_have_a_place_on_the_sensor(card: str) -> None:
    """Without a place, amplifiers are beside each other as in the image."""
    cards = {"DSEC11": "[1:28,1:40]", "DSEC12": "[29:56,1:40]"}
    places = {f"{card}11": "[29:56,1:40]", f"{card}12": "[1:28,1:40]"}
    assert [part.x for part in layout_found(found(**cards, **places)).parts] == [28, 0]
    assert found(**cards, **{f"{card}11": places[f"{card}11"]}, XORGSUBF=7).is_plain


def test_an_amplifier_that_is_read_backwards_is_turned() -> None:
    cards = {"DSEC11": "[1:28,1:40]", "DSEC12": "[29:56,1:40]"}
    places = {"DETSEC11": "[1:28,1:40]", "DETSEC12": "[56:29,1:40]"}
    layout = layout_found(found(**cards, **places))
    assert [part.flip_x for part in layout.parts] == [False, True]


def test_the_place_of_amplifiers_that_are_not_all_placed_is_that_of_the_image() -> None:
    cards = {"DSEC11": "[1:20,1:40]", "BSEC11": "[21:24,1:40]", "DETSEC11": "[101:120,1:40]",
             "DSEC12": "[37:56,1:40]", "BSEC12": "[33:36,1:40]"}  # fmt: skip
    result = geometry_found(found(**cards, XORGSUBF=7, YORGSUBF=9))
    assert (result.width, result.xorigin, result.yorigin) == (40, 7, 9)


@pytest.mark.parametrize(
    ("offsets", "place"),
    [
        ({"LTV1": 0.0, "LTV2": -20.0}, (0, 20)),
        ({"LTV1": -20.0, "LTV2": 0.0}, (20, 0)),
        ({"LTV1": -20.0, "LTV2": -20.0}, (20, 20)),
        ({"LTV1": -20.0, "LTV2": 0.0, "LTM1_1": 0.5, "LTM2_2": 0.5}, (20, 0)),
    ],
)
def test_a_place_may_be_an_offset(offsets: dict[str, float], place: tuple[int, int]) -> None:
    binned = "2 2" if "LTM1_1" in offsets else "1 1"
    scales = {key: value for key, value in offsets.items() if key.startswith("LTM")}
    data = {"DATASEC": "[1:20,1:20]"}
    quarters = [
        {**data, "LTV1": x, "LTV2": y, **scales} for x in (0.0, -20.0) for y in (0.0, -20.0)
    ]
    result = layout_found(found_in(several(*quarters, CCDSUM=binned)))
    placed = {(part.x, part.y): part.image for part in result.parts}
    image = quarters.index({**data, **offsets, **scales})
    assert placed[place] == image


def test_whole_images_side_by_side_in_the_sensor_are_a_mosaic() -> None:
    """Also if each image has the samples of its amplifier where the frame has them."""
    images = [{"DATASEC": f"[{x}:{x + 27},*]", "DETSEC": f"[{x}:{x + 27},1:40]"} for x in (1, 29)]
    layout = layout_found(found_in(several(*images, size=(56, 40))))
    assert [(part.image, part.x) for part in layout.parts] == [(0, 0), (1, 28)]


def test_an_incomplete_binned_pixel_may_be_missing() -> None:
    images = [{"DATASEC": "[1:20,*]", "DETSEC": f"[{x}:{x + 40},1:41]"} for x in (1, 43)]
    result = geometry_found(found_in(several(*images, CCDSUM="2 2")))
    assert (result.width, result.height) == (41, 20)


def test_a_missing_amplifier_in_the_middle_of_a_row_is_found() -> None:
    row = [{"DETSEC": f"[{x}:{x + 23},1:20]"} for x in (1, 25, 49, 73)]
    for missing, gap in ((1, "[25:48,1:20]"), (2, "[49:72,1:20]")):
        (problem,) = found_in(several(*row[:missing], *row[missing + 1 :])).problems
        assert problem.startswith(f"lacks an amplifier: none of its 3 is at {gap} of the frame")


def test_the_configuration_may_leave_an_amplifier_out() -> None:
    """As the reason for which such frames are refused says."""
    images = [{**image, "EXTNAME": f"E{number}"} for number, image in enumerate(QUARTERS[:3])]
    (problem,) = found_in(several(*images)).problems
    assert "if the camera reads only these, give their places in cameras" in problem
    amplifiers = tuple(
        {"extension": image["EXTNAME"], "data": "[*,*]", "detector": image["DETSEC"]}
        for image in images
    )
    result = found_in(several(*images), CAMERA={"amplifiers": amplifiers}, camera="CAMERA")
    assert (layout_found(result).width, result.problems) == (48, ())
    for place, problems in (("[73:96,1:20]", 0), ("[75:98,1:20]", 1)):
        far = (amplifiers[0], {**amplifiers[1], "detector": place})
        result = found_in(several(*images), CAMERA={"amplifiers": far}, camera="CAMERA")
        assert len(result.problems) == problems
        assert all("which cover less than half of them" in each for each in result.problems)


@pytest.mark.parametrize(
    "images",
    [
        pytest.param([((1, 20), (1, 20)), ((21, 40), (21, 40))], id="half of the frame"),
        pytest.param([((1, 24), (1, 20)), ((37, 48), (1, 20))], id="as wide as the smaller one"),
        pytest.param([((1, 24), (1, 40)), ((25, 48), (1, 10))], id="as high as the smaller one"),
    ],
)
def test_a_gap_of_an_amplifier_is_found(images: list[tuple[tuple[int, int], ...]]) -> None:
    cards = [
        {"DATASEC": f"[1:{x1 - x0 + 1},1:{y1 - y0 + 1}]", "DETSEC": f"[{x0}:{x1},{y0}:{y1}]"}
        for (x0, x1), (y0, y1) in images
    ]
    (problem,) = found_in(several(*cards, size=(24, 40))).problems
    assert problem.startswith("lacks an amplifier: none of its 2 is at [")


@pytest.mark.parametrize(
    "cards",
    [{"NAXIS1": 0}, {"NAXIS2": 0}, {"NAXIS2": 20.0}, {"NAXIS1": "24"}, {"NAXIS2": True}],
)
def test_a_part_without_pixels_is_refused(cards: dict[str, Any]) -> None:
    (problem,) = found_in(several(PAIR[0], {**PAIR[1], **cards})).problems
    assert "contains 2 images (extensions), not all of two dimensions" in problem


def test_without_overscan_amplifiers_are_put_together_as_they_are() -> None:
    layout = layout_found(found_in(several(*PAIR), overscan="off"))
    assert (layout.width, layout.level, layout.is_levelled) == (40, "", False)
    assert [part.overscan for part in layout.parts] == [(), ()]


def test_a_known_camera_counts_where_one_image_has_no_place() -> None:
    amplifiers = tuple(
        {"extension": number, "data": "[*,*]", "detector": f"[{first}:{first + 23},1:20]"}
        for number, first in ((1, 1), (2, 25))
    )
    finder = LayoutFinder(LayoutRules(), {"Two": {"size": (24, 20), "amplifiers": amplifiers}})
    header = several({"EXTNAME": "A", "DETSEC": "[1:24,1:20]"}, {"EXTNAME": "B"})
    assert finder.find(header, "Two", geometry_of(header.cards)).source == "known camera Two"
    placed = several(*({"DETSEC": f"[{x}:{x + 23},1:20]"} for x in (1, 25)))
    assert finder.find(placed, "Two", geometry_of(placed.cards)).source == "header"
