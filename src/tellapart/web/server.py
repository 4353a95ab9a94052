"""Runs the service on a socket until it is told to stop; what runs then is finished."""

import asyncio
import errno
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fastapi import FastAPI
from uvicorn import Config, Server

from tellapart.errors import ConfigError, OutputError
from tellapart.translation import gettext as _
from tellapart.web.connections import limited_protocol
from tellapart.web.request_log import LogHandler, RequestLog
from tellapart.web.serve_config import TOKEN_VARIABLE, ServeConfig, ServeLimits
from tellapart.web.service import create_app
from tellapart.web.service_metrics import ServiceMetrics

# For requests that run when the server is stopped.
_STOP_SECONDS = 30
_BACKLOG = 1024


def listen(host: str, port: int, has_token: bool) -> socket.socket:
    """A socket that other programs can connect to; only those of this machine, unless a token keeps others out.

    Args:
        host: an address of this machine, or a name of one.
        port: 0 takes any that is free.
        has_token: whether clients must send a token.

    Raises:
        ConfigError: the host lets other machines in without a token, or does not exist here.
        OutputError: the port is taken, or needs more rights.
    """
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as exc:
        raise _unknown_host(host) from exc
    if not has_token and not ipaddress.ip_address(address[0]).is_loopback:
        raise ConfigError(
            _(
                "`host` {host!r} lets other machines in, so clients must send a token. Put one into the environment "
                "variable {variable}, or into a file and give its path as `token_file`."
            ).format(host=host, variable=TOKEN_VARIABLE),
            field="host",
            value=host,
        )
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        if exc.errno == errno.EADDRNOTAVAIL:
            raise _unknown_host(host) from exc
        message = (
            _("Port {port} of {host} is taken by another program. Give another `port`, or 0 for any that is free.")
            if exc.errno == errno.EADDRINUSE
            else _("Port {port} of {host} cannot be used: {reason}. Give another `port`, such as 8000.")
        )
        raise OutputError(message.format(port=port, host=host, reason=exc.strerror)) from exc
    return listener


def serve(
    models: Mapping[str, Path],
    listener: socket.socket,
    limits: ServeLimits = ServeLimits(),
    config: ServeConfig = ServeConfig(),
    log: RequestLog | None = None,
    on_start: Callable[["Server"], None] = lambda server: None,
) -> None:
    """Nothing; the models were served until `should_exit` of the server was set.

    Args:
        models: name to folder.
        listener: as `listen` gives it; closed at the end.
        limits, config, log: as for `create_app`.
        on_start: told the server before it answers.

    Raises:
        TellapartError: a model cannot be loaded.
    """
    log = log or RequestLog(None)
    app = create_app(models, limits, config, log)
    run_app(app, [listener], limits, app.state.service.metrics, log, on_start)


def run_app(
    app: FastAPI,
    listeners: Sequence[socket.socket],
    limits: ServeLimits,
    metrics: ServiceMetrics,
    log: RequestLog,
    on_start: Callable[["Server"], None],
) -> None:
    """Nothing; the app has answered on the sockets until `should_exit` of the server was set.

    Args:
        app: with its lifespan.
        listeners: as `listen` gives them; closed at the end.
        limits: of connections.
        metrics: where refused connections are counted.
        log: where uvicorn and asyncio write.
        on_start: told the server before it answers.
    """
    settings = Config(
        app,
        http=limited_protocol(limits, metrics),
        ws="none",
        lifespan="on",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    server = _Server(settings)
    on_start(server)
    with ExitStack() as stack:
        for listener in listeners:
            stack.enter_context(listener)
        stack.enter_context(_library_log(log))
        asyncio.run(server.serve(list(listeners)))


class _Server(Server):
    """uvicorn's server, which leaves the signals of the process alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured: whoever runs the server sets `should_exit`."""
        yield


@contextmanager
def _library_log(log: RequestLog) -> Iterator[None]:
    """What uvicorn and asyncio say is part of the log while the block runs, and is printed nowhere else."""
    handler = LogHandler(log)
    loggers = [logging.getLogger(name) for name in ("uvicorn", "asyncio")]
    earlier = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, earlier, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate


def _unknown_host(host: str) -> ConfigError:
    message = _("`host` {host!r} is no address of this machine. Give 127.0.0.1, or 0.0.0.0 for all its addresses.")
    return ConfigError(message.format(host=host), field="host", value=host)
