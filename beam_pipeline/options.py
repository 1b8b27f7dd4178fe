"""The command line: our options in groups, beside Beam's own, and checks across them."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import math
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from beam_pipeline import sample
from transforms.errors import KafkaSetupError
from transforms.formats.detection import FILE_FORMATS, MESSAGE_FORMATS
from transforms.kafka.client import KafkaSettings, read_properties
from transforms.kafka.source import START_OFFSETS
from transforms.parse import MAX_RECORD_BYTES
from transforms.recommenders.registry import MODEL_NAMES, RecommenderSpec, config_class
from transforms.write import OUTPUT_FORMATS, STDOUT

LOCAL_RUNNERS: Final = ("directrunner", "fnapirunner", "prismrunner")


class UsageError(ValueError):
    """The command line asks for something that can not be; the text is one clear line."""


class InputOptions(PipelineOptions):
    """Where ratings come from."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("ratings in")
        group.add_argument("--input", metavar="PATH|GLOB", help="file(s) to read; gz and bz2 too")
        group.add_argument(
            "--input_format",
            choices=FILE_FORMATS,
            default="auto",
            help="format of the records (default: auto, judged by the first bytes)",
        )
        group.add_argument(
            "--order_by_time",
            action="store_true",
            help="read the files' records in the order of their timestamps",
        )
        group.add_argument("--input_topic", metavar="TOPIC", help="topic to read")
        group.add_argument(
            "--start_offset",
            choices=START_OFFSETS,
            default="earliest",
            help="where to start in the topic (default: earliest)",
        )
        group.add_argument(
            "--stop_at_end",
            action="store_true",
            help="end at what is the end of the topic at the start, instead of never",
        )
        group.add_argument(
            "--max_record_bytes",
            type=int,
            default=MAX_RECORD_BYTES,
            metavar="BYTES",
            help=f"longer records are dead letters (default: {MAX_RECORD_BYTES})",
        )


class KafkaOptions(PipelineOptions):
    """How to reach the brokers."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("Kafka")
        group.add_argument(
            "--kafka_bootstrap_servers", metavar="HOST:PORT", help="broker(s), with commas between"
        )
        group.add_argument(
            "--kafka_config",
            metavar="FILE",
            help="name=value lines for the clients: SASL, TLS, ... in Java's or librdkafka's names",
        )
        group.add_argument(
            "--kafka_group",
            metavar="GROUP",
            default="flurs-beam",
            help="whose offsets are committed (default: flurs-beam)",
        )
        group.add_argument(
            "--create_topics", action="store_true", help="create output topics that are missing"
        )


class ModelOptions(PipelineOptions):
    """What learns, and what it recommends."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("model")
        group.add_argument(
            "--model", choices=MODEL_NAMES, default="mf", help="the recommender (default: mf)"
        )
        for name in MODEL_NAMES:
            for hyperparameter in dataclasses.fields(config_class(name)):
                group.add_argument(
                    f"--{hyperparameter.name}",
                    type=type(hyperparameter.default),
                    metavar="NUMBER",
                    help=f"{hyperparameter.metadata['help']} (default: {hyperparameter.default})",
                )
        group.add_argument(
            "--min_rating",
            type=float,
            default=3.0,
            metavar="RATING",
            help="learn from ratings of at least this (default: 3)",
        )
        group.add_argument(
            "--top_n", type=int, default=10, metavar="N", help="length of a list (default: 10)"
        )
        group.add_argument(
            "--seed", type=int, default=0, metavar="SEED", help="of all random draws (default: 0)"
        )
        group.add_argument(
            "--allow_repeats",
            action="store_true",
            help="lists may name items that the user already has",
        )
        group.add_argument(
            "--export_model", metavar="FOLDER", help="write the model there, now and then"
        )
        group.add_argument(
            "--export_seconds",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="how often (default: 60), besides at the end of the input",
        )
        group.add_argument(
            "--import_model", metavar="FOLDER", help="start from what --export_model wrote"
        )


