"""Flags of the input: where ratings and requests come from."""

from __future__ import annotations

import argparse

from apache_beam.options.pipeline_options import PipelineOptions

from transforms.formats.detection import CONFLUENT, FILE_FORMATS
from transforms.formats.mapping import ENVELOPES
from transforms.formats.pass_headers import DEFAULT_NAMES
from transforms.formats.times import UNITS
from transforms.kafka.start_offset import START_OFFSETS
from transforms.parse import MAX_RECORD_BYTES


class InputOptions(PipelineOptions):
    """Where ratings and requests come from."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("input")
        group.add_argument(
            "--input",
            metavar="PATH|GLOB",
            help="file(s) to read, compressed or not; with --input_topic, read before the topic",
        )
        group.add_argument(
            "--input_format",
            choices=(*FILE_FORMATS, CONFLUENT),
            default="auto",
            help="format of the records (default: auto, detected from the first bytes)",
        )
        group.add_argument(
            "--fields",
            metavar="FIELD=SOURCE,...",
            help="where records have the fields user, item, rating, timestamp (and user_features,"
            " item_features, context): dotted paths into the record, as user=payload.customer_id;"
            " or key, header:NAME, broker_time; usual names are found without it",
        )
        group.add_argument(
            "--envelope",
            choices=ENVELOPES,
            help="what is around an event; the paths of --fields then start inside it",
        )
        group.add_argument(
            "--timestamp_unit",
            choices=UNITS,
            default="auto",
            help="unit of timestamps that are numbers (default: auto, told apart by size)",
        )
        group.add_argument(
            "--event_field",
            metavar="SOURCE",
            help="where records have the type of the event, as --fields; needs --event_weights",
        )
        group.add_argument(
            "--event_weights",
            metavar="TYPE=WEIGHT,...",
            help="weights of event types, as view=0.2,purchase=1,dislike=-1,seen=0; 0 only marks"
            " the item as seen, below 0 it is not wanted; other types are filtered and counted",
        )
        group.add_argument(
            "--order_by_time",
            action="store_true",
            help="sort the files' records by timestamp; holds all of them in memory",
        )
        group.add_argument(
            "--input_topic",
            metavar="TOPIC|TOPIC,TOPIC|^PATTERN",
            help="topic(s) to read, or a regular expression that starts with ^; after the files if"
            " --input is given",
        )
        group.add_argument(
            "--requests",
            metavar="PATH|GLOB",
            help='file(s) with requests, {"user": "196"}, answered after all ratings',
        )
        group.add_argument(
            "--request_topic",
            metavar="TOPIC",
            help="topic with requests, read together with --input_topic",
        )
        group.add_argument(
            "--start_offset",
            metavar="OFFSET",
            help=f"where to start reading the topics: {', '.join(START_OFFSETS)}, or an ISO time"
            " (default: exported if the model of --import_model has learned from them, which goes"
            " on right behind that; else earliest)",
        )
        group.add_argument(
            "--idle_timeout",
            type=float,
            default=0.0,
            metavar="SECONDS",
            help="end the job when the topics gave nothing for so long (local runners)",
        )
        group.add_argument(
            "--stop_at_end",
            action="store_true",
            help="stop at the end offsets captured at startup",
        )
        group.add_argument(
            "--pass_headers",
            default="",
            metavar="NAME,NAME",
            help="further Kafka headers of a rating or request that come back on its"
            f" recommendation, beside {', '.join(DEFAULT_NAMES)}",
        )
        group.add_argument(
            "--max_record_bytes",
            type=int,
            default=MAX_RECORD_BYTES,
            metavar="BYTES",
            help=f"longer records become dead letters (default: {MAX_RECORD_BYTES})",
        )
