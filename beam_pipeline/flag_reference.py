"""Prints docs/flags.md, the reference of all flags, from the options themselves.

python -m beam_pipeline.flag_reference > docs/flags.md
"""

from __future__ import annotations

import argparse
from typing import Final

from beam_pipeline.options import OURS

_HEAD: Final = """\
# Flags

What `python -m beam_pipeline` takes besides Beam's own options, which `--help` shows, too. This
page is generated: `python -m beam_pipeline.flag_reference > docs/flags.md`.
"""


def reference() -> str:
    """Returns the page: a table for each group of options."""
    parts = [_HEAD]
    for options in OURS:
        parser = argparse.ArgumentParser(add_help=False)
        options._add_argparse_args(parser)
        group = parser._action_groups[-1]
        rows = [_row(action) for action in group._group_actions]
        parts.append(f"## {str(group.title)[:1].upper()}{str(group.title)[1:]}\n")
        parts.append("| flag | meaning |\n|---|---|\n" + "".join(rows))
    return "\n".join(parts)


def _row(action: argparse.Action) -> str:
    flag = action.option_strings[0]
    if action.choices:
        flag = f"{flag} {'|'.join(map(str, action.choices))}"
    elif action.nargs != 0:
        flag = f"{flag} {action.metavar}"
    text = str(action.help)
    escaped = (part.replace("|", "\\|") for part in (flag, text[:1].upper() + text[1:]))
    return "| `{}` | {} |\n".format(*escaped)


if __name__ == "__main__":
    print(reference(), end="")
