from __future__ import annotations

import pytest

from transforms.formats.names import FIELDS, USUAL_NAMES, by_usual_name


@pytest.mark.parametrize(("field", "names"), USUAL_NAMES.items())
def test_each_usual_name_means_one_field(field: str, names: tuple[str, ...]) -> None:
    for name in names:
        found = by_usual_name([name])
        assert found == {one: [name] if one == field else [] for one in FIELDS}


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("userId", "user"),
        ("User ID", "user"),
        ("USER-ID", "user"),
        ("user_id:token", "user"),
        ("movieId", "item"),
        ("eventTime", "timestamp"),
        ("Timestamp", "timestamp"),
        ("eventType", "event"),
    ],
)
def test_case_and_separators_do_not_matter(name: str, field: str) -> None:
    assert by_usual_name([name])[field] == [name]


@pytest.mark.parametrize("name", ["", "users", "id", "Context", "userFeatures", "price"])
def test_other_names_mean_nothing(name: str) -> None:
    assert not any(by_usual_name([name]).values())


def test_the_blog_posts_names_come_first_then_the_order_of_the_list() -> None:
    names = ["uid", "user_id", "USER", "customer", "user", "userId"]
    expected = ["user", "USER", "user_id", "userId", "customer", "uid"]
    assert by_usual_name(names)["user"] == expected
