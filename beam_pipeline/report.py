"""Writes a page that shows how good models are, from what `--evaluation` wrote.

python -m beam_pipeline.report RUN.jsonl [RUN.jsonl ...] --output report.html
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from beam_pipeline.failures import one_line
from beam_pipeline.usage import Parser, UsageError
from beam_pipeline.web.report_page import page_of
from beam_pipeline.web.runs import compare
from beam_pipeline.web.titles import read_titles
from transforms.errors import MalformedRecordError, UnsupportedFormatError


def _parser() -> Parser:
    parser = Parser(prog="python -m beam_pipeline.report", description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="file that --evaluation wrote")
    parser.add_argument("--output", default="report.html", metavar="PATH", help="the page")
    parser.add_argument(
        "--warm_up", type=float, default=0.0, metavar="SHARE", help="of the tests, not counted"
    )
    parser.add_argument(
        "--window", type=int, default=5000, metavar="N", help="how many tests are recent"
    )
    parser.add_argument("--top_n", type=int, default=10, metavar="N", help="length of the lists")
    parser.add_argument(
        "--titles", metavar="FILE", help="items and titles: u.item, movies.csv, a CSV or TSV"
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Writes the page that the command line asks for; returns the exit code."""
    try:
        arguments = _parser().parse_args(argv)
        if not 0 <= arguments.warm_up < 1:
            msg = f"--warm_up is {arguments.warm_up}, expected a share from 0 to below 1"
            raise UsageError(msg)
        if arguments.window < 1 or arguments.top_n < 1:
            msg = "--window and --top_n must be 1 or more"
            raise UsageError(msg)
        if Path(arguments.output).resolve() in {Path(run).resolve() for run in arguments.runs}:
            msg = f"--output {arguments.output} is one of the runs"
            raise UsageError(msg)
        titles = read_titles(arguments.titles) if arguments.titles else {}
        comparison = compare(
            arguments.runs,
            warm_up=arguments.warm_up,
            window=arguments.window,
            top_n=arguments.top_n,
        )
        page = page_of(comparison, titles, window=arguments.window, top_n=arguments.top_n)
        Path(arguments.output).write_text(page, encoding="utf-8")
    except UsageError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except (MalformedRecordError, UnsupportedFormatError, OSError) as e:
        print(f"error: {one_line(e)}", file=sys.stderr)
        return 1
    print(f"wrote {arguments.output}: {comparison.tests:,} tests", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
