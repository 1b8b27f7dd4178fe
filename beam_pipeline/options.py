"""Our options of the command line, in groups beside Beam's own."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any, Final

from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipeline.job_server_options import truth
from transforms.formats.detection import FILE_FORMATS
from transforms.kafka.settings import AUTO, CLIENT_CHOICES
from transforms.kafka.source import START_OFFSETS
from transforms.parse import MAX_RECORD_BYTES
from transforms.recommenders.registry import DEFAULT_MODEL, MODEL_NAMES, config_class
from transforms.runtime.flink_key_groups import KEY_GROUPS
from transforms.write_files import OUTPUT_FORMATS


class InputOptions(PipelineOptions):
    """Where ratings and requests come from."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("input")
        group.add_argument(
            "--input", metavar="PATH|GLOB", help="file(s) to read, plain, gzip or bzip2"
        )
        group.add_argument(
            "--input_format",
            choices=FILE_FORMATS,
            default="auto",
            help="format of the records (default: auto, detected from the first bytes)",
        )
        group.add_argument(
            "--order_by_time",
            action="store_true",
            help="sort the files' records by timestamp; holds all of them in memory",
        )
        group.add_argument("--input_topic", metavar="TOPIC", help="topic to read")
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
            choices=START_OFFSETS,
            default="earliest",
            help="where to start reading the topics (default: earliest)",
        )
        group.add_argument(
            "--stop_at_end",
            action="store_true",
            help="stop at the end offsets captured at startup",
        )
        group.add_argument(
            "--max_record_bytes",
            type=int,
            default=MAX_RECORD_BYTES,
            metavar="BYTES",
            help=f"longer records become dead letters (default: {MAX_RECORD_BYTES})",
        )


class KafkaOptions(PipelineOptions):
    """How to reach the brokers."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("Kafka")
        group.add_argument(
            "--kafka_bootstrap_servers", metavar="HOST:PORT", help="broker(s), separated by commas"
        )
        group.add_argument(
            "--kafka_config",
            metavar="FILE",
            help="client settings (SASL, TLS, ...), name=value lines in Java's or librdkafka's"
            " names; workers read the same path",
        )
        group.add_argument(
            "--kafka_group",
            metavar="GROUP",
            default="flurs-beam",
            help="consumer group whose offsets are committed (default: flurs-beam)",
        )
        group.add_argument(
            "--kafka_client",
            choices=CLIENT_CHOICES,
            default=AUTO,
            help="Kafka client library (default: auto, librdkafka where it is installed)",
        )
        group.add_argument(
            "--create_topics",
            action="store_true",
            help="create output and request topics that are missing",
        )


@dataclasses.dataclass(frozen=True)
class HyperparameterFlag:
    """One flag for all models that have a hyperparameter of that name.

    Attributes:
        name: Of the flag and of the configs' field.
        type: Of its value.
        choices: What it may be; None for any value of the type.
        help: What it is and its default, for each model.
    """

    name: str
    type: type[int | float | str]
    choices: tuple[str, ...] | None
    help: str


def hyperparameter_flags() -> list[HyperparameterFlag]:
    """Returns the flags of all models' hyperparameters, in the order of the models.

    A flag that is not given is None, which stands for the model's own default.
    """
    fields: dict[str, list[tuple[str, dataclasses.Field[Any]]]] = {}
    for model in MODEL_NAMES:
        for one in dataclasses.fields(config_class(model)):
            fields.setdefault(one.name, []).append((model, one))
    return [_flag(name, owners) for name, owners in fields.items()]


def _flag(name: str, owners: list[tuple[str, dataclasses.Field[Any]]]) -> HyperparameterFlag:
    defaults: dict[str, dict[Any, list[str]]] = {}
    for model, one in owners:
        defaults.setdefault(one.metadata["help"], {}).setdefault(one.default, []).append(model)
    texts = []
    for text, models in defaults.items():
        each = "; ".join(f"{', '.join(who)}: {value}" for value, who in models.items())
        texts.append(f"{text} (default for {each})")
    first = owners[0][1]
    kind: Any = type(first.default)
    return HyperparameterFlag(name, kind, first.metadata.get("choices"), "; or ".join(texts))


class ModelOptions(PipelineOptions):
    """What learns, and what it recommends."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("model")
        group.add_argument(
            "--model",
            choices=MODEL_NAMES,
            default=DEFAULT_MODEL,
            help=f"the recommender (default: {DEFAULT_MODEL})",
        )
        for flag in hyperparameter_flags():
            group.add_argument(
                f"--{flag.name}",
                type=flag.type,
                choices=flag.choices,
                metavar=None if flag.choices else "NUMBER",
                help=flag.help,
            )
        group.add_argument(
            "--min_rating",
            type=float,
            default=3.0,
            metavar="RATING",
            help="lowest rating that counts as positive and is learned (default: 3)",
        )
        group.add_argument(
            "--top_n",
            type=int,
            default=10,
            metavar="N",
            help="number of items to recommend; 0 only learns (default: 10)",
        )
        group.add_argument(
            "--seed", type=int, default=0, metavar="SEED", help="random seed (default: 0)"
        )
        group.add_argument(
            "--allow_repeats",
            action="store_true",
            help="recommend items that the user already has, too",
        )
        for kind in ("users", "items"):
            group.add_argument(
                f"--max_{kind}",
                type=int,
                default=0,
                metavar="N",
                help=f"maximum number of {kind} in a model; the least recently seen are evicted"
                " (default: 0, no maximum)",
            )
        group.add_argument(
            "--export_model",
            metavar="FOLDER",
            help="export the model to this folder periodically and at the end of the input",
        )
        group.add_argument(
            "--export_seconds",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="seconds between two exports (default: 60)",
        )
        group.add_argument(
            "--import_model", metavar="FOLDER", help="start from a model that --export_model wrote"
        )


