"""How an agent's process logs: one line an event on standard error, JSON when nobody watches; no element text ever."""

import logging
import sys

import structlog


def configure_logging() -> None:
    """Send structlog to standard error."""
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # as it is when a line is written
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


__all__ = ["configure_logging"]
