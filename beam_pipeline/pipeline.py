"""The graph: every stage and every label, in the order in which data meets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apache_beam as beam

from beam_pipeline.options import (
    EvaluationOptions,
    InputOptions,
    KafkaOptions,
    ModelOptions,
    OutputOptions,
)
from beam_pipeline.settings import Settings
from beam_pipeline.start import Start, start_of
from transforms import (
    DeadLetter,
    EvaluationBatch,
    KeepPositives,
    ModelExport,
    ParseRatings,
    ReadHistoryThenTopic,
    ReadRatingsFromFiles,
    ReadRatingsFromKafka,
    Recommend,
    RecommendAndEvaluate,
    RecommendationBatch,
    WriteDeadLetters,
    WriteDeadLettersToKafka,
    WriteEvaluations,
    WriteEvaluationsToKafka,
    WriteRecommendations,
    WriteRecommendationsToKafka,
)
from transforms.kafka.sink import CONFLUENT_AVRO


def build(root: beam.Pipeline, settings: Settings) -> Start:
    """Adds the whole pipeline to `root`; returns where it starts.

    The labels are what a savepoint finds its state by; they never change.

    Raises:
        FileNotFoundError: The input does not exist.
        IncompatibleModelError: The model to import is missing, damaged, or of another shape.
        KafkaSetupError: The broker cannot be reached, or the input topic is missing.
        SchemaRegistrySetupError: The registry cannot be reached, or does not take a schema.
        UnsupportedFormatError: The input is of no known format.
        ValueError: An option is out of range.
    """
    options = settings.beam
    start = start_of(settings)
    topic = _topic(settings, start)
    raw = root | "ReadRatings" >> _source(settings, start, topic)
    source = options.view_as(InputOptions)
    further = source.pass_headers.split(",") if source.pass_headers else ()
    parsed = raw | "ParseRatings" >> ParseRatings(
        source.max_record_bytes, further, settings.mapping, settings.registry
    )
    model = options.view_as(ModelOptions)
    export = None
    if model.export_model:
        export = ModelExport(
            model.export_model,
            model.export_seconds,
            # Keeps the ids of topics that the model has learned and this job does not read.
            {**_merged(start.topics), **(topic.topic_ids if topic else {})},
            # A savepoint has start offsets of its own.
            topic.starts if topic and not options.get_all_options().get("savepoint_path") else {},
            imports=bool(start.folder) and start.folder != model.export_model,
        )
    positives = parsed.ratings | "KeepPositives" >> KeepPositives(model.min_rating)
    arguments = (
        settings.spec,
        settings.sharding,
        model.top_n,
        export,
        start.folder,
        start.resumes,
    )
    unwritten_tests = None
    if settings.evaluate:
        evaluated = positives | "Recommend" >> RecommendAndEvaluate(*arguments)
        recommendations = evaluated.recommendations
        unwritten_tests = _write_evaluations(evaluated.evaluations, settings)
    else:
        recommendations = positives | "Recommend" >> Recommend(*arguments)
    unwritten = _write_recommendations(recommendations, settings)
    _write_dead_letters("WriteDeadLetters", parsed.dead_letters, settings)
    if unwritten is not None:
        _write_dead_letters("WriteUnwrittenRecommendations", unwritten, settings)
    if unwritten_tests is not None:
        _write_dead_letters("WriteUnwrittenEvaluations", unwritten_tests, settings)
    return start


def _write_recommendations(
    recommendations: beam.PCollection[RecommendationBatch], settings: Settings
) -> beam.PCollection[DeadLetter] | None:
    """Returns the recommendations that their topic did not take; None without a topic."""
    output = settings.beam.view_as(OutputOptions)
    if settings.output_topic and settings.kafka:
        return recommendations | "WriteRecommendations" >> WriteRecommendationsToKafka(
            settings.kafka, settings.output_topic, output.output_format, settings.registry
        )
    if settings.output:
        recommendations | "WriteRecommendations" >> WriteRecommendations(
            settings.output, output.output_format
        )
    return None


def _write_evaluations(
    evaluations: beam.PCollection[EvaluationBatch], settings: Settings
) -> beam.PCollection[DeadLetter] | None:
    """Returns the evaluations that their topic did not take; None without a topic."""
    output = settings.beam.view_as(EvaluationOptions)
    if output.evaluation_topic and settings.kafka:
        lists = settings.beam.view_as(OutputOptions)
        output_format = CONFLUENT_AVRO if lists.output_format == CONFLUENT_AVRO else "json"
        return evaluations | "WriteEvaluations" >> WriteEvaluationsToKafka(
            settings.kafka, output.evaluation_topic, output_format, settings.registry
        )
    if output.evaluation:
        evaluations | "WriteEvaluations" >> WriteEvaluations(output.evaluation)
    return None


def _write_dead_letters(
    label: str, letters: beam.PCollection[DeadLetter], settings: Settings
) -> None:
    output = settings.beam.view_as(OutputOptions)
    if output.dead_letter_topic and settings.kafka:
        letters | label >> WriteDeadLettersToKafka(settings.kafka, output.dead_letter_topic)
    elif output.dead_letters:
        letters | label >> WriteDeadLetters(output.dead_letters)


def _merged(shards: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {name: one for shard in shards for name, one in shard.items()}


def _topic(settings: Settings, start: Start) -> ReadRatingsFromKafka | None:
    options = settings.beam.view_as(InputOptions)
    if not (settings.input_topic and settings.kafka):
        return None
    return ReadRatingsFromKafka(
        settings.kafka,
        settings.input_topic,
        start_offset=start.offset,
        exported=start.positions,
        exported_topics=start.topics,
        stop_at_end=options.stop_at_end,
        group=settings.beam.view_as(KafkaOptions).kafka_group or None,
        # Beside files, the flag is for them.
        input_format="auto" if settings.input else options.input_format,
        request_topic=options.request_topic or "",
        finalize_each=not settings.on_flink,
        key_groups=settings.key_groups,
        excluded_topics=settings.output_topics,
        idle_timeout=options.idle_timeout,
    )


def _source(
    settings: Settings, start: Start, topic: ReadRatingsFromKafka | None
) -> beam.PTransform:
    options = settings.beam.view_as(InputOptions)
    if topic and (start.resumes or not settings.input):
        return topic
    files = ReadRatingsFromFiles(
        settings.input,
        options.input_format,
        options.order_by_time,
        options.requests or "",
        settings.mapping,
    )
    if topic is None:
        return files
    return ReadHistoryThenTopic(files, topic, settings.runs_here)
