from __future__ import annotations

import re

from beam_pipeline.flag_reference import reference
from beam_pipeline.options import our_flags
from tests.support import ROOT


def test_the_page_is_what_the_options_say() -> None:
    page = (ROOT / "docs" / "flags.md").read_text(encoding="utf-8")
    assert page == reference(), "run python -m beam_pipeline.flag_reference > docs/flags.md"


def test_it_has_every_flag_once() -> None:
    rows = re.findall(r"^\| `(--\w+)", reference(), flags=re.MULTILINE)
    assert sorted(rows) == sorted(our_flags())
