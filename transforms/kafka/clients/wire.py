"""Kafka's protocol over one socket, for questions that no client asks."""

from __future__ import annotations

import socket
import time
from typing import Any, Final

from kafka.protocol.parser import KafkaProtocol

_FRAME_BYTES: Final = 1 << 20


class Wire:
    """Questions and answers, one at a time.

    Args:
        connection: To a broker.
        deadline: When an answer has to be there, on the clock of `time.monotonic`.
    """

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._protocol = KafkaProtocol(
            client_id="flurs-beam", receive_message_max_bytes=_FRAME_BYTES
        )

    def ask(self, question: Any) -> Any:
        """Returns the answer to a request of kafka-python.

        Raises:
            OSError: The connection was closed, or no answer came in time.
            KafkaError: The answer is not of Kafka's protocol.
        """
        self._protocol.send_request(question)
        self._connection.sendall(self._protocol.send_bytes())
        while True:
            self._connection.settimeout(max(0.1, self._deadline - time.monotonic()))
            data = self._connection.recv(1 << 16)
            if not data:
                msg = "closed"
                raise ConnectionResetError(msg)
            for _, answer in self._protocol.receive_bytes(data):
                return answer
