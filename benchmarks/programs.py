"""The programs that are compared, and the environment of each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from cluster.maven import CACHE

ROOT: Final = Path(__file__).resolve().parent.parent
LEARN: Final = "learn"
LIST: Final = "list"


class Program(NamedTuple):
    """A program under test.

    Attributes:
        module: Run as `python -m MODULE`.
        requirements: Of its own environment; empty for this one.
        arguments: By mode, a template with `{broker}`, `{source}` and `{target}`, or with
            `{path}`, `{target}` and `{count}`.
        kind: `topic`, from topic to topic; `file`, from file to file; or `memory`, which has
            no output and prints its own rate.
        flink: Whether it needs a Flink cluster of one slot.
        at_most: With more ratings it would take too long.
        crate: Folder of a Rust crate, whose binary is run in place of the module; empty for none.
    """

    module: str
    requirements: tuple[str, ...]
    arguments: Mapping[str, tuple[str, ...]]
    kind: str = "topic"
    flink: bool = False
    at_most: int = sys.maxsize
    crate: str = ""


_OURS: Final = (
    "apache-beam",
    "kafka-python",
    "confluent-kafka",
    "numba",
    "numpy",
    "orjson",
)
_FLURS: Final = ("flurs==0.0.5", "numpy==2.4.6", "orjson==3.13.0")


def _ours(*more: str, model: str = "mf", flink: bool = False) -> Program:
    flags = (
        *(() if flink else ("--runner=FnApiRunner",)),
        f"--model={model}",
        "--kafka_bootstrap_servers={broker}",
        "--kafka_group=bench-{target}",
        "--input_topic={source}",
        "--output_topic={target}",
        *more,
    )
    learn = (*flags, "--top_n=0", "--dead_letter_topic={target}")
    return Program("beam_pipeline", (), {LIST: flags, LEARN: learn}, flink=flink)


def _rival(module: str, *requirements: str) -> Program:
    topics = ("{broker}", "{source}", "{target}")
    return Program(
        f"benchmarks.rivals.{module}",
        (*_FLURS, *requirements),
        {mode: (*topics, mode) for mode in (LIST, LEARN)},
    )


def _in_memory(module: str, *requirements: str, at_most: int = sys.maxsize) -> Program:
    return Program(
        f"benchmarks.rivals.{module}",
        (*_FLURS, *requirements),
        {LIST: ("{path}", "{count}")},
        kind="memory",
        at_most=at_most,
    )


def _native() -> Program:
    topics = ("{broker}", "{source}", "{target}")
    arguments = {mode: (*topics, mode) for mode in (LIST, LEARN)}
    return Program("", (), arguments, crate="benchmarks/rivals/native")


_KAFKA_PYTHON: Final = "--kafka_client=kafka-python"
_LIBRDKAFKA: Final = "--kafka_client=librdkafka"
PROGRAMS: Final[dict[str, Program]] = {
    "ours, kafka-python": _ours(_KAFKA_PYTHON),
    "ours, librdkafka": _ours(_LIBRDKAFKA),
    "ours, Flink, kafka-python": _ours(_KAFKA_PYTHON, flink=True),
    "ours, Flink, librdkafka": _ours(_LIBRDKAFKA, flink=True),
    "ours, itemknn, librdkafka": _ours(_LIBRDKAFKA, model="itemknn"),
    "ours, itemknn, Flink, librdkafka": _ours(_LIBRDKAFKA, model="itemknn", flink=True),
    "Faust": _rival("faust_app", "faust-streaming==0.15.3", "setuptools<81", "uvloop==0.22.1"),
    "QuixStreams": _rival("quix_app", "quixstreams==3.28.1"),
    "Bytewax": _rival("bytewax_flow", "bytewax[kafka]==0.21.1"),
    "kafka-python loop": _rival("plain_loop", "kafka-python[crc32c]==3.0.12"),
    "librdkafka loop": _rival("librdkafka_loop", "confluent-kafka==2.16.1"),
    "native loop": _native(),
    "ours, file": Program(
        "beam_pipeline",
        (),
        {LIST: ("--runner=FnApiRunner", "--model=mf", "--input={path}", "--output={target}")},
        kind="file",
    ),
    "bare FluRS": _in_memory("bare_flurs"),
    "River": _in_memory("river_loop", "river==0.26.1", at_most=2000),
}


OURS_BY_TOPIC: Final = tuple(
    name
    for name, program in PROGRAMS.items()
    if program.module == "beam_pipeline" and program.kind == "topic"
)
"""Our programs that read from a topic and write to one."""


def is_available(name: str) -> bool:
    """Whether the program can be built here: a Rust crate needs cargo."""
    return not PROGRAMS[name].crate or shutil.which("cargo") is not None


def environment_of(name: str, program: Program) -> str:
    """Returns the interpreter of the program's environment, or its binary, made if missing."""
    if program.crate:
        target = CACHE / "benchmarks" / name.replace(" ", "-")
        manifest = ROOT / program.crate / "Cargo.toml"
        build = ["cargo", "build", "--release", "--quiet", f"--manifest-path={manifest}"]
        fastest = {**os.environ, "RUSTFLAGS": "-C target-cpu=native"}
        subprocess.run([*build, f"--target-dir={target}"], check=True, env=fastest)
        return str(target / "release" / "native-loop")
    if not program.requirements:
        return sys.executable
    folder = CACHE / "benchmarks" / name.replace(" ", "-")
    python = folder / "bin" / "python"
    done = folder / "installed"
    wanted = "\n".join(program.requirements)
    if not done.exists() or done.read_text(encoding="utf-8") != wanted:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *program.requirements], check=True)
        done.write_text(wanted, encoding="utf-8")
    return str(python)


def versions_of(name: str, program: Program) -> str:
    """Returns the versions of what the program is made of, as `name version, ...`."""
    if program.crate:
        done = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.strip()
    asked = [
        requirement.split("=")[0].split("[")[0].split("<")[0]
        for requirement in program.requirements or _OURS
    ]
    code = (
        "import sys, importlib.metadata as m;"
        "print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    )
    python = environment_of(name, program)
    found = subprocess.run(
        [python, "-c", code, *asked], stdout=subprocess.PIPE, text=True, check=True
    )
    return found.stdout.strip()
