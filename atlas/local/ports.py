"""Checks that a port of this machine is free to listen on."""

import socket

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from schema.errors import InputError

HOST = "127.0.0.1"
"""The loopback address: only programs on this machine can connect."""


def require_free_port(
    port: int, user: str, option: str, *, host: str = HOST, patience_s: float = 0.0
) -> None:
    """Check that a server can listen on a port.

    user: what will listen there, for the error message; option: the command-line option that chooses another
    port; patience_s: for how many seconds a taken port is tried again. Raises InputError.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(OSError),
        stop=stop_after_delay(patience_s),
        wait=wait_fixed(0.2),
        reraise=True,
    )
    try:
        retrying(_listen_once, host, port)
    except OSError as error:
        raise InputError(
            f"{user} cannot listen on {host}:{port}: {error.strerror}",
            next_step=f"stop the program that uses the port, or choose another one, for example "
            f"{option} {port + 1}",
        ) from error


def _listen_once(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
