"""A certificate to be verified."""

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents.certify.signing import FORMAT, public_text, sign

CHECK: dict[str, str] = {"name": "\u00e9", "outcome": "pass"}
VALUES: dict[str, Any] = {
    "format": FORMAT,
    "agent": "mis-1",
    "passed": True,
    "stages": [{"id": "a", "checks": [CHECK]}],
}


def signed(folder: Path, key: Ed25519PrivateKey, **other: Any) -> Path:
    """Write a certificate, with other values than usual, and its signature, and return the certificate."""
    values = VALUES | {"public_key": public_text(key)} | other
    file = folder / "certificate.json"
    file.write_text(json.dumps(values, indent=2), encoding="utf-8")
    (folder / "certificate.sig").write_text(sign(values, key), encoding="utf-8")
    return file
