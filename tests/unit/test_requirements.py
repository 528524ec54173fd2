"""What a function's pickle says that it needs, found without reading it."""

from __future__ import annotations

import importlib
import json
import pickle
import shutil
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path

import click
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse import limits
from hanse.client import distributions
from hanse.client.requirements import modules_in, requirements
from hanse.model.fit import Offer, Requires
from hanse.payloads.payload import Payload, dump_one


def uses_click(text: str) -> str:
    return click.style(text, "red") + json.dumps(text)


def by_value(function: object) -> object:
    """As if it were of the program itself."""
    function.__module__ = "__main__"  # type: ignore[attr-defined]
    return function


def test_a_function_by_value_needs_the_modules_among_its_globals() -> None:
    payload = dump_one(by_value(uses_click))
    found = modules_in(bytes(payload.data))
    assert "click" in found
    needs = requirements([payload])
    assert needs.python == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert needs.packages["click"] == metadata.version("click")
    assert "msgspec" not in needs.packages


def test_a_name_that_only_looks_like_a_module_is_none() -> None:
    assert "click" not in requirements([dump_one({"click": "msgspec", "numpy": ["rich"]})]).packages


@pytest.mark.parametrize("broken", [b"", b"\x80\x05", b"\xff", b"no pickle", b"\x80\x05\x8c\x01"])
def test_what_is_no_pickle_needs_nothing(broken: bytes) -> None:
    assert modules_in(broken) == set()
    assert requirements([Payload(1, broken)]).packages == {}


