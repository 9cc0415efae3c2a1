"""What the management client decides by itself, with no RabbitMQ."""

import socket

import pytest

from broker.rabbitmq import Management, ManagementError
from broker.rabbitmq.management import check_overview, password_hash

URL = "http://127.0.0.1:15672"


def overview(version: str) -> dict[str, object]:
    return {"rabbitmq_version": version}


def test_password_hash_is_the_one_of_rabbitmqs_documentation() -> None:
    assert password_hash("test12", bytes.fromhex("908DC60A")) == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"


def test_two_hashes_of_one_password_differ() -> None:
    assert password_hash("correct horse") != password_hash("correct horse")


@pytest.mark.parametrize("version", ["3.10.0", "3.13.7", "4.0.0-rc.1", "4.1.2+12.gabcdef"])
def test_server_from_3_10_on_is_accepted(version: str) -> None:
    assert check_overview(overview(version), URL) is None  # type: ignore[func-returns-value]  # it must not raise


def test_server_before_3_10_is_refused() -> None:
    with pytest.raises(ManagementError, match=r"RabbitMQ 3\.9\.29 .*install 3\.10 or later"):
        check_overview(overview("3.9.29"), URL)


def test_api_that_does_not_answer_is_named_with_the_command_that_enables_it() -> None:
    with socket.socket() as nobody:  # bound and not listening: every connection is refused
        nobody.bind(("127.0.0.1", 0))
        with (
            Management(f"http://127.0.0.1:{nobody.getsockname()[1]}", "zone.admin", "secret") as api,
            pytest.raises(ManagementError, match="rabbitmq-plugins enable rabbitmq_management") as refusal,
        ):
            api.version()
    assert "secret" not in str(refusal.value)
