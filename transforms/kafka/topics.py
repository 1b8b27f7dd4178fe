"""Which topics a source reads: names, or a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

_INTERNAL: Final = "__"
_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}")


class TopicSelection(NamedTuple):
    """Topics by name, or all whose names a regular expression matches.

    Attributes:
        names: Names.
        pattern: A regular expression that starts with `^`; empty for none.
        excluded: Topics that are never read, whatever the pattern matches.
    """

    names: tuple[str, ...] = ()
    pattern: str = ""
    excluded: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, excluded: Iterable[str] = ()) -> TopicSelection:
        """Returns what `a`, `a,b` or `^a.*` selects.

        As in librdkafka, a leading `^` makes a pattern, which has to match the start of a name.

        Raises:
            ValueError: A name is empty, two are the same, or the pattern is no regular expression.
        """
        if text.startswith("^"):
            try:
                re.compile(text)
            except re.error as e:
                msg = f"the topic pattern {text!r} is no regular expression: {e}"
                raise ValueError(msg) from e
            return cls((), text, tuple(excluded))
        names = tuple(name.strip() for name in text.split(","))
        if not all(names) or len(set(names)) < len(names) or any("^" in name for name in names):
            msg = (
                f"{text!r} selects no topics, expected a name, different names separated by commas,"
                " or one pattern that starts with ^"
            )
            raise ValueError(msg)
        for name in names:
            if not _NAME.fullmatch(name):
                msg = (
                    f"{name!r} is no topic name, which has letters, digits, '.', '_' and '-'; a"
                    " pattern starts with ^"
                )
                raise ValueError(msg)
        return cls(names)

    def of(self, existing: Iterable[str]) -> list[str]:
        """Returns the selected ones of the topics that exist, in order of their names.

        A pattern matches no topic of Kafka's own, such as `__consumer_offsets`.
        """
        existing = set(existing)
        found = existing & set(self.names)
        if self.pattern:
            matches = re.compile(self.pattern).match
            others = existing - set(self.excluded)
            found |= {name for name in others if matches(name) and not name.startswith(_INTERNAL)}
        return sorted(found)