class OutputOptions(PipelineOptions):
    """Where lists, dead letters and the summary go."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("lists out")
        group.add_argument(
            "--output", metavar="PATH|-", help="local file for the lists, or - to print them"
        )
        group.add_argument("--output_topic", metavar="TOPIC", help="topic for the lists")
        group.add_argument(
            "--output_format",
            choices=OUTPUT_FORMATS,
            default="json",
            help="format of the lists (default: json)",
        )
        group.add_argument("--dead_letters", metavar="PATH", help="local file for dead letters")
        group.add_argument("--dead_letter_topic", metavar="TOPIC", help="topic for dead letters")
        group.add_argument("--summary", metavar="PATH", help="file for the summary, as JSON")


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
            help="learn N groups of users apart, each by a model of its own (default: 1)",
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
                help=f"{text} (default on Flink: {_FLINK_DEFAULTS[name]})",
            )
        group.add_argument(
            "--operator_chaining",
            type=_truth,
            metavar="true|false",
            help="fuse Flink's operators; a savepoint then fits one parallelism only"
            " (default on Flink: false)",
        )


def _truth(text: str) -> bool:
    if text not in {"true", "false"}:
        raise argparse.ArgumentTypeError(text)
    return text == "true"


_FLINK_HELP: Final = {
    "checkpointing_interval": "milliseconds between two checkpoints",
    "min_pause_between_checkpoints": "milliseconds from one's end to the next",
    "checkpoint_timeout_millis": "milliseconds after which one is given up",
    "max_bundle_time_mills": "milliseconds that a bundle may take: lists leave at its end",
}
_FLINK_DEFAULTS: Final[dict[str, int | str]] = {
    "checkpointing_interval": 10_000,
    "min_pause_between_checkpoints": 500,
    "checkpoint_timeout_millis": 60_000,
    "max_bundle_time_mills": 100,
    "max_parallelism": 128,
    "operator_chaining": "false",
}


_OURS: Final = (InputOptions, KafkaOptions, ModelOptions, OutputOptions, ScaleOptions, FlinkOptions)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m beam_pipeline",
        description=(
            "Learns from ratings as they come and gives each user's top-N. Without --input and"
            " --input_topic it runs on a bundled synthetic sample."
        ),
        epilog="More, with examples: README.md and docs/architecture.md.",
        allow_abbrev=False,
    )
    for options in _OURS:
        options._add_argparse_args(parser)
    others = [cls for cls in _all_subclasses(PipelineOptions) if cls not in _OURS]
    for options in others:
        name = options.__name__.removesuffix("Options")
        options._add_argparse_args(parser.add_argument_group(f"Beam: {name}"))
    return parser


def _all_subclasses(cls: type[Any]) -> list[type[Any]]:
    return [
        one
        for direct in cls.__subclasses__()
        for one in [direct, *_all_subclasses(direct)]
        if one.__module__.startswith("apache_beam.options") or one in _OURS
    ]


@dataclasses.dataclass(frozen=True)
class Settings:
    """The command line, checked: what `pipeline.build` needs besides Beam's own options.

    Attributes:
        input: Path or glob; empty if a topic is read.
        input_topic: Topic; empty if files are read.
        kafka: The brokers; None if no topic is named.
        output: Local path or `-`; empty if lists go to a topic.
        output_topic: Topic; empty if lists go to a file.
        sample: Whether the bundled sample is the input.
        spec: What recommenders are made from.
        flink_defaults: Flags that were added because the runner is Flink.
        beam: All options, ours and Beam's.
    """

    input: str
    input_topic: str
    kafka: KafkaSettings | None
    output: str
    output_topic: str
    sample: bool
    spec: RecommenderSpec
    flink_defaults: tuple[str, ...]
    beam: PipelineOptions

    @property
    def runs_here(self) -> bool:
        """Whether the runner works in this process."""
        return is_local(self.beam.view_as(StandardOptions).runner)

    @property
    def output_topics(self) -> tuple[str, ...]:
        """The topics that are written."""
        letters = self.beam.view_as(OutputOptions).dead_letter_topic
        return tuple(topic for topic in (self.output_topic, letters) if topic)


def is_local(runner: str | None) -> bool:
    """Whether a runner of that name works in this process, or in one that it starts."""
    return runner is None or runner.rsplit(".", 1)[-1].lower() in LOCAL_RUNNERS


def parse(argv: Sequence[str]) -> Settings:
    """Reads and checks a command line.

    Raises:
        UsageError: A flag is unknown, or flags do not fit together.
    """
    known, unknown = _parser().parse_known_args(list(argv))
    if unknown and is_local(known.runner):
        # Other runners have options that only their job server knows.
        raise UsageError(_unknown(unknown[0]))
    defaults = _flink_defaults(known, argv)
    beam = PipelineOptions([*argv, *defaults])
    _check_input(known)
    _check_output(known)
    return Settings(
        input=known.input or ("" if known.input_topic else str(sample.PATH)),
        input_topic=known.input_topic or "",
        kafka=_kafka(known),
        output=known.output or "",
        output_topic=known.output_topic or "",
        sample=not (known.input or known.input_topic),
        spec=_spec(known),
        flink_defaults=defaults,
        beam=beam,
    )


def _flink_defaults(known: argparse.Namespace, argv: Sequence[str]) -> tuple[str, ...]:
    """Returns the flags that make the pipeline right on Flink and that the user did not give."""
    if not (known.runner or "").lower().endswith("flinkrunner"):
        return ()
    wanted = {"streaming": "", **{name: f"={value}" for name, value in _FLINK_DEFAULTS.items()}}
    if known.stop_at_end or not known.input_topic:
        # Flink would keep a job whose sources have ended.
        wanted["shutdown_sources_after_idle_ms"] = "=0"
    given = {argument.split("=")[0] for argument in argv}
    return tuple(f"--{name}{value}" for name, value in wanted.items() if f"--{name}" not in given)


def our_flags() -> list[str]:
    """Returns the flags that are not Beam's own."""
    parser = _Parser(add_help=False)
    for options in _OURS:
        options._add_argparse_args(parser)
    return [option for action in parser._actions for option in action.option_strings]


