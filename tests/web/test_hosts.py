"""Which names of a server are its own."""

from __future__ import annotations

import socket

from headfit.web.hosts import Hosts, is_loopback, is_name


def test_only_loopback_is_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "::1", "localhost", "127.1.2.3")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.1", "example.org", "")))


def test_the_port_of_http_is_left_out_by_clients() -> None:
    hosts = Hosts.of("0.0.0.0")
    assert not hosts.accepts("localhost", 8000)
    known = ("localhost", "localhost:80", "[::1]", "192.168.0.1")
    assert all(hosts.accepts(each, 80) for each in known)
    foreign = ("localhost:", "localhost:8", "evil.example", "", "::1")
    assert not any(hosts.accepts(each, 80) for each in foreign)


def test_every_name_of_the_machine_is_known_where_all_may_ask() -> None:
    hosts = Hosts.of("0.0.0.0")
    for name in (socket.gethostname(), socket.getfqdn(), "10.0.0.1", "[::1]"):
        assert hosts.accepts(f"{name.upper()}:8000", 8000), name
    assert hosts.url(8000) == "http://127.0.0.1:8000"


def test_addresses_of_other_machines_are_foreign_on_loopback() -> None:
    hosts = Hosts.of("::1")
    assert hosts.url(8000) == "http://[::1]:8000"
    assert hosts.accepts("127.0.0.1:8000", 8000)
    assert not hosts.accepts("10.0.0.1:8000", 8000)


def test_other_names_and_ports_can_be_added() -> None:
    hosts = Hosts.of("0.0.0.0", ["Photos.example"], ports=True)
    assert hosts.accepts("photos.example", 8000) and hosts.accepts("localhost:9000", 8000)
    assert not hosts.accepts("evil.photos.example", 8000)


def test_names_have_no_port_and_no_path() -> None:
    assert all(map(is_name, ("localhost", "a.b-c.example", "10.0.0.1", "::1", "web_1")))
    assert not any(map(is_name, ("", "a:80", "a/b", "*", "-a", "a b", "http://a")))
