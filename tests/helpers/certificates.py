"""A signer for tests: a root of its own, and below it a certificate that C2PA accepts; skips without c2pa-python."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

WHY = "c2pa-python is not installed (pip install 'vidinv[c2pa]')"


@dataclass(frozen=True)
class Signer:
    """PEM files: the chain with the signer first, its key, and the root alone."""

    chain: Path
    key: Path
    root: Path

    @property
    def options(self) -> list[str]:
        """The command line's options that sign with it."""
        return ["--c2pa", "--set", f"c2pa.certificate={self.chain}", "--set", f"c2pa.key={self.key}"]


def make(folder: Path) -> Signer:
    """A signer whose files lie in `folder`."""
    pytest.importorskip("c2pa", reason=WHY)
    from cryptography.hazmat.primitives import serialization

    folder.mkdir(exist_ok=True)
    root, root_key = _certificate("vidinv test root")
    leaf, key = _certificate("vidinv test signer", root, root_key)
    pem = serialization.Encoding.PEM
    plain = (pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    signer = Signer(folder / "chain.pem", folder / "key.pem", folder / "root.pem")
    signer.chain.write_bytes(leaf.public_bytes(pem) + root.public_bytes(pem))
    signer.root.write_bytes(root.public_bytes(pem))
    signer.key.write_bytes(key.private_bytes(*plain))
    return signer


def _certificate(name: str, root: Any = None, root_key: Any = None) -> tuple[Any, Any]:
    """An X.509 certificate with the key usages that C2PA asks for, by `root` or (as a root) by itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key, is_root = ec.generate_private_key(ec.SECP256R1()), root is None
    attributes = [(x509.NameOID.ORGANIZATION_NAME, "tests"), (x509.NameOID.COMMON_NAME, name)]
    subject = x509.Name([x509.NameAttribute(*each) for each in attributes])
    today = datetime.datetime.now(datetime.timezone.utc)
    usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    usage |= {"encipher_only": False, "decipher_only": False, "digital_signature": not is_root}
    usage |= {"key_cert_sign": is_root, "crl_sign": is_root}
    builder = (
        x509.CertificateBuilder(root.subject if root is not None else subject, subject, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key((root_key or key).public_key()), critical=False
        )
    )
    if not is_root:
        usages = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(usages, critical=False)
    return builder.sign(root_key or key, hashes.SHA256()), key
