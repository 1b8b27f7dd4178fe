import argparse

import pytest

from beam_pipeline.port_flag import port_number


@pytest.mark.parametrize("text", ["0", "8081", "65535"])
def test_a_port_is_a_number(text: str) -> None:
    assert port_number(text) == int(text)


@pytest.mark.parametrize("text", ["65536", "-1", "web", "", "²", "1e3"])
def test_what_is_no_port_is_said_to_be_none(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"invalid port .* from 0 to 65535"):
        port_number(text)
