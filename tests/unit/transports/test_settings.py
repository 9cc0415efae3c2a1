"""Settings of the transport over RabbitMQ: what cannot work is refused, and no password is shown."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from broker.protocol.errors import ConfigurationError
from broker.transports import AmqpSettings, AmqpTransport

URL = "amqp://tester:made-up-secret@127.0.0.1:5672/zone"


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://tester:made-up-secret@127.0.0.1"},
        {"prefetch": 0},
        {"prefetch": 5001},
        {"heartbeat": timedelta(0)},
        {"publish_deadline": timedelta(0)},
        {"ca_file": Path("ca.pem")},
        {"prefetsch": 5},
    ],
    ids=["scheme", "no prefetch", "large prefetch", "no heartbeat", "no deadline", "authority without TLS", "unknown"],
)
def test_settings_that_cannot_work_are_refused_without_the_password(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as told:
        AmqpSettings.model_validate({"url": URL, **wrong})

    assert "made-up-secret" not in str(told.value)


def test_the_password_is_not_in_the_representation() -> None:
    assert "made-up-secret" not in repr(AmqpSettings(url=URL))


@pytest.mark.parametrize("url", ["amqp://tester:made-up-secret@127.0.0.1:port/zone", "amqp://127.0.0.1/?heartbeat=x"])
def test_an_address_that_cannot_be_read_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError, match="amqp://user:password") as told:
        AmqpTransport(AmqpSettings(url=url))

    assert "made-up-secret" not in str(told.value)


def test_a_missing_file_of_certificates_is_named(tmp_path: Path) -> None:
    settings = AmqpSettings(url=URL.replace("amqp:", "amqps:"), ca_file=tmp_path / "absent.pem")

    with pytest.raises(ConfigurationError, match="ca_file"):
        AmqpTransport(settings)
