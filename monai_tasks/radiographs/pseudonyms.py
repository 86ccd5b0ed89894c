"""Pseudonyms of patients and studies: the same for the same key, and nothing without it."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from monai_tasks.io.errors import InputError
from monai_tasks.io.files import atomic_path

_KEY = re.compile("[0-9a-f]{64}")
_DIGITS = 16  # 64 bits: among a million names two are alike by chance once in forty million times


@dataclass(frozen=True)
class Pseudonyms:
    """Makes names of identifiers, by HMAC-SHA256.

    Args:
        key: secret bytes. Who has them can tell whose a pseudonym is by trying identifiers; nobody else can.
    """

    key: bytes = field(repr=False)

    def __call__(self, kind: str, identifier: str) -> str:
        """The pseudonym of an identifier.

        Args:
            kind: such as `patient`; the same text has different pseudonyms in different kinds.
            identifier: what is replaced.

        Returns:
            16 hexadecimal digits; an empty text for an empty identifier.
        """
        if not identifier:
            return ""
        text = f"{kind}\0{identifier}".encode("utf-8", "surrogateescape")
        return hmac.new(self.key, text, hashlib.sha256).hexdigest()[:_DIGITS]


def key_beside(output: Path) -> Path:
    """Where the key of a data set lies unless one is named: beside it, as `OUT.key`."""
    return output.with_name(f"{output.name}.key")


def load_pseudonyms(key: Path, output: Path) -> Pseudonyms:
    """Read a key, or make one that only its owner can read.

    Args:
        key: a file with 64 hexadecimal digits.
        output: the data set, which the key must not lie in: it is kept, and the data set is passed on.

    Returns:
        Pseudonyms by this key.

    Raises:
        InputError: if the key lies in the data set, or is no key.
    """
    if key.resolve().is_relative_to(output.resolve()):
        raise InputError(key, "a key inside the data set", "a place that is not passed on with it")
    if not key.exists():
        with atomic_path(key) as temporary:
            new = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(new, "w", encoding="ascii") as stream:
                stream.write(f"{secrets.token_hex(32)}\n")
    try:
        text = key.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as cause:
        raise InputError(key, "a file that cannot be read as text", "64 hexadecimal digits") from cause
    if not _KEY.fullmatch(text):
        raise InputError(key, "no key", "64 hexadecimal digits, as `radiographs import` writes them")
    return Pseudonyms(bytes.fromhex(text))
