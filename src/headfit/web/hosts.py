"""The names under which a server may be asked, so that no other website can read along."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
_HOST = re.compile(r"(\[[^\]]*\]|[^:\[\]]+)(?::([0-9]+))?")
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")


@dataclass(frozen=True)
class Hosts:
    """The values of the header ``Host`` that a server accepts.

    A page of another website can make a browser send requests to a name that it owns and that
    leads here (DNS rebinding). Its name is in this header, and not among these.

    Attributes:
        host: the address that the server listens on.
        names: names of the server, in lower case.
        addresses: whether any IP address is accepted, too: no website owns one.
        ports: whether any port is accepted, because another may lead to ours.
    """

    host: str
    names: frozenset[str]
    addresses: bool = False
    ports: bool = False

    @classmethod
    def of(cls, host: str, more: Iterable[str] = (), *, ports: bool = False) -> Hosts:
        """List the names of a server that listens on an address.

        Args:
            host: the address. Beyond this machine, the names of the machine and all IP addresses
                count as its names.
            more: other names, without a port.
            ports: whether to accept any port.

        Example:

        >>> Hosts.of("127.0.0.1").accepts("localhost:8000", 8000)
        True
        >>> Hosts.of("127.0.0.1").accepts("example.org:8000", 8000)
        False
        """
        names = {"localhost", host.lower(), *(name.lower() for name in more)}
        if is_loopback(host):
            return cls(host, frozenset(names | {LOOPBACK, "::1"}), ports=ports)
        # asks the name service, which may take a while: once
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        return cls(host, frozenset(names), addresses=True, ports=ports)

    def accepts(self, header: str, port: int) -> bool:
        """Say whether a ``Host`` header names this server.

        Args:
            header: its value.
            port: that the request came to.
        """
        match = _HOST.fullmatch(header)
        # clients leave out the default port of HTTP
        if match is None or not (self.ports or (match[2] or "80") == str(port)):
            return False
        name = match[1].lower().strip("[]")
        return name in self.names or (self.addresses and is_ip(name))

    def url(self, port: int) -> str:
        """Write an address of the server that opens on this machine, without a path."""
        shown = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    if host.lower() == "localhost":
        return True
    return is_ip(host) and ipaddress.ip_address(host).is_loopback


def is_ip(name: str) -> bool:
    """Say whether this is an IP address, of either version."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_name(name: str) -> bool:
    """Say whether this can be the name of a host, without a port."""
    return _NAME.fullmatch(name) is not None or is_ip(name)
