"""The files and folders that a run writes: refused before it starts if that cannot be."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

from beam_pipeline.options import (
    EvaluationOptions,
    InputOptions,
    ModelOptions,
    OutputOptions,
)
from beam_pipeline.settings import Settings
from beam_pipeline.usage import UsageError
from transforms.file_reader import match_files
from transforms.write_files import STDOUT, is_remote, start_file


def start_outputs(settings: Settings, output_format: str, *, appends: bool) -> None:
    """Empties the files that the run writes, unless it appends to those of an earlier run.

    Args:
        settings: Of the run.
        output_format: Of the recommendations.
        appends: Whether the run continues an earlier one.

    Raises:
        UsageError: A file is named twice, or is a file of the input.
        OSError: A file or the folder for the model cannot be written; the text names the flag.
    """
    output = settings.beam.view_as(OutputOptions)
    named = {
        "output": "" if settings.output == STDOUT else settings.output,
        "dead_letters": output.dead_letters or "",
        "evaluation": settings.beam.view_as(EvaluationOptions).evaluation or "",
        "summary": output.summary or "",
    }
    written = {flag: path for flag, path in named.items() if path}
    _require_distinct(settings, list(written.values()))
    export = settings.beam.view_as(ModelOptions).export_model or ""
    if export and "://" not in export and settings.runs_here:
        with _naming("export_model", export):
            _require_folder(export)
    for flag, path in written.items():
        with _naming(flag, path):
            start_file(
                path,
                output_format if flag == "output" else "json",
                keep=appends and flag != "summary",
            )


def _require_distinct(settings: Settings, written: list[str]) -> None:
    requests = settings.beam.view_as(InputOptions).requests
    read = (settings.input, requests)
    inputs = [path for pattern in read if pattern for path in match_files(pattern)[0]]
    taken = {os.path.realpath(path) for path in inputs}
    for path in written:
        if is_remote(path):
            continue
        if os.path.realpath(path) in taken:
            msg = f"{path} is to be written, and is also the input or another output"
            raise UsageError(msg)
        taken.add(os.path.realpath(path))


def _require_folder(path: str) -> None:
    os.makedirs(path, exist_ok=True)
    with tempfile.TemporaryFile(dir=path):
        pass


@contextlib.contextmanager
def _naming(flag: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        msg = f"cannot write --{flag} {path}: {e.strerror or e}"
        raise OSError(msg) from e
