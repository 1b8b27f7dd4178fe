from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import features_of, run
from tests.transforms.recommenders.featured import featured
from transforms.formats.json_lines import encode_rating
from transforms.recommenders.registry import MODEL_NAMES, RecommenderSpec


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_every_model_lists_from_a_file_with_features_what_it_does_in_a_plain_loop(
    model: str, tmp_path: Path
) -> None:
    path, output = tmp_path / "ratings.jsonl", tmp_path / "lists.jsonl"
    ratings = featured(600)
    path.write_bytes(b"".join(encode_rating(rating) + b"\n" for rating in ratings))
    flags = ["--model", model, "--seed=5", "--top_n=4"]
    done = run("--runner=DirectRunner", *flags, "--input", path, "--output", output)
    assert done.code == 0, done.err
    recommender = RecommenderSpec(model, seed=5).build()
    expected = []
    for rating in ratings:
        if rating.rating >= 3:
            recommender.update(rating)
            best = recommender.recommend(rating.user, 4, features_of(rating).context)
            expected.append([[item, score] for item, score in best])
    lines = [json.loads(line)["items"] for line in output.read_text().splitlines()]
    assert [[[one["item"], one["score"]] for one in items] for items in lines] == expected