def _unknown(flag: str) -> str:
    name = flag.split("=", maxsplit=1)[0]
    flags = [option for action in _parser()._actions for option in action.option_strings]
    close = difflib.get_close_matches(name, flags, n=1)
    hint = f"did you mean {close[0]}?" if close else "see --help"
    return f"unknown flag {name}; {hint}"


def _check_input(known: argparse.Namespace) -> None:
    if known.input and known.input_topic:
        msg = "--input and --input_topic exclude each other"
        raise UsageError(msg)
    if known.input_topic and known.order_by_time:
        msg = "--order_by_time needs --input: a topic has no end before which to sort"
        raise UsageError(msg)
    if known.input_topic and known.input_format not in MESSAGE_FORMATS:
        expected = ", ".join(MESSAGE_FORMATS)
        msg = f"--input_format {known.input_format} is for files; a topic takes {expected}"
        raise UsageError(msg)
    if not known.input_topic and known.stop_at_end:
        msg = "--stop_at_end needs --input_topic: files end by themselves"
        raise UsageError(msg)
    if math.isnan(known.min_rating):
        msg = "--min_rating is NaN, expected a number"
        raise UsageError(msg)
    if known.max_record_bytes < 1:
        msg = f"--max_record_bytes is {known.max_record_bytes}, expected at least 1"
        raise UsageError(msg)


def _check_output(known: argparse.Namespace) -> None:
    if known.output and known.output_topic:
        msg = "--output and --output_topic exclude each other"
        raise UsageError(msg)
    if known.dead_letters and known.dead_letter_topic:
        msg = "--dead_letters and --dead_letter_topic exclude each other"
        raise UsageError(msg)
    if not (known.output or known.output_topic or is_local(known.runner)):
        msg = f"say where {known.runner} is to write the lists: --output_topic or --output"
        raise UsageError(msg)
    if known.output == STDOUT and not is_local(known.runner):
        msg = "--output - prints where the workers are; name a file or an --output_topic"
        raise UsageError(msg)
    if known.output == STDOUT and known.output_format != "json":
        msg = "--output - prints json only"
        raise UsageError(msg)
    for flag, path in (("--output", known.output), ("--dead_letters", known.dead_letters)):
        if path and "://" in path:
            msg = f"{flag} takes a local path, not {path}; a topic can hold what many write"
            raise UsageError(msg)
    if known.top_n < 0 or known.user_blocks < 1:
        msg = "--top_n must be 0 or more, --user_blocks 1 or more"
        raise UsageError(msg)


def _kafka(known: argparse.Namespace) -> KafkaSettings | None:
    topics = (known.input_topic, known.output_topic, known.dead_letter_topic)
    if not any(topics):
        if known.kafka_bootstrap_servers:
            msg = "--kafka_bootstrap_servers is given but no topic: add --input_topic"
            raise UsageError(msg)
        return None
    if not known.kafka_bootstrap_servers:
        msg = "a topic is named but no broker: add --kafka_bootstrap_servers HOST:PORT"
        raise UsageError(msg)
    if not known.kafka_config:
        return KafkaSettings(known.kafka_bootstrap_servers)
    try:
        with open(known.kafka_config, encoding="utf-8") as file:
            return KafkaSettings(known.kafka_bootstrap_servers, read_properties(file.read()))
    except (OSError, UnicodeDecodeError) as e:
        msg = f"can not read --kafka_config: {e}"
        raise UsageError(msg) from e
    except KafkaSetupError as e:
        raise UsageError(str(e)) from e


def _spec(known: argparse.Namespace) -> RecommenderSpec:
    names = [one.name for one in dataclasses.fields(config_class(known.model))]
    given = {name: getattr(known, name) for name in names if getattr(known, name) is not None}
    try:
        return RecommenderSpec(known.model, given, known.seed, known.allow_repeats)
    except ValueError as e:
        msg = f"--{e}"
        raise UsageError(msg) from e
