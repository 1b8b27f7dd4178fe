from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream

from tests.support import RUNNERS, movielens_like, same_arrays, shards_of, wait_until
from transforms import ModelExport, Rating, RatingBatch, Recommend, RecommenderSpec, Sharding
from transforms.errors import IncompatibleModelError
from transforms.learning.state import ShardModel
from transforms.model_export import (
    load,
    require_fit,
    require_shards,
    resume_offsets,
    save,
    shards_in,
)
from transforms.recommenders.recommender import Recommender

pytestmark = pytest.mark.usefixtures("batches_apart")

SPEC = RecommenderSpec("mf", {"k": 4}, seed=5)


def learned(ratings: Sequence[Rating]) -> Recommender:
    recommender = SPEC.build()
    for rating in ratings:
        recommender.update(rating)
    return recommender


def test_what_is_saved_is_loaded_to_the_bit(tmp_path: Path) -> None:
    ratings = movielens_like(300)
    save(
        ModelExport(str(tmp_path)),
        (0, 0),
        (1, 1),
        SPEC,
        ShardModel(learned(ratings), 300, {"t-0-": 500}),
    )
    loaded, sequence, positions = load(str(tmp_path), (0, 0), SPEC)
    assert (sequence, positions) == (300, {"t-0-": 500})
    assert same_arrays(loaded.state_dict(), learned(ratings).state_dict())


def test_a_partition_of_which_nothing_was_learned_goes_on_where_the_job_started(
    tmp_path: Path,
) -> None:
    export = ModelExport(str(tmp_path), starts={"t-0-": 100, "t-1-": 200})
    model = ShardModel(learned(movielens_like(10)), 10, {"t-1-": 250})
    save(export, (0, 0), (1, 1), SPEC, model)
    assert shards_in(str(tmp_path))[0].positions == {"t-1-": 250}
    assert resume_offsets(shards_in(str(tmp_path))) == {"t-0-": 100, "t-1-": 250}


def test_a_user_shard_that_was_never_exported_goes_on_where_the_job_started(tmp_path: Path) -> None:
    export = ModelExport(str(tmp_path), starts={"t-0-": 100})
    save(export, (0, 0), (2, 1), SPEC, ShardModel(learned(movielens_like(10)), 10, {"t-0-": 250}))
    assert resume_offsets(shards_in(str(tmp_path))) == {"t-0-": 100}


def test_a_shard_that_was_never_saved_starts_anew(tmp_path: Path) -> None:
    loaded, sequence, _ = load(str(tmp_path), (0, 0), SPEC)
    assert (sequence, len(loaded.users)) == (0, 0)


def test_the_last_two_are_kept_and_nothing_partial(tmp_path: Path) -> None:
    for count in (10, 20, 30):
        save(
            ModelExport(str(tmp_path)),
            (1, 0),
            (2, 1),
            SPEC,
            ShardModel(learned(movielens_like(count)), count, {}),
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "shard-1-0-00000000000000000020.safetensors",
        "shard-1-0-00000000000000000030.safetensors",
        "shard-1-0.json",
    ]
    assert [(shard.shard, shard.shards, shard.sequence) for shard in shards_in(str(tmp_path))] == [
        ((1, 0), (2, 1), 30)
    ]


def test_a_folder_that_lacks_what_was_imported_is_refused(tmp_path: Path) -> None:
    folder = str(tmp_path)
    one = ShardModel(learned(movielens_like(10)), 10, {})
    save(ModelExport(folder, imports=True), (0, 0), (2, 1), SPEC, one)
    with pytest.raises(IncompatibleModelError, match="lacks 1 of the model's shards"):
        require_fit(folder, (2, 1), SPEC)
    save(ModelExport(folder, imports=True), (1, 0), (2, 1), SPEC, one)
    require_fit(folder, (2, 1), SPEC)


