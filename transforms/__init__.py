"""Streaming recommendation for anybody's Beam pipeline: one PTransform for each stage.

Names are loaded when they are first used (PEP 562), so that a process that needs one model loads
neither Beam nor a Kafka client.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from transforms.elements import RatingBatch, RawBatch, RecommendationBatch
    from transforms.filter import KeepPositives
    from transforms.formats.records import (
        DeadLetter,
        Evaluation,
        Features,
        Rating,
        Recommendation,
        Request,
        ScoredItem,
    )
    from transforms.kafka.settings import KafkaSettings
    from transforms.kafka.sink import (
        WriteDeadLettersToKafka,
        WriteEvaluationsToKafka,
        WriteRecommendationsToKafka,
    )
    from transforms.kafka.source import ReadRatingsFromKafka
    from transforms.parse import Parsed, ParseRatings
    from transforms.read import ReadRatingsFromFiles
    from transforms.recommend import ModelExport, Recommend
    from transforms.recommenders.registry import RecommenderSpec
    from transforms.sharding.config import Sharding
    from transforms.single import FromRatings, FromRequests, ToEvaluations, ToRecommendations
    from transforms.write import WriteDeadLetters, WriteEvaluations, WriteRecommendations

_MODULES: Final = {
    "DeadLetter": "formats.records",
    "Evaluation": "formats.records",
    "Features": "formats.records",
    "FromRatings": "single",
    "FromRequests": "single",
    "KafkaSettings": "kafka.settings",
    "KeepPositives": "filter",
    "ModelExport": "recommend",
    "ParseRatings": "parse",
    "Parsed": "parse",
    "Rating": "formats.records",
    "RatingBatch": "elements",
    "RawBatch": "elements",
    "ReadRatingsFromFiles": "read",
    "ReadRatingsFromKafka": "kafka.source",
    "Recommend": "recommend",
    "Recommendation": "formats.records",
    "RecommendationBatch": "elements",
    "RecommenderSpec": "recommenders.registry",
    "Request": "formats.records",
    "ScoredItem": "formats.records",
    "Sharding": "sharding.config",
    "ToEvaluations": "single",
    "ToRecommendations": "single",
    "WriteDeadLetters": "write",
    "WriteDeadLettersToKafka": "kafka.sink",
    "WriteEvaluations": "write",
    "WriteEvaluationsToKafka": "kafka.sink",
    "WriteRecommendations": "write",
    "WriteRecommendationsToKafka": "kafka.sink",
}

__all__ = [
    "DeadLetter",
    "Evaluation",
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
    "ReadRatingsFromFiles",
    "ReadRatingsFromKafka",
    "Recommend",
    "Recommendation",
    "RecommendationBatch",
    "RecommenderSpec",
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
