"""Numbers in sentences have no exponent."""

from __future__ import annotations

from math import inf

import pytest

from calmasters.number_format import plain_number


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (170.2, 2, "170"),
        (-171.4, 2, "-171"),
        (0.0346, 2, "0.035"),
        (1.0, 2, "1"),
        (9.996, 3, "10"),
        (40000, 3, "40000"),
        (1e-7, 3, "0.0000001"),
        (4294967295, 6, "4294967295"),
        (0.1 + 0.2, 6, "0.3"),
        (100, 1, "100"),
        (0, 3, "0"),
        (inf, 3, "inf"),
    ],
)
def test_numbers_have_their_digits_and_no_exponent(
    value: float, digits: int, expected: str
) -> None:
    assert plain_number(value, digits) == expected


def test_a_sign_is_written_where_it_is_asked_for() -> None:
    assert [plain_number(each, 2, sign=True) for each in (170, -0.5)] == ["+170", "-0.5"]