def test_another_model_grid_or_version_is_refused(tmp_path: Path) -> None:
    folder = str(tmp_path)
    with pytest.raises(IncompatibleModelError, match="no model in"):
        require_fit(folder, (1, 1), SPEC)
    save(ModelExport(folder), (0, 0), (2, 1), SPEC, ShardModel(learned(movielens_like(10)), 10, {}))
    require_fit(folder, (2, 1), SPEC)
    with pytest.raises(IncompatibleModelError, match="has 2 x 1 shards, this job 4 x 1"):
        require_shards(folder, (4, 1))
    with pytest.raises(IncompatibleModelError, match="has 2 x 1 shards, this job 1 x 1"):
        require_fit(folder, (1, 1), SPEC)
    with pytest.raises(IncompatibleModelError, match="has k 4, this job 5"):
        load(folder, (0, 0), RecommenderSpec("mf", {"k": 5}), (2, 1))
    manifest = tmp_path / "shard-0-0.json"
    fields = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**fields, "version": 9}))
    with pytest.raises(IncompatibleModelError, match="version 9, expected 4"):
        load(folder, (0, 0), SPEC)
    manifest.write_text("{}")
    with pytest.raises(IncompatibleModelError, match="not a model that --export_model wrote"):
        shards_in(folder)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_pipeline_goes_on_from_what_another_exported(tmp_path: Path, runner: str) -> None:
    ratings = movielens_like(600)
    folder = str(tmp_path / "models")
    export = ModelExport(folder)
    for part, source in ((ratings[:350], ""), (ratings[350:], folder)):
        batches = [RatingBatch(part[at : at + 40]) for at in range(0, len(part), 40)]
        options = PipelineOptions([*RUNNERS[runner](), "--experiments=prism_disable_sdf_split"])
        with beam.Pipeline(options=options) as pipeline:
            _ = (
                pipeline
                | beam.Create(batches, reshuffle=False)
                | Recommend(SPEC, Sharding(2), 3, export, source)
            )
    expected = shards_of(ratings, 2)
    assert {shard.shard: shard.sequence for shard in shards_in(folder)} == {
        shard: len(group) for shard, group in expected.items()
    }
    for shard, group in expected.items():
        loaded, _, _ = load(folder, shard, SPEC)
        assert same_arrays(loaded.state_dict(), learned(group).state_dict())


def test_it_is_written_now_and_then_not_only_at_the_end(tmp_path: Path) -> None:
    export = ModelExport(str(tmp_path), seconds=0.0)
    ratings = movielens_like(60)
    stream = TestStream()
    for at in range(0, 60, 20):
        stream.advance_watermark_to(at).add_elements([RatingBatch(ratings[at : at + 20])])
    pipeline = beam.Pipeline(options=PipelineOptions(["--streaming"]))
    last, exported = ratings[-1], tmp_path / "shard-0-0.json"

    def after_an_export(batch: RatingBatch) -> RatingBatch:
        if last in batch.ratings:
            wait_until(exported.exists)
        return batch

    _ = (
        pipeline
        | stream
        | beam.Map(after_an_export).with_output_types(RatingBatch)
        | Recommend(SPEC, top_n=3, export=export)
    )
    pipeline.run().wait_until_finish()
    # A bundle exports what the one before had learned, which a thread writes, and the end the rest.
    first, final = sorted(path.name[-17:] for path in tmp_path.glob("*.safetensors"))
    assert first in {"00020.safetensors", "00040.safetensors"}
    assert final == "00060.safetensors"


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": "/etc/hostname"},
        {"sequence": -1},
        {"shard": ["..", 0]},
        {"shard": [1, 0]},
        {"shards": [0, 0]},
        {"spec": {"model": "mf"}},
        {"spec": []},
        {"version": None},
        {"positions": {"t-0-": -1}},
        {"positions": {"t-0-": 1.5}},
        {"positions": ["t-0-"]},
        {"topics": {"t": 1}},
        {"topics": "t"},
    ],
)
def test_a_manifest_can_not_lead_out_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    folder = tmp_path / "models"
    save(
        ModelExport(str(folder)),
        (0, 0),
        (1, 1),
        SPEC,
        ShardModel(learned(movielens_like(10)), 10, {}),
    )
    manifest = folder / "shard-0-0.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
    opened: list[str] = []
    original = FileSystems.open

    def note(path: str, **arguments: object) -> object:
        opened.append(path)
        return original(path, **arguments)

    monkeypatch.setattr(FileSystems, "open", note)
    with pytest.raises(IncompatibleModelError):
        load(str(folder), (0, 0), SPEC)
    assert {str(Path(path).parent) for path in opened} == {str(folder)}


def test_arrays_of_another_number_of_ratings_are_refused(tmp_path: Path) -> None:
    folder = str(tmp_path)
    save(ModelExport(folder), (0, 0), (1, 1), SPEC, ShardModel(learned(movielens_like(10)), 10, {}))
    save(ModelExport(folder), (0, 0), (1, 1), SPEC, ShardModel(learned(movielens_like(20)), 20, {}))
    old, new = sorted(tmp_path.glob("*.safetensors"))
    new.write_bytes(old.read_bytes())
    with pytest.raises(IncompatibleModelError, match="of 10 ratings, expected 20"):
        load(folder, (0, 0), SPEC)


def test_a_job_may_change_what_is_not_learned(tmp_path: Path) -> None:
    folder = str(tmp_path)
    save(
        ModelExport(folder), (0, 0), (1, 1), SPEC, ShardModel(learned(movielens_like(100)), 100, {})
    )
    other = RecommenderSpec("mf", {"k": 4}, seed=9, repeats="allow", max_users=5)
    loaded, _, _ = load(folder, (0, 0), other)
    loaded.update(Rating("new", "new", 5.0, 0.0))
    assert len(loaded.users) == 4
