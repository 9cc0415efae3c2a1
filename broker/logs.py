"""How the zone's processes log: one line an event on standard error, JSON when nobody watches; no element text ever."""

import logging
import sys

import structlog


def configure_logging(process: str = "", level: int = logging.INFO) -> None:
    """Send structlog to standard error; *process* is bound to each line where given."""
    watched = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if watched else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    if process:
        structlog.contextvars.bind_contextvars(process=process)
