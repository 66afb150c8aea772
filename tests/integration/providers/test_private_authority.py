"""A server whose certificate no public authority has signed."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from domain.clock import SystemClock
from domain.providers.errors import FailureKind
from domain.providers.events import Failed, ProviderEvent
from infra.providers.registry import InvalidProviders, build_providers
from infra.providers.settings import ProviderKind, ProviderSettings
from tests.harness.provider_calls import collected, request_for


def signed_by_itself(folder: Path, address: str) -> Path:
    """Certificate and key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / f"{address}.pem"
    file.write_bytes(certificate.public_bytes(pem) + private)
    return file


@asynccontextmanager
async def refusing_over_tls(certificate: Path) -> AsyncIterator[str]:
    """The address of a server that answers 429 to everything."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def called(url: str, ca_file: Path | None) -> list[ProviderEvent]:
    settings = ProviderSettings(
        kind=ProviderKind.OPENAI_CHAT,
        base_url=url,
        allow_private_network=True,
        ca_file=None if ca_file is None else str(ca_file),
    )
    async with build_providers({"own": settings}, {}, SystemClock()) as providers:
        return await collected(providers.for_provider("own"), request_for("gpt"))


@pytest.mark.parametrize(
    ("trusted", "address", "kind"),
    [
        (True, "127.0.0.1", FailureKind.RATE_LIMITED),
        (True, "127.0.0.2", FailureKind.UNREACHABLE),
        (False, "127.0.0.1", FailureKind.UNREACHABLE),
    ],
)
async def test_it_is_called_only_where_its_own_authority_is_named_and_its_name_fits(
    tmp_path: Path, *, trusted: bool, address: str, kind: FailureKind
) -> None:
    certificate = signed_by_itself(tmp_path, address)
    async with refusing_over_tls(certificate) as url:
        terminal = (await called(url, certificate if trusted else None))[-1]
    assert isinstance(terminal, Failed)
    assert terminal.failure.kind is kind


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_file_without_a_certificate_is_a_mistake(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    settings = ProviderSettings(kind=ProviderKind.OPENAI_CHAT, base_url="https://x.example", ca_file=str(file))
    with pytest.raises(InvalidProviders) as mistakes:
        build_providers({"own": settings}, {}, SystemClock())
    assert mistakes.value.faults == ["providers.own.ca_file: holds no certificate, or cannot be read"]
