from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transforms.formats.records import Header
from transforms.kafka.clients.protocols import Records
from transforms.kafka.record_buffer import RECORD_BYTES, RecordBuffer

VALUES = st.one_of(st.none(), st.binary(max_size=50))
HEADERS = (Header("name", b"value"),)


@given(
    st.lists(st.lists(VALUES, min_size=1, max_size=20), max_size=10),
    st.lists(st.integers(1, 30), min_size=1, max_size=200),
)
def test_what_goes_in_comes_out_in_order_and_its_bytes_are_counted(
    chunks: list[list[bytes | None]], limits: list[int]
) -> None:
    """Each value is also the key, and a record with a value has a header."""

    def bytes_of(values: list[bytes | None]) -> int:
        headers = sum(RECORD_BYTES + len("namevalue") for value in values if value)
        return headers + sum(RECORD_BYTES + 2 * len(value or b"") for value in values)

    buffer = RecordBuffer()
    offset = 0
    for values in chunks:
        offsets = list(range(offset, offset + len(values)))
        headers = [HEADERS if value else () for value in values]
        records = Records(offsets, list(values), list(offsets), list(values), list(headers))
        assert buffer.append(records) == bytes_of(values)
        offset += len(values)
    every = [value for values in chunks for value in values]
    assert buffer.bytes == bytes_of(every)
    at = 0
    for limit in limits:
        if not buffer:
            break
        taken = buffer.take(limit)
        assert 1 <= len(taken.offsets) <= limit
        assert taken.offsets == taken.timestamps == list(range(at, at + len(taken.offsets)))
        assert taken.values == taken.keys == every[at : at + len(taken.offsets)]
        assert taken.headers == [HEADERS if value else () for value in taken.values]
        at += len(taken.offsets)
        assert buffer.bytes >= RECORD_BYTES * (len(every) - at)
        assert bool(buffer) == (at < len(every))
    if at == len(every):
        assert buffer.bytes == 0
