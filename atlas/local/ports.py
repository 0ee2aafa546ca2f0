"""Whether the ports that the local database wants are free."""

import socket
import time

from schema.errors import InputError

HOST = "127.0.0.1"
PORT_WAIT_S = 3.0


def check_ports(bolt_port: int, http_port: int) -> None:
    """Raise InputError when another program listens on one of them."""
    for port, name, option in ((bolt_port, "Bolt", "--bolt-port"), (http_port, "the console", "--http-port")):
        # A server that was just killed may hold its ports for a moment longer.
        end = time.monotonic() + PORT_WAIT_S
        while (trouble := _taken(port)) is not None:
            if time.monotonic() > end:
                raise InputError(
                    f"Port {port}, meant for {name}, is taken by another program",
                    next_step=f"choose another one: `atlas db start {option} {port + 1}`",
                ) from trouble
            time.sleep(0.2)


def _taken(port: int) -> OSError | None:
    """Why nothing can listen on the port; None when it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error
    return None
