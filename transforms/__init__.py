"""Streaming recommendation for anybody's Beam pipeline: one PTransform for each stage.

Names are loaded when they are first used (PEP 562), so that a process that needs one model loads
neither Beam nor a Kafka client.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from transforms.batches import EvaluationBatch, RatingBatch, RawBatch, RecommendationBatch
    from transforms.batching import FromRatings, FromRequests, ToEvaluations, ToRecommendations
    from transforms.filter import KeepPositives
    from transforms.formats.mapping import RecordMapping
    from transforms.formats.records import (
        DeadLetter,
        Evaluation,
        Features,
        Rating,
        Recommendation,
        Request,
        ScoredItem,
    )
    from transforms.history import ReadHistoryThenTopic
    from transforms.kafka.settings import KafkaSettings
    from transforms.kafka.sink import (
        WriteDeadLettersToKafka,
        WriteEvaluationsToKafka,
        WriteRecommendationsToKafka,
    )
    from transforms.kafka.source import ReadRatingsFromKafka
    from transforms.model_export import ModelExport
    from transforms.parse import Parsed, ParseRatings
    from transforms.read_files import ReadRatingsFromFiles
    from transforms.recommend import Evaluated, Recommend, RecommendAndEvaluate
    from transforms.recommenders.registry import RecommenderSpec
    from transforms.sharding.config import Sharding
    from transforms.write_files import WriteDeadLetters, WriteEvaluations, WriteRecommendations

_MODULES: Final = {
    "DeadLetter": "formats.records",
    "Evaluated": "recommend",
    "Evaluation": "formats.records",
    "EvaluationBatch": "batches",
    "Features": "formats.records",
    "FromRatings": "batching",
    "FromRequests": "batching",
    "KafkaSettings": "kafka.settings",
    "KeepPositives": "filter",
    "ModelExport": "model_export",
    "ParseRatings": "parse",
    "Parsed": "parse",
    "Rating": "formats.records",
    "RatingBatch": "batches",
    "RawBatch": "batches",
    "ReadHistoryThenTopic": "history",
    "ReadRatingsFromFiles": "read_files",
    "ReadRatingsFromKafka": "kafka.source",
    "Recommend": "recommend",
    "RecommendAndEvaluate": "recommend",
    "Recommendation": "formats.records",
    "RecommendationBatch": "batches",
    "RecommenderSpec": "recommenders.registry",
    "RecordMapping": "formats.mapping",
    "Request": "formats.records",
    "ScoredItem": "formats.records",
    "Sharding": "sharding.config",
    "ToEvaluations": "batching",
    "ToRecommendations": "batching",
    "WriteDeadLetters": "write_files",
    "WriteDeadLettersToKafka": "kafka.sink",
    "WriteEvaluations": "write_files",
    "WriteEvaluationsToKafka": "kafka.sink",
    "WriteRecommendations": "write_files",
    "WriteRecommendationsToKafka": "kafka.sink",
}

__all__ = [
    "DeadLetter",
    "Evaluated",
    "Evaluation",
    "EvaluationBatch",
    "Features",
    "FromRatings",
    "FromRequests",
    "KafkaSettings",
    "KeepPositives",
    "ModelExport",
    "ParseRatings",
    "Parsed",
    "Rating",
    "RatingBatch",
    "RawBatch",
    "ReadHistoryThenTopic",
    "ReadRatingsFromFiles",
    "ReadRatingsFromKafka",
    "Recommend",
    "RecommendAndEvaluate",
    "Recommendation",
    "RecommendationBatch",
    "RecommenderSpec",
    "RecordMapping",
    "Request",
    "ScoredItem",
    "Sharding",
    "ToEvaluations",
    "ToRecommendations",
    "WriteDeadLetters",
    "WriteDeadLettersToKafka",
    "WriteEvaluations",
    "WriteEvaluationsToKafka",
    "WriteRecommendations",
    "WriteRecommendationsToKafka",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
