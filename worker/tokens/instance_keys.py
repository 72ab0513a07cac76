"""The instance keys: what encrypts rows and signs cookies and the audit chain. Every use names its key."""

import base64
import fcntl
import hashlib
import hmac
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
ID_BYTES = 6


class KeysError(Exception):
    """Keys that are missing, broken or not those that something was made with; the message says which and what to do."""


class Keys:
    """Keys in a folder (made at first start; safe when two processes start at once), or in one file.

    A folder holds `<key id>.key` and `current`, which names the one in use. A file holds one key a line, the current one
    first; `new_key_text()` makes a line. Rotation keeps old keys, to read what they made.
    """

    def __init__(self, folder: Path, key_file: Path | None = None) -> None:
        self._folder = folder
        self._file = key_file
        self._keys: dict[str, bytes] = {}
        self._current = ""
        self._stamp: tuple[int, int] | None = None
        self._lock = threading.Lock()
        if key_file is None and not (folder / "current").exists():
            self._make_current(only_first=True)

    @property
    def current_id(self) -> str:
        """Id of the key that new things are made with; follows a rotation by another process."""
        path = self._file or self._folder / "current"
        try:
            found = path.stat()
        except OSError as error:
            message = f"instance keys: {path} cannot be read: {error.strerror}; restore it from the backup of the instance"
            raise KeysError(message) from None
        stamp = (found.st_mtime_ns, found.st_ino)
        with self._lock:
            if stamp != self._stamp:
                self._current = self._load()
                self._stamp = stamp
            return self._current

    def ids(self) -> list[str]:
        """Every key there is, the current one first."""
        current = self.current_id
        return [current, *sorted(set(self._keys) - {current})]

    def encrypt(self, content: bytes) -> str:
        """`<key id>:<Fernet token>`."""
        key_id = self.current_id
        return f"{key_id}:{_fernet(self._key(key_id)).encrypt(content).decode()}"

    def decrypt(self, text: str) -> bytes:
        """The content. Raises `KeysError` when it was altered or its key is not here."""
        key_id, _, token = text.partition(":")
        try:
            return _fernet(self._key(key_id)).decrypt(token.encode())
        except InvalidToken:
            message = f"encrypted with key {key_id}, and altered since"
            raise KeysError(message) from None

    def mac(self, purpose: str, content: bytes, key_id: str | None = None) -> tuple[str, str]:
        """(key id, HMAC-SHA256 in hex) under a key derived for `purpose` alone; the current one unless named."""
        chosen = key_id or self.current_id
        return chosen, hmac.digest(_derived(self._key(chosen), purpose), content, hashlib.sha256).hex()

    def verify_mac(self, purpose: str, content: bytes, key_id: str, mac: str) -> bool:
        """Whether `mac` was made over `content` with that key. Raises `KeysError` when the key is not here."""
        return hmac.compare_digest(self.mac(purpose, content, key_id)[1].encode(), mac.encode())

    def rotate(self) -> str:
        """Make a new current key; returns its id. Old keys stay, for reading."""
        if self._file:
            message = f"the keys come from {self._file}: put a new key before the first line there, and keep the others"
            raise KeysError(message)
        return self._make_current(only_first=False)

    def _key(self, key_id: str) -> bytes:
        _ = self.current_id
        if key_id not in self._keys:
            with self._lock:
                self._current = self._load()
        if key_id not in self._keys:
            message = f"key {key_id} is not among the instance keys ({', '.join(self._keys) or 'none'}); restore it from a backup"
            raise KeysError(message)
        return self._keys[key_id]

    def _load(self) -> str:
        return self._load_folder() if self._file is None else self._load_file(self._file)

    def _load_file(self, file: Path) -> str:
        lines = [line.strip() for line in _read(file).splitlines() if line.strip() and not line.startswith("#")]
        if not lines:
            message = f"instance keys: {file} holds no key"
            raise KeysError(message)
        keys = [_parse(line, f"{file}, key {number}") for number, line in enumerate(lines, 1)]
        self._keys = {_id_of(key): key for key in keys}
        return _id_of(keys[0])

    def _load_folder(self) -> str:
        keys: dict[str, bytes] = {}
        for path in sorted(self._folder.glob("*.key")):
            key = _parse(_read(path).strip(), str(path))
            if _id_of(key) != path.stem:
                message = f"instance keys: {path} does not hold the key that its name says"
                raise KeysError(message)
            keys[path.stem] = key
        self._keys = keys
        current = _read(self._folder / "current").strip()
        if current not in keys:
            message = f"instance keys: the current key {current} is missing in {self._folder}; restore it from a backup"
            raise KeysError(message)
        return current

    def _make_current(self, *, only_first: bool) -> str:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder.chmod(0o700)
        with _exclusive(self._folder / ".lock"):
            pointer = self._folder / "current"
            if only_first and pointer.exists():
                return _read(pointer).strip()
            if only_first and any(self._folder.glob("*.key")):
                message = f"instance keys: {self._folder} holds keys, but no `current` that names one; restore it from a backup"
                raise KeysError(message)
            text = new_key_text()
            key_id = _id_of(_parse(text, "new key"))
            # The key first: whoever sees the pointer finds what it points at.
            _write_whole(self._folder / f"{key_id}.key", text)
            _write_whole(pointer, key_id)
            return key_id


def new_key_text() -> str:
    """A fresh key as a key file holds it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _parse(text: str, where: str) -> bytes:
    try:
        key = base64.urlsafe_b64decode(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        message = f"instance keys: {where} is no key; expected {KEY_BYTES} bytes in URL-safe base64"
        raise KeysError(message)
    return key


def _id_of(key: bytes) -> str:
    # Derived, so that a key can never be filed under another one's name; HKDF, so that it tells nothing of the key.
    return _derive(key, b"nightshift key id")[:ID_BYTES].hex()


@lru_cache(maxsize=256)
def _derived(key: bytes, purpose: str) -> bytes:
    return _derive(key, b"nightshift mac " + purpose.encode())


@lru_cache(maxsize=64)
def _fernet(key: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(_derive(key, b"nightshift encrypt")))


def _derive(key: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=info).derive(key)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        message = f"instance keys: {path} cannot be read: {getattr(error, 'strerror', None) or 'not text'}"
        raise KeysError(message) from None


def _write_whole(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
