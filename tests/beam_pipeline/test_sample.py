from __future__ import annotations

from beam_pipeline import sample


def test_the_bundled_file_is_what_the_generator_makes() -> None:
    assert sample.PATH.read_text().splitlines() == list(sample.lines())
