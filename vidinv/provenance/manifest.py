"""Sign files with a C2PA manifest and read manifests, by c2pa-python (the extra [c2pa]).

https://spec.c2pa.org. The claim holds c2pa.actions (opened the source, edited it), the source as the parent ingredient
and, as `org.vidinv.edit`, the edits and the sha256 of weights and source. It contains no picture, and no network is
used: no time stamp of an authority, no revocation check and no remote manifest.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from vidinv import fileio
from vidinv.config import C2paConfig
from vidinv.errors import InputUnreadable, UsageError
from vidinv.extras import load_optional, require

FORMATS = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}
LABEL = "org.vidinv.edit"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
SILENT = {  # no thumbnails of the source and no network access
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}


@dataclass(frozen=True)
class Claim:
    """Signed content: the requested `edits`, part -> sha256 of `weights`, the `source` and its sha256."""

    version: str
    edits: tuple[str, ...]
    weights: dict[str, str]
    source: Path
    source_sha256: str
    watermark: str | None = None


@dataclass(frozen=True)
class Credentials:
    """A certificate chain and its private key, as PEM, and C2PA's name of the signing algorithm."""

    chain: bytes
    key: bytes
    algorithm: str


@dataclass(frozen=True)
class ReadManifest:
    """A manifest that was read: `state` is Trusted, Valid (intact, but its signer is not trusted), Invalid or Unread.

    `problems` are C2PA's failure codes; `edit` is the assertion LABEL, None in a file signed by other software.
    """

    state: str
    signer: str
    generator: str
    actions: tuple[str, ...]
    problems: tuple[str, ...]
    edit: dict[str, Any] | None


UNREAD = ReadManifest("Unread", "", "", (), (), None)  # a manifest exists, but c2pa-python is not installed


def check_signer(config: C2paConfig, output: Path) -> None:
    """Raise UsageError if `output` cannot be signed: its format, no c2pa-python, a wrong certificate or key."""
    if output.suffix.lower() not in FORMATS:
        raise UsageError(f"{output.name} cannot hold a C2PA manifest", remedy=f"end its name in {', '.join(FORMATS)}")
    given, picture = credentials(config), io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    _sign({"assertions": []}, given, "image/png", picture, io.BytesIO())


def credentials(config: C2paConfig) -> Credentials:
    """Load the configured signer, else VIDINV_C2PA_CERTIFICATE and VIDINV_C2PA_KEY. Raises UsageError."""
    _library()
    require("cryptography", "a C2PA manifest")
    from cryptography.hazmat.primitives import serialization

    found = []
    for name, given in (("certificate", config.certificate), ("key", config.key)):
        path = given or os.environ.get(f"VIDINV_C2PA_{name.upper()}", "")
        if not path:
            raise UsageError(
                f"--c2pa needs a certificate and its key, and no {name} is given",
                remedy=f"set c2pa.{name}=FILE.pem or VIDINV_C2PA_{name.upper()}",
            )
        try:
            found.append(Path(path).read_bytes())
        except OSError as error:
            raise UsageError(
                f"c2pa.{name} {path} cannot be read ({error.strerror})", remedy="check the path"
            ) from error
    try:
        key = serialization.load_pem_private_key(found[1], password=None)
        pkcs8 = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    except (ValueError, TypeError) as error:
        raise UsageError(
            "c2pa.key is not a PEM private key, or has a password", remedy="give a key without a password"
        ) from error
    return Credentials(found[0], pkcs8, _algorithm(key))


def sign(unsigned: Path, output: Path, claim: Claim, given: Credentials) -> None:
    """Write `unsigned` with a manifest of the `claim` to `output`, atomically; its frames are unchanged.

    Raises UsageError for an unsuitable certificate, OutputUnwritable.
    """
    kind = FORMATS[output.suffix.lower()]
    with fileio.replacing(output) as draft, unsigned.open("rb") as source, draft.open("w+b") as target:
        _sign(_definition(output, kind, claim), given, kind, source, target, claim)