class OutputOptions(PipelineOptions):
    """Where lists, dead letters and the summary go."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("output")
        group.add_argument(
            "--output",
            metavar="PATH|-",
            help="local file for recommendations, or - for standard output",
        )
        group.add_argument("--output_topic", metavar="TOPIC", help="topic for recommendations")
        group.add_argument(
            "--output_format",
            choices=OUTPUT_FORMATS,
            default="json",
            help="format of recommendations (default: json)",
        )
        group.add_argument("--dead_letters", metavar="PATH", help="local file for dead letters")
        group.add_argument("--dead_letter_topic", metavar="TOPIC", help="topic for dead letters")
        group.add_argument("--summary", metavar="PATH", help="file for the summary, as JSON")


class EvaluationOptions(PipelineOptions):
    """Whether and where to say how good the lists are."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("evaluation")
        group.add_argument(
            "--evaluate",
            action="store_true",
            help="test each positive before it is learned (prequential evaluation)",
        )
        group.add_argument(
            "--evaluation",
            metavar="PATH",
            help="local file for a record of each test; implies --evaluate",
        )
        group.add_argument(
            "--evaluation_topic",
            metavar="TOPIC",
            help="topic for a record of each test; implies --evaluate",
        )


class ScaleOptions(PipelineOptions):
    """How the model is spread."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("scale")
        group.add_argument(
            "--user_blocks",
            type=int,
            default=1,
            metavar="N",
            help="number of user shards, each with a model of its own (default: 1)",
        )
        group.add_argument(
            "--item_blocks",
            type=int,
            default=1,
            metavar="M",
            help="number of item shards of each user shard; their top-N are merged (default: 1)",
        )


class FlinkOptions(PipelineOptions):
    """Options of Beam's Flink runner that only its job server declares, with our defaults."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("Flink")
        for name, text in _FLINK_HELP.items():
            group.add_argument(
                f"--{name}",
                type=int,
                metavar="N",
                help=f"{text} (default on Flink: {FLINK_DEFAULTS[name]})",
            )
        group.add_argument(
            "--operator_chaining",
            type=truth,
            metavar="true|false",
            help="chain Flink's operators; a savepoint then only fits the same parallelism"
            " (default on Flink: false)",
        )


_FLINK_HELP: Final = {
    "checkpointing_interval": "milliseconds between the starts of two checkpoints",
    "min_pause_between_checkpoints": "milliseconds between the end of a checkpoint and the next",
    "checkpoint_timeout_millis": "milliseconds after which a checkpoint is abandoned",
    "max_bundle_time_mills": "maximum milliseconds of a bundle; output leaves at its end",
}
FLINK_DEFAULTS: Final[dict[str, int | str]] = {
    "checkpointing_interval": 10_000,
    "min_pause_between_checkpoints": 500,
    "checkpoint_timeout_millis": 60_000,
    "max_bundle_time_mills": 5,
    "max_parallelism": KEY_GROUPS,
    "operator_chaining": "false",
}


OURS: Final = (
    InputOptions,
    KafkaOptions,
    ModelOptions,
    OutputOptions,
    EvaluationOptions,
    ScaleOptions,
    FlinkOptions,
)


def our_flags() -> list[str]:
    """Returns the flags that are not Beam's own."""
    parser = argparse.ArgumentParser(add_help=False)
    for options in OURS:
        options._add_argparse_args(parser)
    return [option for action in parser._actions for option in action.option_strings]
