"""The graph: every stage and every label, in the order in which data meets them."""

from __future__ import annotations

import apache_beam as beam

from beam_pipeline.options import (
    InputOptions,
    KafkaOptions,
    ModelOptions,
    OutputOptions,
    ScaleOptions,
)
from beam_pipeline.settings import Settings
from transforms import (
    KeepPositives,
    KeyByCell,
    ModelExport,
    ParseRatings,
    ReadRatingsFromFiles,
    ReadRatingsFromKafka,
    Recommend,
    WriteDeadLetters,
    WriteDeadLettersToKafka,
    WriteRecommendations,
    WriteRecommendationsToKafka,
)
from transforms.model_export import require_fit, require_grid


def build(root: beam.Pipeline, settings: Settings) -> None:
    """Adds the whole pipeline to `root`.

    The labels are what a savepoint finds its state by; they never change.

    Raises:
        FileNotFoundError: The input does not exist.
        IncompatibleModelError: The model to import is missing, damaged, or of another shape.
        KafkaSetupError: The broker can not be reached, or the input topic is missing.
        UnsupportedFormatError: The input is of no known format.
        ValueError: An option is out of range.
    """
    options = settings.beam
    raw = root | "ReadRatings" >> _source(settings)
    parsed = raw | "ParseRatings" >> ParseRatings(options.view_as(InputOptions).max_record_bytes)
    model = options.view_as(ModelOptions)
    blocks = options.view_as(ScaleOptions).user_blocks
    if model.import_model:
        require_fit(model.import_model, (blocks, 1), settings.spec)
    if model.export_model:
        require_grid(model.export_model, (blocks, 1))
    export = (
        ModelExport(model.export_model, (blocks, 1), model.export_seconds)
        if model.export_model
        else None
    )
    lists = (
        parsed.ratings
        | "KeepPositives" >> KeepPositives(model.min_rating)
        | "KeyByCell" >> KeyByCell(blocks)
        | "Recommend" >> Recommend(settings.spec, model.top_n, export, model.import_model or "")
    )
    output = options.view_as(OutputOptions)
    if settings.output_topic and settings.kafka:
        lists | "WriteRecommendations" >> WriteRecommendationsToKafka(
            settings.kafka, settings.output_topic, output.output_format
        )
    elif settings.output:
        lists | "WriteRecommendations" >> WriteRecommendations(
            settings.output, output.output_format
        )
    if output.dead_letter_topic and settings.kafka:
        parsed.dead_letters | "WriteDeadLetters" >> WriteDeadLettersToKafka(
            settings.kafka, output.dead_letter_topic
        )
    elif output.dead_letters:
        parsed.dead_letters | "WriteDeadLetters" >> WriteDeadLetters(output.dead_letters)


def _source(settings: Settings) -> beam.PTransform:
    options = settings.beam.view_as(InputOptions)
    if settings.input_topic and settings.kafka:
        return ReadRatingsFromKafka(
            settings.kafka,
            settings.input_topic,
            start_offset=options.start_offset,
            stop_at_end=options.stop_at_end,
            group=settings.beam.view_as(KafkaOptions).kafka_group or None,
            input_format=options.input_format,
        )
    return ReadRatingsFromFiles(settings.input, options.input_format, options.order_by_time)
