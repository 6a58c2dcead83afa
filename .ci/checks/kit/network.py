"""A corporate network between the program and the internet: a private CA, TLS signed by it, a proxy."""

import contextlib
import ipaddress
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Ca:
    """A CA that no system knows, and a certificate of `localhost` that it signed."""

    # The CA's own certificate.
    roots: Path
    certificate: Path
    key: Path


def private_ca(place: Path) -> Ca:
    """Makes one below `place`."""

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.now(UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def begun(subject: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("Company CA"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    root = begun("Company CA", ca_key.public_key()).add_extension(x509.BasicConstraints(True, None), critical=True)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = begun("localhost", key.public_key()).add_extension(names, critical=False)
    place.mkdir(parents=True, exist_ok=True)
    ca = Ca(place / "ca.pem", place / "server.pem", place / "server.key")
    for path, builder in ((ca.roots, root), (ca.certificate, leaf)):
        path.write_bytes(builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    ca.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return ca


def _splice(one: socket.socket, other: socket.socket) -> None:
    """Carries bytes both ways until either side is done."""
    with contextlib.suppress(OSError):
        while True:
            pending = isinstance(one, ssl.SSLSocket) and one.pending()
            ready = [one] if pending else select.select([one, other], [], [], 60)[0]
            for here in ready:
                there = other if here is one else one
                data = here.recv(65536)
                if not data:
                    return
                there.sendall(data)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextlib.contextmanager
def _serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


@contextlib.contextmanager
def tls(ca: Ca, upstream: str) -> Iterator[str]:
    """The plain server at `upstream`, behind TLS: the address of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca.certificate, ca.key)
    behind = int(upstream.rpartition(":")[2])

    class Front(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            # A client without this CA aborts the handshake.
            with (
                contextlib.suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as client,
                socket.create_connection(("127.0.0.1", behind)) as server,
            ):
                _splice(client, server)

    with _serving(Front) as port:
        yield f"https://localhost:{port}"


@dataclass
class Proxy:
    """A proxy on this machine, and whom it was asked for."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def proxy() -> Iterator[Proxy]:
    """A proxy that knows CONNECT and nothing else."""
    asked: list[str] = []

    class Tunnel(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            method, target, _ = self.rfile.readline().decode().split(" ", 2)
            while self.rfile.readline().strip():
                pass
            asked.append(f"{method} {target}")
            host, _, port = target.rpartition(":")
            with contextlib.suppress(OSError), socket.create_connection((host, int(port))) as server:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _splice(self.connection, server)

    with _serving(Tunnel) as port:
        yield Proxy(f"http://127.0.0.1:{port}", asked)
