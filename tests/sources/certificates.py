"""The certificates of a cluster: its authority, its server, and a client."""

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificates:
    """A cluster's authority, with a certificate for the server and one for a client."""

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server, self.server_key)
        context.load_verify_locations(self.authority)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context


def make_certificates(folder: Path, *names: str) -> Certificates:
    """Make a cluster's certificates for 127.0.0.1, or for the names given.

    The authority has no key identifiers, as those that clusters make for themselves.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("kubernetes", key, "kubernetes", key, [], is_authority=True)
    paths = []
    for name in ("server", "client"):
        own = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(
            name,
            own,
            "kubernetes",
            key,
            list(names) if name == "server" else [],
            is_authority=False,
        )
        for suffix, content in (
            ("crt", certificate.public_bytes(serialization.Encoding.PEM)),
            (
                "key",
                own.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                ),
            ),
        ):
            path = folder / f"{name}.{suffix}"
            path.write_bytes(content)
            paths.append(path)
    (folder / "ca.crt").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    return Certificates(folder / "ca.crt", *paths)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    hosts: list[str],
    *,
    is_authority: bool,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    alternatives: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
    alternatives = alternatives or [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
