"""Renders the templates, with the static files that pages need.

`static/uPlot.*` is uPlot 1.6.32 (MIT) as published on npm; everything else there is ours.
"""

from __future__ import annotations

import math
from importlib import resources
from typing import Any, Final

import jinja2
from markupsafe import Markup

_STATIC: Final = resources.files("beam_pipeline.web") / "static"
_NONE: Final = "\N{EN DASH}"


def asset(name: str) -> str:
    """Returns the text of a file in `static/`."""
    return (_STATIC / name).read_text(encoding="utf-8")


def render(template: str, **values: Any) -> str:
    """Fills a template of `templates/`; all values are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("beam_pipeline.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, percent=percent)
    # Our own static files need no escaping.
    environment.globals["asset"] = lambda name: Markup(asset(name))
    return environment.get_template(template).render(**values)


def number(value: float, digits: int = 0) -> str:
    """Formats a number; a dash for NaN."""
    return _NONE if math.isnan(value) else f"{value:,.{digits}f}"


def percent(value: float) -> str:
    """Formats a share of 1 as a percentage; a dash for NaN."""
    return _NONE if math.isnan(value) else f"{100 * value:.1f}\N{NO-BREAK SPACE}%"
