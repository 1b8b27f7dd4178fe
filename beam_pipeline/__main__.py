"""Runs `beam_pipeline.cli`. What was defined here would be pickled as `__main__`'s."""

import sys

from beam_pipeline.cli import main

sys.exit(main(sys.argv[1:]))
