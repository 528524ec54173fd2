"""Tiny packages for uv to install without a network: wheels, and sources that build when told."""

from __future__ import annotations

import io
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

_WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel(index: Path, name: str, version: str, source: str = "", extra: bytes = b"") -> str:
    """A wheel of one module; `extra` is a file beside it. Returns its sha256."""
    index.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"VERSION = {version!r}\n{source}".encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": _WHEEL.encode(),
    }
    if extra:
        files[f"{name}/extra"] = extra
    record = "".join(f"{each},,\n" for each in [*files, f"{info}/RECORD"])
    path = index / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for each, data in (*files.items(), (f"{info}/RECORD", record.encode())):
            archive.writestr(each, data)
    return sha256(path.read_bytes()).hexdigest()


_BACKEND = """
import os, pathlib, sys, time
sys.path.insert(0, {tests!r})
from packages import wheel
BEGAN, GATE = pathlib.Path({began!r}), pathlib.Path({gate!r})

def build_wheel(directory, config_settings=None, metadata_directory=None):
    with open(BEGAN, "a") as file:
        file.write(f"{{os.getpid()}}\\n")
    while not GATE.exists():
        time.sleep(0.01)
    if GATE.read_text():
        raise SystemExit(GATE.read_text())
    wheel(pathlib.Path(directory), {name!r}, {version!r})
    return "{name}-{version}-py3-none-any.whl"
"""


class Slow:
    """A package that is built from sources, which takes until the gate is open.

    Attributes:
        began: has the id of each process that began to build, a line each.
        gate: exists once the build may end; with a text in it, it fails with that.
    """

    def __init__(self, index: Path, name: str, version: str = "1.0") -> None:
        index.mkdir(parents=True, exist_ok=True)
        self.began, self.gate = index / f"{name}.began", index / f"{name}.gate"
        told = {"began": str(self.began), "gate": str(self.gate), "name": name, "version": version}
        files = {
            "PKG-INFO": f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n",
            "backend.py": _BACKEND.format(tests=str(Path(__file__).parent), **told),
            "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'backend'\n"
            f"backend-path = ['.']\n[project]\nname = {name!r}\nversion = {version!r}\n",
        }
        with tarfile.open(index / f"{name}-{version}.tar.gz", "w:gz") as archive:
            for each, text in files.items():
                member = tarfile.TarInfo(f"{name}-{version}/{each}")
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))

    def builds(self) -> list[int]:
        """The processes that began to build it."""
        return list(map(int, self.began.read_text().split())) if self.began.exists() else []


def offline(index: Path, cache: Path) -> dict[str, str]:
    """Variables with which uv finds these packages, and no others."""
    return {
        "UV_FIND_LINKS": str(index), "UV_NO_INDEX": "1", "UV_OFFLINE": "1",
        "UV_CACHE_DIR": str(cache),
    }  # fmt: skip
