"""The packages that a job's items need, as users name them: by requirements, or by a lock file.

What is named here is built by each site that runs the job (see `hanse.engines.environments`).
"""

from __future__ import annotations

import re

import msgspec
from blake3 import blake3

from hanse.limits import ENVIRONMENT_BYTES, ENVIRONMENT_PACKAGES

_SHOWN = 60
# Lines of a requirements file that mean the same at every site. What names another file does not.
_OPTIONS = re.compile(
    r"--hash=|-i\b|--index-url\b|--extra-index-url\b|-f\b|--find-links\b|--no-index\b"
    r"|--only-binary\b|--no-binary\b|--prefer-binary\b|--pre\b|--require-hashes\b"
)
_PASSWORD = re.compile(r"://[^/\s]*:[^/\s]*@")


class Environment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the two.

    Attributes:
        packages: requirements as pip has them, such as "numpy>=1.26".
        requirements: the text of a requirements file, as it was read.
    """

    packages: tuple[str, ...] = ()
    requirements: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError: it may come from outside."""
        if bool(self.packages) == bool(self.requirements):
            raise ValueError("an environment is made of packages, or of a requirements file")
        if len(self.packages) > ENVIRONMENT_PACKAGES or len(self.text) > ENVIRONMENT_BYTES:
            raise ValueError(
                f"an environment has at most {ENVIRONMENT_PACKAGES:,} packages, in at most "
                f"{ENVIRONMENT_BYTES >> 10:,} KiB"
            )
        for package in self.packages:
            if not package.strip() or not package.isprintable() or package.lstrip()[0] in "-#":
                raise ValueError(f"{package!r} is no package: write it as 'numpy>=1.26'")
        for line in self.text.splitlines():
            _check_line(line.strip())

    @property
    def name(self) -> str:
        """Equal for the same environment, at every site: 32 hex digits."""
        return blake3(msgspec.msgpack.encode(self)).hexdigest()[:32]

    @property
    def text(self) -> str:
        """As a requirements file."""
        return self.requirements or "\n".join(self.packages)

    @property
    def words(self) -> str:
        """For people, on one line."""
        if self.packages:
            shown = ", ".join(self.packages)
        else:
            lines = (line.strip() for line in self.requirements.splitlines())
            count = sum(bool(line) and line[0] not in "-#" for line in lines)
            shown = f"a requirements file of {count:,} packages"
        return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def _check_line(line: str) -> None:
    if _PASSWORD.search(line):
        raise ValueError(
            "a requirement has a password in its URL, which would be recorded with the job: leave "
            "it out, and give it to uv at the site that builds (UV_INDEX, or ~/.netrc)"
        )
    if "${" in line:
        raise ValueError(
            f"{line[:100]!r} has a variable in it, which would be one of the site that builds: "
            "write it out, or set UV_INDEX there"
        )
    if line.startswith("-") and not _OPTIONS.match(line):
        raise ValueError(
            f"{line[:100]!r} cannot be sent: an environment is made of requirements alone, and of "
            "no other files. `uv pip compile --generate-hashes` writes all into one"
        )
    if line.startswith((".", "/", "~")):
        raise ValueError(
            f"{line[:100]!r} is a path, and means nothing elsewhere: name a package, or let the "
            "modules of your project travel with the job"
        )
