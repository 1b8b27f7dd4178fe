"""Framed records to trees, with the schemas that they name: each fetched once, failures bounded."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from cachetools import TTLCache

from transforms.errors import MalformedRecordError
from transforms.formats.detection import CONFLUENT_MAGIC
from transforms.schema_registry.client import (
    NotFoundError,
    RegistryAwayError,
    RegistryClient,
    RequestFailedError,
)
from transforms.schema_registry.settings import SchemaRegistrySettings
from transforms.schema_registry.writer_schemas import FRAME_LENGTH, Decode, decoder_of

REFUSED_SECONDS: Final = 60.0
"""How long a schema that could not be had is not asked for again."""
MAX_REFUSED: Final = 100
"""So many ids may be refused at a time; further ones are not even asked for, as they are noise."""
AWAY_SECONDS: Final = 10.0
"""How long a registry that was given up is left alone; then it is asked once."""
UNKNOWN_SECONDS: Final = 2.0
"""How long an id is asked for that the registry does not know: its replicas may lag behind."""
_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 5.0


class RegistryDecoder:
    """Decodes records in Confluent's framing; one for each registry and process. Thread-safe.

    A schema that is known needs no registry. For one that is not, a registry that is away is
    asked again with growing pauses for `retry_seconds`; after that, records are refused at once
    and the registry is asked every `AWAY_SECONDS`, once, until it answers.

    Args:
        settings: Of the registry.
        client: Asks it.
        clock: Gives seconds.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        settings: SchemaRegistrySettings,
        client: RegistryClient,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._retry_seconds = settings.retry_seconds
        self._client = client
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._decoders: dict[bytes, Decode] = {}
        self._refused: TTLCache[bytes, str] = TTLCache(MAX_REFUSED, REFUSED_SECONDS, clock)
        self._away = ""
        self._ask_at = 0.0

    def decode(self, value: bytes) -> Any:
        """Returns a record's tree.

        Raises:
            MalformedRecordError: It is not framed, its schema cannot be had, or it does not fit
                its schema.
        """
        frame = value[:FRAME_LENGTH]
        decode = self._decoders.get(frame)
        if decode is None:
            if len(frame) < FRAME_LENGTH or not frame.startswith(CONFLUENT_MAGIC):
                msg = (
                    "not in Confluent's framing: it does not start with the byte 0 and a"
                    " schema's id"
                )
                raise MalformedRecordError(msg)
            decode = self._look_up(frame)
        return decode(value)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _look_up(self, frame: bytes) -> Decode:
        schema_id = int.from_bytes(frame[1:], "big")
        with self._lock:
            # Another thread may have asked for it meanwhile.
            found = self._decoders.get(frame)
            if found is None:
                found = self._decoders[frame] = self._ask(frame, schema_id)
            return found

    def _ask(self, frame: bytes, schema_id: int) -> Decode:
        """Asks for a schema, unless it has been refused lately.

        Raises:
            MalformedRecordError: It cannot be had.
        """
        reason = self._refused.get(frame, "")
        if not reason and self._clock() < self._ask_at:
            reason = self._away
        elif not reason and len(self._refused) >= MAX_REFUSED:
            reason = f"not asked for, as {MAX_REFUSED} other schemas could not be had lately"
        if not reason:
            try:
                return decoder_of(self._fetched(schema_id))
            except RegistryAwayError as e:
                reason = str(e)
            except (RequestFailedError, ValueError) as e:
                reason = self._refused[frame] = str(e)
        msg = f"schema {schema_id}: {reason}"
        raise MalformedRecordError(msg)

    def _fetched(self, schema_id: int) -> Any:
        start = self._clock()
        wait = _FIRST_WAIT
        # After it was given up, each try would keep the job for so long.
        patience = 0.0 if self._away else self._retry_seconds
        while True:
            try:
                schema = self._client.schema(schema_id)
            except (RegistryAwayError, NotFoundError) as e:
                away = isinstance(e, RegistryAwayError)
                bound = patience if away else min(UNKNOWN_SECONDS, patience)
                if self._clock() + wait - start > bound:
                    self._away = str(e) if away else ""
                    self._ask_at = self._clock() + AWAY_SECONDS if away else 0.0
                    raise
            else:
                self._away = ""
                return schema
            self._sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, _LONGEST_WAIT)
