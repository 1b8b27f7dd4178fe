"""Options that only Beam's Flink job server declares, made known to the Python SDK.

The SDK asks the job server for its options when it submits, and passes them on. Before that it
warns of each flag that it does not know itself: "Discarding unparseable args".
"""

from __future__ import annotations

import argparse
from typing import Any, Final

from apache_beam.options.pipeline_options import PipelineOptions

_JOB_SERVER: Final[dict[type[Any], tuple[str, ...]]] = {
    bool: (
        "allow_non_restored_state",
        "attached_mode",
        "auto_balance_write_files_sharding_enabled",
        "disable_metrics",
        "enable_heap_dumps",
        "enable_stable_input_drain",
        "externalized_checkpoints_enabled",
        "fail_on_checkpointing_errors",
        "faster_copy",
        "finish_bundle_before_checkpointing",
        "force_unaligned_checkpoint_enabled",
        "load_balance_bundles",
        "object_reuse",
        "re_iterable_group_by_key_result",
        "retain_externalized_checkpoints_on_cancellation",
        "unaligned_checkpoint_enabled",
        "use_data_stream_for_batch",
    ),
    int: (
        "auto_watermark_interval",
        "environment_expiration_millis",
        "execution_retry_delay",
        "file_input_split_max_size_m_b",
        "job_check_interval_in_secs",
        "latency_tracking_interval",
        "max_bundle_size",
        "num_concurrent_checkpoints",
        "number_of_execution_retries",
        "shutdown_sources_after_idle_ms",
    ),
    str: (
        "checkpointing_mode",
        "default_environment_config",
        "default_environment_type",
        "execution_mode_for_batch",
        "flink_conf_dir",
        "report_checkpoint_duration",
        "savepoint_path",
        "state_backend",
        "state_backend_factory",
        "state_backend_storage_path",
    ),
}


class FlinkJobServerOptions(PipelineOptions):
    """Options of Beam's Flink job server; what they mean is in Beam's documentation."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        for kind, names in _JOB_SERVER.items():
            for name in names:
                # A later SDK may declare one itself, and two declarations are an error.
                if f"--{name}" not in parser._option_string_actions:
                    parser.add_argument(f"--{name}", **_taking(kind))


def _taking(kind: type[Any]) -> dict[str, Any]:
    if kind is bool:
        return {"type": truth, "nargs": "?", "const": True, "metavar": "true|false"}
    return {"type": kind, "metavar": "N" if kind is int else "TEXT"}


def truth(text: str) -> bool:
    """Returns what `true` or `false` says.

    Raises:
        argparse.ArgumentTypeError: It is neither.
    """
    if text not in {"true", "false"}:
        msg = f"{text!r} is neither true nor false"
        raise argparse.ArgumentTypeError(msg)
    return text == "true"
