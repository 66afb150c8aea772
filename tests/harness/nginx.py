"""The balancer of deploy/ as a local process: its own nginx.conf, with loopback ports in place of service names."""

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.harness.processes import Server, free_port, http_server

CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "nginx" / "nginx.conf"


class NginxMissing(AssertionError):
    def __init__(self) -> None:
        super().__init__("No nginx on PATH: install it (apt-get install nginx), or leave out: pytest -m 'not nginx'.")


def nginx_command() -> str:
    """Raises NginxMissing."""
    if found := shutil.which("nginx", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"):
        return found
    raise NginxMissing


@asynccontextmanager
async def balancer(directory: Path, replica_ports: Sequence[int]) -> AsyncIterator[Server]:
    """nginx on a free loopback port in front of replicas that are ready."""
    port = free_port()
    conf = write_configuration(directory / "conf", port, replica_ports)
    own = f"daemon off; pid {directory}/nginx.pid;" + ("user root;" if os.geteuid() == 0 else "")
    command: list[str | Path] = [nginx_command(), "-p", directory, "-c", conf, "-g", own]
    async with http_server(command, port=port, ready_path="/readyz", directory=directory) as server:
        yield server


def write_configuration(folder: Path, port: int, replica_ports: Sequence[int]) -> Path:
    """The shipped nginx.conf, unchanged, beside a listen.conf and an upstream.conf for this machine."""
    folder.mkdir(parents=True)
    servers = "".join(f"server 127.0.0.1:{replica} max_fails=1 fail_timeout=2s;\n" for replica in replica_ports)
    (folder / "listen.conf").write_text(f"listen 127.0.0.1:{port};\n")
    (folder / "upstream.conf").write_text(servers)
    return Path(shutil.copy(CONFIGURATION, folder / "nginx.conf"))
