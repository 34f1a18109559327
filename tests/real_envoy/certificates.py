"""Certificates with SPIFFE identities, of an authority of their own."""

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


@dataclass
class Authority:
    """Who signs; what it signed is in files of a folder."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, str(self.folder))])
        basic = x509.BasicConstraints(ca=True, path_length=None)
        made = self._builder(self.name, self.key.public_key()).add_extension(basic, critical=True)
        self.certificate = made.sign(self.key, hashes.SHA256())
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    @property
    def path(self) -> Path:
        return self.folder / "authority.pem"

    def issue(self, principal: str) -> Path:
        """Return a file with the certificate and the key of an identity."""
        path = self.folder / f"{principal.replace('/', '_')}.pem"
        if path.exists():
            return path
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [x509.UniformResourceIdentifier(f"spiffe://{principal}")]
        )
        made = self._builder(x509.Name([]), key.public_key()).add_extension(names, critical=True)
        path.write_bytes(
            made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return path

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
        )
