"""The gateway as a process: ``python -m broker.gateway.process ZONE PORT``; started by the supervisor."""

import asyncio
import os
import ssl
import sys
from pathlib import Path
from typing import Final

import httpx
import structlog
import uvicorn

from broker.applied import applied_zone
from broker.gateway.delivery import Delivery
from broker.gateway.gateway import Gateway
from broker.gateway.http import Front, TlsProtocol
from broker.gateway.link import Link
from broker.gateway.push import Patience
from broker.gateway.state import State, certificate_files
from broker.gateway.threads import Aside
from broker.logs import configure_logging
from broker.protocol.errors import ZoneError
from broker.protocol.topology import BROKER_LOGIN
from broker.settings import Zone
from broker.storage import open_store
from broker.supervisor import gateway_ready_file, read_url
from broker.tls import client_context, server_context
from broker.transports.amqp import AmqpSettings, AmqpTransport
from broker.worker_process import settle_memory

log = structlog.get_logger(__name__)

PREFETCH: Final = 20
"""Messages of each queue that are held here and not acknowledged; the rest stays with RabbitMQ."""
_KEEP_ALIVE: Final = 75
"""Seconds that a connection may idle: agents poll every half minute or so."""
_CONNECTIONS: Final = 1_000
_WATCH_SECONDS: Final = 0.1


async def serve(zone: Zone, port: int) -> None:
    """Serve until SIGTERM."""
    settings = zone.settings.gateway
    patience = Patience(
        shortest=settings.push_retry_first.total_seconds(),
        longest=settings.push_retry_longest.total_seconds(),
        timeout=settings.push_timeout.total_seconds(),
    )
    amqp = AmqpSettings(url=read_url(zone.credentials(BROKER_LOGIN)), name=f"{zone.id} gateway", prefetch=PREFETCH)
    reads, writes = Aside(), Aside()
    authority = (zone.folder / settings.ca).resolve() if settings.ca else None
    pushing = client_context(authority)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=_CONNECTIONS)
    with open_store(zone.database_url, zone.key_file) as store:
        state = State(zone, store.live())
        delivery = Delivery(store, reads, writes)
        link = Link(AmqpTransport(amqp), delivery.received, delivery.lost)
        delivery.link = link
        async with httpx.AsyncClient(
            verify=pushing, limits=limits, timeout=patience.timeout, trust_env=False
        ) as client:
            link.declare(state.topology())
            gateway = Gateway(state, store, link, delivery, client, patience)
            try:
                await _serve(Front(gateway, state), zone, state, port)
            finally:
                await gateway.close()
                await link.close()
                reads.close()
                writes.close()


async def _serve(app: Front, zone: Zone, state: State, port: int) -> None:
    files = certificate_files(zone)
    host = zone.settings.gateway.host

    def context(_config: object, _default: object) -> ssl.SSLContext:
        assert files is not None  # noqa: S101  # only asked for where there are some
        return server_context(*files, state.credentials.trusted, client_certificates=True)

    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=TlsProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=5,
        ssl_context_factory=context if files is not None else None,
    )
    server = uvicorn.Server(config)
    watch = asyncio.get_running_loop().create_task(_tell_and_watch(server, state, port))
    try:
        await server.serve()
    finally:
        watch.cancel()


async def _tell_and_watch(server: uvicorn.Server, state: State, port: int) -> None:
    """Say when the gateway listens, and by which settings; stop it when the process that started it is gone."""
    parent, told = os.getppid(), ""
    while not server.started:
        await asyncio.sleep(_WATCH_SECONDS)
    log.info("gateway_listens", port=port)
    while os.getppid() == parent:
        if state.zone.snapshot != told:
            told = state.zone.snapshot
            if server.config.ssl is not None:
                for file in state.credentials.trusted:  # what is trusted no more, no credential names
                    server.config.ssl.load_verify_locations(file)
            gateway_ready_file(state.zone).write_text(told, encoding="utf-8")
        await asyncio.sleep(_WATCH_SECONDS)
    server.should_exit = True


def main() -> int:
    """Run the gateway named on the command line; exit code 0 when stopped, 1 when it could not go on."""
    folder, port = sys.argv[1:]
    configure_logging(process="gateway")
    settle_memory()
    try:
        asyncio.run(serve(applied_zone(Path(folder)), int(port)))
    except ZoneError as error:
        log.error("gateway_stopped", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