def read_manifest(path: Path, roots: Path | None = None) -> ReadManifest | None:
    """Read and validate the active manifest of a file; None if there is none. `roots` are trusted certificates (PEM).

    Raises UsageError without c2pa-python or for unreadable roots, InputUnreadable for a broken manifest.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None or path.is_dir():
        return None
    c2pa, settings = _library(), dict(SILENT)
    try:
        if roots is not None:
            settings["trust"] = {"trust_anchors": roots.read_text(encoding="utf-8")}
        context = c2pa.Context(settings=c2pa.Settings.from_dict(settings))
    except (OSError, ValueError, c2pa.C2paError) as error:
        raise UsageError(f"{roots} does not hold root certificates", remedy="give a PEM file") from error
    try:
        with path.open("rb") as stream, c2pa.Reader(kind, stream, context=context) as reader:
            return _found(fileio.parse_json(reader.json()))
    except c2pa.C2paError.ManifestNotFound:
        return None
    except (c2pa.C2paError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputUnreadable(f"the C2PA manifest of {path.name} cannot be read ({error})") from error


def is_there(path: Path) -> bool:
    """Return whether a file appears to hold a C2PA manifest, by its JUMBF box near the start (without c2pa-python)."""
    if path.is_dir():
        return False
    with path.open("rb") as stream:
        start = stream.read(1 << 20)
    return b"jumb" in start and b"c2pa" in start


def _library() -> Any:
    return load_optional("c2pa", "a C2PA manifest")


def _algorithm(key: Any) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in curves:
        return curves[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    raise UsageError("c2pa.key has a type that C2PA does not support", remedy="use ECDSA (P-256), Ed25519 or RSA")


def _definition(output: Path, kind: str, claim: Claim) -> dict[str, Any]:
    agent = {"name": "vidinv", "version": claim.version}
    edited = {
        "action": "c2pa.edited",
        "softwareAgent": agent,
        "digitalSourceType": COMPOSITE,
        "description": "faces edited by GAN inversion: " + (" ".join(claim.edits) or "none"),
        "parameters": {"org.vidinv.edits": list(claim.edits)},
    }
    edit = {
        "edits": list(claim.edits),
        "weights_sha256": claim.weights,
        "source_sha256": claim.source_sha256,
        "watermark": claim.watermark or "",
    }
    return {
        "claim_generator_info": [agent],
        "title": output.name,
        "format": kind,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [edited]}},
            {"label": LABEL, "data": edit},
        ],
    }


def _sign(
    definition: dict[str, Any], given: Credentials, kind: str, source: Any, target: Any, claim: Claim | None = None
) -> None:
    c2pa = _library()
    try:
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(given.algorithm, given.chain, given.key, None))
        builder = c2pa.Builder(definition, c2pa.Context(settings=c2pa.Settings.from_dict(SILENT)))
        if claim is None:
            builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.ALGORITHMIC_MEDIA)
        else:
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)  # adds c2pa.opened of the parent
            _add_source(builder, claim)
        builder.sign(signer, kind, source, target)
    except c2pa.C2paError as error:
        raise UsageError(
            f"signing with C2PA failed: {error}", remedy="check c2pa.certificate (the chain, signer first) and c2pa.key"
        ) from error


def _add_source(builder: Any, claim: Claim) -> None:
    """Add the source as parent with its hash and, if C2PA supports its format, its own manifest."""
    parent = {
        "title": claim.source.name,
        "relationship": "parentOf",
        "instance_id": f"sha256:{claim.source_sha256}",
    }
    kind = FORMATS.get(claim.source.suffix.lower())
    if kind is None or claim.source.is_dir():
        builder.add_ingredient(parent, "application/octet-stream", io.BytesIO(claim.source_sha256.encode()))
        return
    with claim.source.open("rb") as stream:
        builder.add_ingredient(parent, kind, stream)


def _found(store: dict[str, Any]) -> ReadManifest:
    active = store["manifests"][store["active_manifest"]]
    by_label = {entry["label"]: entry["data"] for entry in active.get("assertions", [])}
    actions = [entry for label, data in by_label.items() if "actions" in label for entry in data.get("actions", [])]
    makers = active.get("claim_generator_info") or [{}]
    signature = active.get("signature_info") or {}
    names = [signature.get(key) for key in ("common_name", "issuer")]
    return ReadManifest(
        state=str(store.get("validation_state", "Invalid")),
        signer=", ".join(str(name) for name in names if name),
        generator=f"{makers[0].get('name', 'unknown')} {makers[0].get('version', '')}".strip(),
        actions=tuple(str(entry.get("action")) for entry in actions),
        problems=tuple(str(entry.get("code")) for entry in store.get("validation_status") or []),
        edit=by_label.get(LABEL),
    )
