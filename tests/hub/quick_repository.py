"""Make a repository for restic whose password costs nothing to try.

``restic init`` chooses a key derivation that takes half a second, and so does every command that
opens what it made. Here everything is as in restic's design document, and the derivation is short:
https://restic.readthedocs.io/en/stable/100_references.html
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from pathlib import Path

import hub_folder
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

from tljh_runbook.hub.core.layout import Hub

FOLDER = "var/backups/tljh-user-data"
PASSWORD_FILE = "etc/tljh-runbook.password"  # noqa: S105 - a path
SCRYPT = {"n": 2, "r": 8, "p": 1}
POLYNOMIAL = "25b468838dcb75"


def place(hub: Hub) -> None:
    """Give a hub its password and its repository, as if user data had been backed up before."""
    password = secrets.token_urlsafe(32)
    hub_folder.keep(hub.root / PASSWORD_FILE, f"{password}\n", 0o600)
    create(hub.root / FOLDER, password)


def create(folder: Path, password: str) -> None:
    """Make an empty repository in ``folder``, of format 2."""
    for name in ("data", "index", "keys", "locks", "snapshots"):
        (folder / name).mkdir(mode=0o700, parents=True)
    folder.chmod(0o700)
    master, salt = secrets.token_bytes(64), secrets.token_bytes(64)
    user = hashlib.scrypt(password.encode(), salt=salt, dklen=64, **SCRYPT)
    mac = {"k": _text(master[32:48]), "r": _text(master[48:])}
    keys = json.dumps({"mac": mac, "encrypt": _text(master[:32])}).encode()
    numbers = {name.upper() if name == "n" else name: value for name, value in SCRYPT.items()}
    about = {"created": "2025-01-01T00:00:00Z", "username": "root", "hostname": "test"}
    key = about | numbers | {"kdf": "scrypt", "salt": _text(salt), "data": _text(_seal(user, keys))}
    content = json.dumps(key).encode()
    hub_folder.keep(folder / "keys" / hashlib.sha256(content).hexdigest(), content, 0o400)
    config = {"version": 2, "id": secrets.token_hex(32), "chunker_polynomial": POLYNOMIAL}
    hub_folder.keep(folder / "config", _seal(master, json.dumps(config).encode()), 0o400)


def _seal(key: bytes, plain: bytes) -> bytes:
    """Encrypt with AES-256 in counter mode; authenticate with Poly1305-AES."""
    vector = secrets.token_bytes(16)
    encrypted = _run(algorithms.AES(key[:32]), modes.CTR(vector), plain)
    once = _run(algorithms.AES(key[32:48]), modes.ECB(), vector)  # noqa: S305 - one block
    return vector + encrypted + Poly1305.generate_tag(key[48:] + once, encrypted)


def _run(cipher: algorithms.AES, mode: modes.CTR | modes.ECB, plain: bytes) -> bytes:
    encryptor = Cipher(cipher, mode).encryptor()
    return encryptor.update(plain) + encryptor.finalize()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
