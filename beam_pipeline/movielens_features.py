"""MovieLens 100K with features: who rated, what was rated, and on what day.

A line of `ratings.jsonl` is a rating of `u.data`, in its order, with three vectors:

* `user_features`, 23 numbers: 1 for a woman; age / 100; the occupation, one of `OCCUPATIONS`.
* `item_features`, 19 numbers: (year - 1900) / 100 of the title, 0 if it names none; the genres,
  any of `GENRES`.
* `context`, 7 numbers: the day of the week in UTC, Monday first.

`titles.csv` has `item` and `title`. Both come out the same from GroupLens' files and from those
in the wheel of `recbole`, which takes titles apart.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from transforms.formats.json_lines import encode_rating
from transforms.formats.records import Features, Rating

OCCUPATIONS: Final = (
    "administrator",
    "artist",
    "doctor",
    "educator",
    "engineer",
    "entertainment",
    "executive",
    "healthcare",
    "homemaker",
    "lawyer",
    "librarian",
    "marketing",
    "none",
    "other",
    "programmer",
    "retired",
    "salesman",
    "scientist",
    "student",
    "technician",
    "writer",
)
GENRES: Final = (
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
"""As GroupLens orders them, without the first, `unknown`."""

_YEAR: Final = re.compile(r"\((\d{4})\)")
_WHEELS_UNKNOWN: Final = "unkonwn"


class Viewer(NamedTuple):
    """What GroupLens tells of a user, but for the postcode."""

    age: int
    sex: str
    occupation: str


class Movie(NamedTuple):
    """What GroupLens tells of an item, but for dates and the address of its page."""

    title: str
    genres: tuple[str, ...]


class About(NamedTuple):
    """All users and items, by id."""

    viewers: dict[str, Viewer]
    movies: dict[str, Movie]


def of_grouplens(users: bytes, items: bytes) -> About:
    """Reads `u.user` and `u.item`.

    Raises:
        ValueError: A line is not as expected.
    """
    viewers = {}
    for line in users.decode("latin-1").splitlines():
        user, age, sex, occupation, _ = line.split("|")
        viewers[user] = Viewer(int(age), sex, occupation)
    movies = {}
    for line in items.decode("latin-1").splitlines():
        # Dates of cinema and video, the address, and whether the genre is unknown.
        item, title, _, _, _, _, *flags = line.split("|")
        pairs = zip(GENRES, flags, strict=True)
        genres = tuple(genre for genre, flag in pairs if flag == "1")
        movies[item] = Movie(_tidy(title), genres)
    return About(viewers, movies)


def of_wheel(users: bytes, items: bytes) -> About:
    """Reads `ml-100k.user` and `ml-100k.item`, whose first lines name the columns.

    Raises:
        ValueError: A line is not as expected.
    """
    viewers = {}
    for line in users.decode("utf-8").splitlines()[1:]:
        user, age, sex, occupation, _ = line.split("\t")
        viewers[user] = Viewer(int(age), sex, occupation)
    movies = {}
    for line in items.decode("utf-8").splitlines()[1:]:
        item, title, year, genres = line.split("\t")
        # The title's last brackets were cut off, mostly those with the year.
        whole = "unknown" if title == _WHEELS_UNKNOWN else f"{title} ({year})"
        known = tuple(genre for genre in GENRES if genre in genres.split())
        movies[item] = Movie(_tidy(whole), known)
    return About(viewers, movies)


def _tidy(title: str) -> str:
    return " ".join(title.split())


def user_features(viewer: Viewer) -> list[float]:
    """Returns sex, age and occupation, shape (23,).

    Raises:
        ValueError: The occupation is none of `OCCUPATIONS`.
    """
    occupation = [0.0] * len(OCCUPATIONS)
    occupation[OCCUPATIONS.index(viewer.occupation)] = 1.0
    return [float(viewer.sex == "F"), viewer.age / 100, *occupation]


def item_features(movie: Movie) -> list[float]:
    """Returns year and genres, shape (19,)."""
    years = _YEAR.findall(movie.title)
    year = (int(years[-1]) - 1900) / 100 if years else 0.0
    return [year, *(float(genre in movie.genres) for genre in GENRES)]


def context(timestamp: float) -> list[float]:
    """Returns the day of the week, shape (7,)."""
    weekday = datetime.fromtimestamp(timestamp, UTC).weekday()
    return [float(day == weekday) for day in range(7)]


def json_lines(ratings: bytes, about: About) -> Iterator[bytes]:
    """Yields a line for each rating of `u.data`, with its features.

    Raises:
        KeyError: Nothing is told of a user or item.
        ValueError: A rating or an occupation is not as expected.
    """
    viewers = {user: user_features(viewer) for user, viewer in about.viewers.items()}
    movies = {item: item_features(movie) for item, movie in about.movies.items()}
    for line in ratings.decode("ascii").splitlines():
        user, item, rating, timestamp = line.split("\t")
        features = Features(viewers[user], movies[item], context(float(timestamp)))
        record = Rating(user, item, float(rating), float(timestamp), features=features)
        yield encode_rating(record) + b"\n"


def titles(movies: Iterable[tuple[str, Movie]]) -> bytes:
    """Returns `titles.csv`: item and title, in the order of the items."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["item", "title"])
    writer.writerows([item, movie.title] for item, movie in movies)
    return text.getvalue().encode("utf-8")
