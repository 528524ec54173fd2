"""A project's code: which files it has, what it is called, and which names such files may have.

A manifest says of each file, by its name below the directory that stands in sys.path, the BLAKE3
hash of its bytes. The digest of the manifest is the code's name.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

import msgspec
from blake3 import blake3

from hanse.errors import UsageError
from hanse.limits import CODE_FILES, CODE_NAME_BYTES

Manifest = Mapping[str, str]


def code_digest(manifest: Manifest) -> str:
    """The name of the code with these files: 64 hex digits."""
    return blake3(msgspec.msgpack.encode(sorted(manifest.items()))).hexdigest()


def file_digest(content: bytes | memoryview) -> str:
    return blake3(content).hexdigest()


def is_digest(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdef" for c in text)


def check_manifest(manifest: Manifest) -> None:
    """Whether a directory may be made after it: it comes from outside. Raises UsageError."""
    if len(manifest) > CODE_FILES:
        raise UsageError(f"code has at most {CODE_FILES:,} files, and this has {len(manifest):,}")
    for name, digest in manifest.items():
        if not may_be_named(name):
            raise UsageError(f"{name[:100]!r} is no name of a module's file")
        if not is_digest(digest):
            raise UsageError(f"the digest of {name[:100]!r} is not 64 hex digits")


def may_be_named(name: str) -> bool:
    """Whether a file of a project may have this name: it is that of a module, as `import` would
    look for it, such as `package/part.py`. So there is no way up, no root, and nothing hidden."""
    *above, last = name.split("/")
    stem, dot, ending = last.partition(".")
    return (
        dot + ending == ".py"
        and all(_is_part(part) for part in (*above, stem))
        and (above or [stem])[0] != "hanse"  # else workers would import it in place of ours
        and len(name.encode()) <= CODE_NAME_BYTES
    )


def _is_part(part: str) -> bool:
    """A name as `import` has it. Some file systems, and Python, take different spellings of one
    letter for the same: only the plain one is let through."""
    return part.isidentifier() and unicodedata.normalize("NFKC", part) == part
