"""A command line, read and checked: flags one by one, and flags that have to fit together."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from beam_pipeline import sample
from beam_pipeline.flag_checks import check
from beam_pipeline.job_server_options import FlinkJobServerOptions
from beam_pipeline.kafka_flags import kafka_settings
from beam_pipeline.options import (
    FLINK_DEFAULTS,
    OURS,
    EvaluationOptions,
    InputOptions,
    OutputOptions,
    hyperparameter_flags,
)
from beam_pipeline.registry_flags import registry_settings
from beam_pipeline.runners import is_flink, is_local
from beam_pipeline.usage import Parser, UsageError
from transforms.formats.mapping import RecordMapping, parse_fields, parse_weights
from transforms.kafka.clients.factory import KafkaSettings
from transforms.recommenders.registry import RecommenderSpec, config_class
from transforms.runtime.flink_key_groups import KEY_GROUPS
from transforms.schema_registry.settings import SchemaRegistrySettings
from transforms.sharding.config import Sharding

_FLINK_CONF: Final = Path(__file__).parent / "flink_conf"
_NO_FLINK_CONF: Final = frozenset(
    # The last two take the job to a machine that does not have our folder.
    {"--flink_conf_dir", "--flink_submit_uber_jar", "--job_endpoint"}
)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m beam_pipeline",
        description=(
            "Learns from ratings as they come and gives each user's top-N. Without --input and"
            " --input_topic it runs on a bundled synthetic sample."
        ),
        epilog="More, with examples: README.md and docs/architecture.md.",
        allow_abbrev=False,
    )
    for options in OURS:
        options._add_argparse_args(parser)
    others = [cls for cls in _all_subclasses(PipelineOptions) if cls not in OURS]
    for options in others:
        name = options.__name__.removesuffix("Options")
        options._add_argparse_args(parser.add_argument_group(f"Beam: {name}"))
    return parser


def _all_subclasses(cls: type[Any]) -> list[type[Any]]:
    return [
        one
        for direct in cls.__subclasses__()
        for one in [direct, *_all_subclasses(direct)]
        if one.__module__.startswith("apache_beam.options") or one in {*OURS, FlinkJobServerOptions}
    ]


@dataclasses.dataclass(frozen=True)
class Settings:
    """The command line, checked: what `pipeline.build` needs besides Beam's own options.

    Attributes:
        input: Path or glob; empty if a topic is read.
        input_topic: Topic; empty if files are read.
        grid: How many blocks of users and of items there are.
        replicas: How many replicas each block of users has.
        evaluate: Whether to test before learning.
        kafka: The brokers; None if no topic is named.
        registry: The schema registry; None without one.
        output: Local path or `-`; empty if lists go to a topic.
        output_topic: Topic; empty if lists go to a file.
        sample: Whether the bundled sample is the input.
        spec: What recommenders are made from.
        mapping: Where records have the fields of a rating.
        flink_defaults: Flags that were added because the runner is Flink.
        beam: All options, ours and Beam's.
    """

    input: str
    input_topic: str
    grid: tuple[int, int]
    replicas: int
    evaluate: bool
    kafka: KafkaSettings | None
    registry: SchemaRegistrySettings | None
    output: str
    output_topic: str
    sample: bool
    spec: RecommenderSpec
    mapping: RecordMapping
    flink_defaults: tuple[str, ...]
    beam: PipelineOptions

    @property
    def key_groups(self) -> int:
        """Flink's maximum parallelism, over which model shards are spread."""
        chosen = self.beam.get_all_options().get("max_parallelism")
        return chosen if chosen and chosen > 0 else KEY_GROUPS

    @property
    def sharding(self) -> Sharding:
        """How many model shards there are."""
        return Sharding(*self.grid, self.replicas, self.key_groups)

    @property
    def on_flink(self) -> bool:
        """Whether the runner is Flink."""
        return is_flink(self.beam.view_as(StandardOptions).runner)

    @property
    def runs_here(self) -> bool:
        """Whether the runner works in this process."""
        return is_local(self.beam.view_as(StandardOptions).runner)

    @property
    def ends(self) -> bool:
        """Whether the run ends by itself."""
        return not self.input_topic or bool(self.beam.view_as(InputOptions).stop_at_end)

    @property
    def output_topics(self) -> tuple[str, ...]:
        """The topics that are written."""
        letters = self.beam.view_as(OutputOptions).dead_letter_topic
        tests = self.beam.view_as(EvaluationOptions).evaluation_topic
        return tuple(topic for topic in (self.output_topic, letters, tests) if topic)


