"""What both judges take a path for, held against what a real Envoy does, sign by sign."""

import socket
from pathlib import Path
from typing import Final

import pytest

from real_envoy.certificates import Authority
from real_envoy.listeners import NORMALIZATION, PATH_AS_READ, Port
from real_envoy.probes import PATHS, PATIENCE
from real_envoy.proxy import executable, free_ports, running
from real_envoy.worlds import World
from ringfence.layer7 import istio_paths
from ringfence.reference import istio_paths as literal_paths

ODD: Final = (
    *("/a/..;/b", "/a/.;x/b", "/a/..;x=1", "/a/...;/b", "/a/%2e%2e;/b", "/a/..%3b/b", "/..;/b"),
    *("/a/..;\\b", "//a//..;/b", "/a/..x;/b", "/a;/../b", "/a/;/b", "/a/.%2e;z/b", "/a/..;..;/b"),
    *("//", "///", "//..//x", "/.%2f/", "/a/..%2fb", "/a%2f..%2f..%2fb", "/a%5c..%5cb", "/%5c%2f"),
    *("/a/.", "/a/..", "/a/./", "/a/%2e%2E", "/.a/..b/", "/%252e%252e/", "/a/b/../../..//c"),
    *(
        "/a?b/../c",
        "/a?b\\c",
        "/a/..?x=/../",
        "/%",
        "/a%2",
        "/a%%41",
        "/%e2%82%ac",
        "/\\",
        "/a\\\\b",
    ),
)


@pytest.mark.parametrize("setting", NORMALIZATION)
def test_paths_are_read_as_envoy_does(setting: str, tmp_path: Path) -> None:
    executable()
    made = World(setting, {"http": free_ports(1)[0]}, normalization=setting)
    made.add("everything", [])
    authority = Authority(tmp_path / "mesh")
    certificate = authority.issue("cluster.local/ns/shop/sa/api")
    port = made.port(made.cases[0], "http")
    signs = [f"/a{chr(number)}b" for number in range(0x21, 0x7F)]
    escapes = [f"/a%{number:02x}b" for number in range(256)]
    capitals = [escape.upper() for escape in escapes]
    paths = [*signs, *escapes, *capitals, *PATHS, *ODD]
    with running(made.listeners(authority.path, certificate), tmp_path):
        found = {path: as_read(path, port) for path in paths}
    read = {path: said.split("?")[0] for path, said in found.items() if said is not None}
    assert len(read) > len(found) - 10
    assert read == {path: literal_paths.normalised(path, setting) for path in read}
    assert read == {path: istio_paths.normalised(path, setting) for path in read}


def as_read(path: str, port: Port) -> str | None:
    """Return what Envoy takes a path for; None: for none."""
    with socket.create_connection((port.address, port.number), PATIENCE) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: other\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = connection.recv(65536)
            assert more, path
            answer += more
    status, *lines = answer.decode().split("\r\n")
    if status.split(" ")[1] == "400":
        return None
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    return headers[PATH_AS_READ]
