"""Streaming recommendation for anybody's Beam pipeline: one PTransform for each stage."""

from transforms.elements import (
    RatingBatch,
    RawBatch,
    RecommendationBatch,
)
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
from transforms.kafka.client import KafkaSettings
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
