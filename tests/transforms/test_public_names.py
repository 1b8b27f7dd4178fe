from __future__ import annotations

import pytest

import transforms


def test_every_public_name_is_there_and_listed_once() -> None:
    assert sorted(set(transforms.__all__)) == transforms.__all__ == dir(transforms)
    for name in transforms.__all__:
        assert getattr(transforms, name).__name__ == name


def test_any_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Recomend'"):
        _ = transforms.Recomend
