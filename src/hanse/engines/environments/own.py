"""Hanse itself, as workers of an environment find it: a directory of links at the end of sys.path.

Nothing of ours is installed into a user's environment: it could contradict what they pin, or what
their lock file hashes. Our site-packages as a whole is no answer either, as whatever we happen to
have would shine through. So exactly our own modules and those that they need are linked to, behind
everything of theirs. The Python is of the same minor version, so compiled ones fit.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from importlib.util import find_spec
from pathlib import Path

from blake3 import blake3

MODULES = (
    "backports.zstd", "blake3", "click", "cloudpickle", "hanse", "markdown_it", "mdurl",
    "msgspec", "platformdirs", "pygments", "rich", "typing_extensions", "urllib3",
)  # fmt: skip
PREFIX = "hanse-"


def own_directory(root: Path) -> Path:
    """The directory below `root`, made if it is not there. Raises OSError."""
    links = dict(filter(None, map(_place, MODULES)))
    told = "\0".join(f"{name}\0{path}" for name, path in sorted(links.items()))
    directory = root / (PREFIX + blake3(told.encode()).hexdigest(32)[:32])
    with contextlib.suppress(FileNotFoundError):
        os.utime(directory)
        return directory
    new = root / f".new-{secrets.token_hex(8)}"
    new.mkdir(mode=0o700)
    try:
        for name, path in links.items():
            (new / name).parent.mkdir(exist_ok=True)
            os.symlink(path, new / name)
        with contextlib.suppress(OSError):  # else another program was quicker
            os.rename(new, directory)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    os.utime(directory)
    return directory


def _place(module: str) -> tuple[str, str] | None:
    """What an entry of sys.path has of this module, and where it is."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:  # what it is in
        spec = None
    if spec is None:
        return None  # not every version of Python, or of a library, needs it
    places = spec.submodule_search_locations
    path = os.path.abspath(next(iter(places)) if places else spec.origin or "")
    *above, _ = module.split(".")
    return os.path.join(*above, os.path.basename(path)), path
