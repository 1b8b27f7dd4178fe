"""The program: ratings in, each user's top-N out. `python -m beam_pipeline --help`."""

import logging


def _is_news(record: logging.LogRecord) -> bool:
    return "apitools not found" not in record.getMessage()


# Beam says this while it is imported, so the filter has to stand here; nobody here needs it.
logging.getLogger().addFilter(_is_news)
