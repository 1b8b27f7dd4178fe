from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipeline.web.titles import read_titles
from transforms.errors import UnsupportedFormatError


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "1|Toy Story (1995)|01-Jan-1995||http://x|0\n2|Misérables, Les|1995\n".encode(
                "latin-1"
            ),
            {"1": "Toy Story (1995)", "2": "Misérables, Les"},
        ),
        (
            b'movieId,title,genres\r\n1,Toy Story (1995),A|B\r\n2,"American President, The",C\r\n',
            {"1": "Toy Story (1995)", "2": "American President, The"},
        ),
        (b"1::Toy Story (1995)::Animation|Comedy\n", {"1": "Toy Story (1995)"}),
        ("\ufeffitem\ttitle\n a \t Ça, alors \n".encode(), {"a": "Ça, alors"}),
        (b"item_id:token\tmovie_title:token_seq\n7\tSeven\n", {"7": "Seven"}),
        (b'id,title\n1,"two\nlines"\n', {"1": "two\nlines"}),
        (b"B01,Kettle\nB02,Cup\n\n", {"B01": "Kettle", "B02": "Cup"}),
    ],
)
def test_titles_of_each_layout(tmp_path: Path, content: bytes, expected: dict[str, str]) -> None:
    path = tmp_path / "titles"
    path.write_bytes(content)
    assert read_titles(str(path)) == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has no titles"),
        (b"item,title\n", "has no titles"),
        (b"1,Toy Story\njust this\n", "titles:2: 'just this' has one column"),
        (b"1\n", "titles:1: '1' has one column"),
    ],
)
def test_what_holds_no_titles_is_said(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "titles"
    path.write_bytes(content)
    with pytest.raises(UnsupportedFormatError, match=reason):
        read_titles(str(path))