def parse(argv: Sequence[str]) -> Settings:
    """Reads and checks a command line.

    Raises:
        UsageError: A flag is unknown, or flags do not fit together.
    """
    known, unknown = _parser().parse_known_args(list(argv))
    if unknown and is_local(known.runner):
        # Other runners have options that only their job server knows.
        raise UsageError(_unknown(unknown[0]))
    check(known)
    defaults = _flink_defaults(known, argv)
    beam = PipelineOptions([*argv, *defaults])
    return Settings(
        input=known.input or ("" if known.input_topic else str(sample.PATH)),
        input_topic=known.input_topic or "",
        grid=(known.user_blocks, known.item_blocks),
        replicas=known.replicas,
        evaluate=bool(known.evaluate or known.evaluation or known.evaluation_topic),
        kafka=_kafka(known),
        registry=registry_settings(known),
        output=known.output or "",
        output_topic=known.output_topic or "",
        sample=not (known.input or known.input_topic),
        spec=_spec(known),
        mapping=_mapping(known),
        flink_defaults=defaults,
        beam=beam,
    )


def _flink_defaults(known: argparse.Namespace, argv: Sequence[str]) -> tuple[str, ...]:
    """Returns the flags that make the pipeline right on Flink and that the user did not give."""
    if not is_flink(known.runner):
        return ()
    bare = ("streaming", "finish_bundle_before_checkpointing")
    wanted = {
        **dict.fromkeys(bare, ""),
        **{name: f"={value}" for name, value in FLINK_DEFAULTS.items()},
    }
    if known.stop_at_end or not known.input_topic:
        # Flink would keep a job whose sources have ended.
        wanted["shutdown_sources_after_idle_ms"] = "=0"
    given = {argument.split("=")[0] for argument in argv}
    if not (given & _NO_FLINK_CONF or os.environ.get("FLINK_CONF_DIR")):
        wanted["flink_conf_dir"] = f"={_FLINK_CONF}"
    return tuple(f"--{name}{value}" for name, value in wanted.items() if f"--{name}" not in given)


def _unknown(flag: str) -> str:
    name = flag.split("=", maxsplit=1)[0]
    flags = [option for action in _parser()._actions for option in action.option_strings]
    close = difflib.get_close_matches(name, flags, n=1)
    hint = f"did you mean {close[0]}?" if close else "see --help"
    return f"unknown flag {name}; {hint}"


def _kafka(known: argparse.Namespace) -> KafkaSettings | None:
    topics = (
        known.input_topic,
        known.output_topic,
        known.dead_letter_topic,
        known.evaluation_topic,
    )
    if not any(topics):
        if known.kafka_bootstrap_servers:
            msg = "--kafka_bootstrap_servers is given but no topic: add --input_topic"
            raise UsageError(msg)
        return None
    if not known.kafka_bootstrap_servers:
        msg = "a topic is named but no broker: add --kafka_bootstrap_servers HOST:PORT"
        raise UsageError(msg)
    return kafka_settings(
        known.kafka_bootstrap_servers,
        known.kafka_config,
        known.kafka_client,
        known.kafka_token_provider,
    )


def _mapping(known: argparse.Namespace) -> RecordMapping:
    if known.event_field and not known.event_weights:
        msg = "--event_field needs --event_weights: say what each event type weighs"
        raise UsageError(msg)
    flag = "fields"
    try:
        fields = parse_fields(known.fields) if known.fields else {}
        flag = "event_weights"
        weights = parse_weights(known.event_weights) if known.event_weights else {}
        flag = "event_field" if known.event_field else "fields"
        event = {"event": known.event_field} if known.event_field else {}
        return RecordMapping(
            {**fields, **event}, known.envelope or "", known.timestamp_unit, weights
        )
    except ValueError as e:
        msg = f"--{flag}: {e}"
        raise UsageError(msg) from e


def _spec(known: argparse.Namespace) -> RecommenderSpec:
    own = [one.name for one in dataclasses.fields(config_class(known.model))]
    values = {flag.name: getattr(known, flag.name) for flag in hyperparameter_flags()}
    given = {name: value for name, value in values.items() if value is not None}
    for name in given:
        if name not in own:
            has = f"it has {', '.join(f'--{one}' for one in own)}" if own else "it has none"
            msg = f"--{name} is no hyperparameter of --model {known.model}; {has}"
            raise UsageError(msg)
    try:
        return RecommenderSpec(
            known.model,
            given,
            known.seed,
            known.repeats,
            known.max_users,
            known.max_items,
            known.user_ttl,
        )
    except ValueError as e:
        msg = f"--{e}"
        raise UsageError(msg) from e