@given(st.data())
def test_a_mangled_pickle_does_no_harm(data: st.DataObject) -> None:
    stream = bytearray(dump_one(by_value(uses_click)).data)
    for _ in range(data.draw(st.integers(0, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    modules_in(bytes(stream[: data.draw(st.integers(0, len(stream)))]))


def test_of_a_long_pickle_only_the_beginning_is_looked_at() -> None:
    def click_and(bulk: object) -> set[str]:
        return modules_in(pickle.dumps((click.style, bulk, msgspec.json.encode), 5))

    style, encode = click.style.__module__, msgspec.json.encode.__module__
    assert {style, encode} <= click_and(None)
    for bulk in (b"x" * limits.LOOKED_AT_BYTES, list(range(limits.LOOKED_AT_BYTES // 2))):
        found = click_and(bulk)
        assert style in found
        assert encode not in found


def test_a_module_of_the_project_brings_its_own_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ourmodule.py").write_text(
        "import os, msgspec as ms\nfrom rich.text import Text\n\n"
        "def f(x):\n    import numpy\n    return x\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import ourmodule  # type: ignore[import-not-found]

    packages = requirements([dump_one(ourmodule.f)]).packages
    assert set(packages) == {"msgspec", "rich"}, "what is imported in a function is not asked for"
    assert packages["msgspec"] == msgspec.__version__


def install(place: Path, name: str, files: list[str], metadata: str = "Version: 2.1") -> None:
    """A distribution, with modules that each have a function `f`."""
    for file in files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_text("def f(x):\n    return x\n")
    about = place / f"{name.replace('-', '_')}-2.1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\n{metadata}\n")
    (about / "RECORD").write_text("".join(f"{file},sha256=x,9\n" for file in files))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = tmp_path / "site-packages"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    loaded = set(sys.modules)
    distributions._by_top.cache_clear()
    distributions._modules_of.cache_clear()
    yield place
    distributions._by_top.cache_clear()
    distributions._modules_of.cache_clear()
    for name in set(sys.modules) - loaded:
        del sys.modules[name]


def needs_of(*modules: str) -> dict[str, str]:
    return requirements([dump_one(importlib.import_module(name).f) for name in modules]).packages


def project(place: Path, **files: str) -> None:
    """Modules of a package `ourpackage`, with `_` for `/` in their names."""
    for name, text in files.items():
        path = place / "ourpackage" / f"{name.replace('_', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\ndef f(x):\n    return x\n")
    (place / "ourpackage" / "__init__.py").touch()


def test_only_imports_that_python_would_make_count(
    tmp_path: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    project(
        tmp_path,
        a='"""Such as:\n\nimport click\n"""\ntext = """\nimport rich\n"""',
        b="import rich; import click",
    )
    assert needs_of("ourpackage.a") == {}
    assert needs_of("ourpackage.b").keys() == {"rich", "click"}
    project(tmp_path, b="import rich")
    assert needs_of("ourpackage.b").keys() == {"rich"}, "the file has changed"


def test_what_the_project_imports_of_itself_is_followed(
    tmp_path: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    project(
        tmp_path,
        a="from . import b",
        b="from ourpackage.sub import c",
        sub_c="from ..d import f as g\nfrom .. import nothing",
        d="from .sub.e import *",
        sub_e="import click.testing",
        nothing="",
        sub_lost="import rich",
    )
    (tmp_path / "ourpackage" / "sub" / "__init__.py").write_text("import msgspec\n")
    install(installed, "ourpackage", ["ourpackage/other.py"], "Name: ourpackage\nVersion: 2.1")
    assert needs_of("ourpackage.a").keys() == {"click", "msgspec"}


def test_of_a_large_project_some_is_looked_at(
    tmp_path: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    project(tmp_path, a="from . import large\nimport click", large="import rich\n" + "#" * 2**20)
    assert needs_of("ourpackage.a").keys() == {"click"}
    project(tmp_path, broken="import rich")
    importlib.import_module("ourpackage.broken")
    (tmp_path / "ourpackage" / "broken.py").write_bytes(b"import rich\nx = \0(")
    assert needs_of("ourpackage.broken") == {}


def test_of_a_namespace_package_the_part_that_is_used_is_needed(installed: Path) -> None:
    install(installed, "cloud-auth", ["cloudy/auth/__init__.py"], "Name: cloud-auth\nVersion: 2.1")
    install(installed, "cloud-tables", ["cloudy/tables/v1.py"], "Name: cloud-tables\nVersion: 3.0")
    assert needs_of("cloudy.auth") == {"cloud-auth": "2.1"}
    assert needs_of("cloudy.tables.v1") == {"cloud-tables": "3.0"}
    assert needs_of("cloudy.auth", "cloudy.tables.v1").keys() == {"cloud-auth", "cloud-tables"}


def test_a_module_that_several_distributions_bring_is_asked_for_by_no_name(installed: Path) -> None:
    for name in ("sight", "sight-headless"):
        install(installed, name, ["sighted/__init__.py"], f"Name: {name}\nVersion: 2.1")
    assert needs_of("sighted") == {}


def test_what_is_wrong_with_a_distribution_costs_no_more_than_to_leave_it_out(
    installed: Path,
) -> None:
    install(installed, "versionless", ["versionlesspkg.py"], "Name: versionless")
    install(installed, "nameless", ["namelesspkg.py"])
    install(installed, "empty", ["emptypkg.py"])
    (installed / "empty-2.1.dist-info" / "METADATA").unlink()
    install(installed, "binary", ["binarypkg.py"], "Name: binary\nVersion: 2.1")
    (installed / "binary-2.1.dist-info" / "RECORD").write_bytes(b"\xff\xfe")
    install(installed, "sound", ["soundpkg.py"], "Name: sound\nVersion: 2.1")
    some = ["versionlesspkg", "namelesspkg", "emptypkg", "binarypkg", "soundpkg"]
    assert needs_of(*some) == {"sound": "2.1"}
    shutil.rmtree(installed / "sound-2.1.dist-info")
    importlib.invalidate_caches()
    assert needs_of(*some) == {}, "it was removed since"


versions = st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,2}){0,2}", fullmatch=True)


@given(
    st.dictionaries(st.sampled_from("abc"), versions),
    st.dictionaries(st.sampled_from("abcd"), versions),
)
def test_a_site_with_the_same_major_versions_fits(
    wanted: dict[str, str], there: dict[str, str]
) -> None:
    fits = all(
        name in there and there[name].split(".")[0] == version.split(".")[0]
        for name, version in wanted.items()
    )
    offer = Offer(python="3.11", packages=there)
    assert (offer.lacks(Requires(python="3.11", packages=wanted)) is None) == fits
    assert offer.lacks(Requires(python="3.12", packages={})) is not None
    assert Offer().lacks(Requires(python="3.9", packages=wanted)) is None, "nothing is known of it"


@pytest.mark.parametrize(
    ("wanted", "there", "fits"),
    [
        ("pytz 2023.3", "pytz 2026.1", True),
        ("certifi 2024.8.30", "certifi 2021.5", True),
        ("pdfminer-six 20221105", "pdfminer-six 20250506", True),
        ("pytz 2023.3", "pytz 3.0", False),
        ("numpy 1.26", "numpy 2.0", False),
        ("polars 0.19", "polars 0.20", True),
        ("opencv-python 4.9", "opencv-python-headless 4.10", True),
        ("opencv-contrib-python-headless 4.9", "opencv-python 4.10", True),
        ("opencv-python 4.9", "opencv-python-headless 5.0", False),
        ("psycopg2 2.9", "psycopg2-binary 2.9", True),
        ("psycopg2-binary 2.9", "psycopg2 2.9", True),
        ("cupy-cuda12x 13.1", "cupy-cuda11x 13.0", True),
        ("google-auth 2.0", "google-cloud-bigquery 2.0", False),
        ("binary-tree 1.0", "tree 1.0", False),
        ("torch-gpus 1.0", "torch 1.0", False),
    ],
)
def test_calendar_versions_and_other_builds_of_a_package_will_do(
    wanted: str, there: str, fits: bool
) -> None:
    name, version = wanted.split()
    offer = Offer(packages=dict([there.split()]))
    assert (offer.lacks(Requires(packages={name: version})) is None) == fits


names = st.text("ab[]!*?-.|()\n", max_size=6)


@given(st.lists(names, min_size=1, max_size=3), names)
def test_an_owner_lets_through_what_any_pattern_matches(allow: list[str], name: str) -> None:
    assert Offer(allow=allow).lets(name) == any(fnmatchcase(name, each) for each in allow)
