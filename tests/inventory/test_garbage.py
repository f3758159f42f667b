from __future__ import annotations

import gc

import pytest

from calmasters.inventory.garbage import without_collection


@pytest.mark.parametrize("fails", [False, True])
def test_the_collector_is_enabled_again_afterwards(fails: bool) -> None:
    assert gc.isenabled()
    try:
        with without_collection(), without_collection():
            assert not gc.isenabled()
            if fails:
                raise ValueError
    except ValueError:
        pass
    assert gc.isenabled()


def test_a_disabled_collector_stays_disabled() -> None:
    gc.disable()
    try:
        with without_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
