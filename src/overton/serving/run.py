"""One server from its settings to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn

from overton.serving.app import create_app
from overton.serving.openrlhf import why_alone_is_wrong
from overton.serving.protocol import KEEP_ALIVE, PatientProtocol
from overton.serving.service import ScoringService
from overton.serving.settings import ServeError, ServeSettings, check_binding

log = logging.getLogger(__name__)

_LAST_WORDS = 2  # seconds to send refusals in


def serve(settings: ServeSettings, token: str | None = None) -> None:
    """Serve until a signal ends it: SIGTERM or SIGINT stop it gracefully, a second SIGINT at once.

    Args:
        settings: address, limits, times.
        token: asked for on every route but ``/health``.

    Raises:
        ServeError: the address needs a token or cannot be had, or the reward cannot be loaded.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("overton").setLevel(logging.INFO)
    check_binding(settings.host, token)
    with contextlib.closing(_bind(settings.host, settings.port)) as listener:
        asyncio.run(_serve(settings, token, listener))


async def _serve(settings: ServeSettings, token: str | None, listener: socket.socket) -> None:
    _allow_connections()
    service = ScoringService(settings)
    try:
        log.info("loading the reward ...")
        await service.start()
        if why := why_alone_is_wrong(service):
            log.warning("/get_reward is refused: %s", why)
        config = uvicorn.Config(
            create_app(service, token),
            log_config=None,
            access_log=False,  # one line an answer would be too many; /metrics counts them
            http=PatientProtocol,
            ws="none",
            lifespan="off",
            server_header=False,
            backlog=2048,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=int(settings.drain) + _LAST_WORDS,
        )
        listener.listen(config.backlog)  # from here a connection is kept until it is served
        host, port = listener.getsockname()[:2]
        log.info("http://%s:%s/score and /get_reward are ready", f"[{host}]" if ":" in host else host, port)
        await _Server(config, service).serve(sockets=[listener])
        log.info("stopped")
    finally:
        await service.stop()


class _Server(uvicorn.Server):
    """A server that tells the service when its end has come."""

    def __init__(self, config: uvicorn.Config, service: ScoringService) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests, and go on with what is here for a while."""
        self._service.finish()
        late = asyncio.get_running_loop().call_later(self._service.settings.drain, self._service.give_up)
        await super().shutdown(sockets)
        late.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals while it serves. Uvicorn's own raises them again afterwards, which would skip the clean-up."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _bind(host: str, port: int) -> socket.socket:
    """A socket at the address; it is bound before the reward is loaded, which takes longer."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ServeError(
            f"cannot listen at {host}:{port} ({error.strerror or error}); another port: --port NUMBER"
        ) from None
    return listener


def _allow_connections() -> None:
    """Each client holds a file descriptor, and the usual limit of 1024 is less than the samples of a training step."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
