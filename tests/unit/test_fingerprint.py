"""What counts as a change of a function, and how it is told."""

from __future__ import annotations

import textwrap

import msgspec
import pytest
from programs import Load

from hanse import limits
from hanse.client.fingerprints import bytecode
from hanse.client.fingerprints.changes import changes
from hanse.client.fingerprints.manifest import Manifest


def told(load: Load, before: tuple[str, ...], after: tuple[str, ...]) -> list[str]:
    """The changes between two versions of a program: its source, and that of helpers."""
    one, two = (
        load(source, **({"helpers": helpers[0]} if helpers else {}))
        for source, *helpers in (before, after)
    )
    assert changes(one, one) == changes(two, two) == []
    return changes(one, two)


COUNT = """
    import helpers
    ALPHA = 3
    def count(path):
        return helpers.parse(path) + ALPHA
"""
HELPERS = """
    def parse(text):
        return clean(text) + 1
    def clean(text):
        return text.strip()
    def never(text):
        return 1
"""


# --- the wording ----------------------------------------------------------------------------------
def test_the_functions_own_change_comes_with_its_diff(load: Load) -> None:
    after = COUNT.replace("+ ALPHA", "- ALPHA")
    assert told(load, (COUNT, HELPERS), (after, HELPERS)) == [
        "the function count was changed:",
        "   def count(path):",
        "  -    return helpers.parse(path) + ALPHA",
        "  +    return helpers.parse(path) - ALPHA",
    ]


def test_a_function_that_it_calls(load: Load) -> None:
    lines = told(load, (COUNT, HELPERS), (COUNT, HELPERS.replace("+ 1", "+ 2")))
    assert lines[0] == "helpers.parse, which it calls, was changed:"
    assert lines[-1] == "  +    return clean(text) + 2"


def test_a_function_that_is_called_by_one_that_it_calls(load: Load) -> None:
    lines = told(load, (COUNT, HELPERS), (COUNT, HELPERS.replace("strip()", "strip('x')")))
    assert lines[0] == "helpers.clean, which helpers.parse calls, was changed:"


def test_a_value(load: Load) -> None:
    lines = told(load, (COUNT, HELPERS), (COUNT.replace("= 3", "= 5"), HELPERS))
    assert lines == ["value ALPHA, which count uses, was 3 and is 5"]


def test_a_secret_is_compared_and_not_shown(load: Load) -> None:
    before = COUNT.replace("ALPHA", "API_TOKEN").replace("= 3", "= 'hunter2'")
    after = before.replace("hunter2", "hunter3")
    lines = told(load, (before, HELPERS), (after, HELPERS))
    assert any("API_TOKEN" in line for line in lines)
    assert not any("hunter" in line for line in lines)


def test_what_it_calls_now_and_does_not_call_any_more(load: Load) -> None:
    after = HELPERS.replace("clean(text) +", "tidy(text) +") + "    def tidy(text): return 2\n"
    lines = told(load, (COUNT, HELPERS), (COUNT, after))
    assert "helpers.parse calls helpers.tidy now" in lines
    assert "helpers.parse does not call helpers.clean any more" in lines
    direct = COUNT.replace("helpers.parse(path) + ALPHA", "helpers.clean(path)")
    lines = told(load, (COUNT, HELPERS), (direct, HELPERS))
    assert "it does not call helpers.parse any more" in lines
    assert "it does not use value ALPHA any more" in lines
    lines = told(load, (direct, HELPERS), (COUNT, HELPERS))
    assert "it calls helpers.parse now" in lines
    assert "it uses value ALPHA now: 3" in lines


def test_another_function_is_said_to_be_another(load: Load) -> None:
    after = "def tally(path): return 1\ncount = tally"
    lines = told(load, ("def count(path): return 1",), (after,))
    assert lines == ["the function was count and is tally"]


def test_defaults_closures_and_arguments_of_partials(load: Load) -> None:
    source = """
        import functools
        def make(step):
            def count(path, n={n}, *, key={n}):
                return path + n + step
            return functools.partial(count, {n}, key={n})
        count = make({n})
    """
    one, two = ((textwrap.dedent(source).format(n=n),) for n in (1, 2))
    assert sorted(told(load, one, two)) == [
        "argument 1 of partial(make.<locals>.count) was 1 and is 2",
        "argument `key` of partial(make.<locals>.count) was 1 and is 2",
        "closure cell `step` of make.<locals>.count was 1 and is 2",
        "default `key` of make.<locals>.count was 1 and is 2",
        "default `n` of make.<locals>.count was 1 and is 2",
    ]


def test_methods_that_come_and_go(load: Load) -> None:
    source = "class A:\n  def {}(self): pass\ndef count(x): return A"
    assert told(load, (source.format("old"),), (source.format("new"),)) == [
        "A has A.new now",
        "A does not have A.old any more",
    ]


def test_long_stories_are_cut(load: Load) -> None:
    def source(value: int) -> str:
        names = "\n".join(f"V{at} = {value}" for at in range(200))
        return f"{names}\ndef count(): return {' + '.join(f'V{at}' for at in range(200))}"

    lines = told(load, (source(1),), (source(2),))
    assert len(lines) == limits.CHANGES_LINES + 1
    assert lines[-1] == f"... and {200 - limits.CHANGES_LINES} more lines"


# --- what is a change -----------------------------------------------------------------------------
CLASSES = """
    import dataclasses, enum
    class Base:
        LIMIT = 3
        def base(self): return 1
    class Reader(Base):
        def __init__(self, path): self.path = path
        @property
        def size(self): return 1
        @staticmethod
        def other(): return 1
    class Color(enum.Enum):
        RED = 1
    @dataclasses.dataclass
    class Point:
        x: int
        y: int = 0
        z: list = dataclasses.field(default_factory=list)
    def count(path):
        return Reader(path), Color.RED, Point(1, 2)
"""


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("return 1\n    class Reader", "return 2\n    class Reader", "Base.base was changed:"),
        ("def size(self): return 1", "def size(self): return 2", "Reader.size was changed:"),
        ("def other(): return 1", "def other(): return 2", "Reader.other"),
        ("Reader(Base)", "Reader", "class Reader, which it uses, was (Base)"),
        ("LIMIT = 3", "LIMIT = 4", "value Base.LIMIT was 3 and is 4"),
        ("RED = 1", "RED = 2", "value Color.RED was 1 and is 2"),
        ("y: int = 0", "y: int = 1", "value Point.y was 0 and is 1"),
        ("x: int", "x: float", "class Point, which it uses, was (object) with the fields x: int"),
        ("default_factory=list", "default_factory=dict", "z made by dict"),
    ],
)
def test_classes_count_with_methods_bases_and_fields(
    load: Load, before: str, after: str, line: str
) -> None:
    assert before in CLASSES
    lines = told(load, (CLASSES,), (CLASSES.replace(before, after),))
    assert line in "\n".join(lines)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def count(x): return T['a'](x)", "f = lambda x: x + 1\nT = {'a': f}"),
        ("from functools import lru_cache\ndef count(x): return f(x)",
         "@lru_cache\ndef f(x): return x + 1"),
        ("import contextlib\ndef count(x): return f(x)",
         "@contextlib.contextmanager\ndef f(x): yield x + 1"),
        ("import hanse\ndef count(x): return f(x)", "@hanse.task\ndef f(x): return x + 1"),
        ("import functools\ndef count(x): return g(x)",
         "def f(a, x): return x + 1\ng = functools.partial(f, 3)"),
        ("def count(x): return [f(y) for y in x]", "def f(x): return x + 1"),
        ("def count(x):\n    def g(): return f(x)\n    return g()", "def f(x): return x + 1"),
        ("import functools\ndef deco(f):\n  @functools.wraps(f)\n  def g(*a): return f(*a)\n"
         "  return g", "@deco\ndef count(x): return x + 1"),
        ("class C:\n  def f(self, x): return g(x)", "def g(x): return x + 1\ncount = C().f"),
        ("class C:\n  def __call__(self, x): return g(x)", "def g(x): return x + 1\ncount = C()"),
        ("", "count = lambda x: x + 1"),
        ("class A:\n  def go(self, x): return f(x)\nOBJ = A()\ndef count(x): return OBJ.go(x)",
         "def f(x): return x + 1"),
        ("import re\ndef count(x): return P.match(x)", "P = re.compile('x + 1')"),
        ("from pathlib import Path\ndef count(x): return P", "P = Path('x + 1')"),
    ],
)  # fmt: skip
def test_what_is_reached_on_other_ways_counts(load: Load, before: str, after: str) -> None:
    source = f"{before}\n{after}\n"
    assert told(load, (source,), (source.replace("x + 1", "x + 2"),))


def test_two_helpers_that_changed_places_are_a_change(load: Load) -> None:
    source = "from helpers import {} as a, {} as b\ndef count(x): return a(x) - b(x)"
    lines = told(
        load, (source.format("parse", "clean"), HELPERS), (source.format("clean", "parse"), HELPERS)
    )
    assert lines == ["the function count was changed"]


def test_another_function_of_a_library_is_a_change(load: Load) -> None:
    source = "from math import {} as f\ndef count(x): return f(x)"
    lines = told(load, (source.format("floor"),), (source.format("ceil"),))
    assert "value f, which count uses, was math.floor and is math.ceil" in lines


@pytest.mark.parametrize("text", ["import helpers", "from helpers import parse"])
def test_a_module_that_is_imported_when_it_runs_counts_as_a_whole(load: Load, text: str) -> None:
    source = f"def count(x):\n    {text}\n    return 1"
    lines = told(load, (source, HELPERS), (source, HELPERS.replace("+ 1", "+ 2")))
    assert lines[0] == "module helpers, which it uses, was changed:"
    assert told(load, (source, HELPERS), (source, HELPERS + "    # a comment\n")) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return helpers", "# why\n\n        return helpers"),
        ("return helpers.parse(path) + ALPHA",
         "return (\n            helpers.parse(path)\n            + ALPHA\n        )"),
        ("def count", "'''New lines above.'''\n    def count"),
        ("(path):", "(path):\n        '''A docstring.'''"),
        ("def count(path)", "def count(path: str) -> int"),
        ("ALPHA = 3", "BETA = ALPHA = 3"),
    ],
)  # fmt: skip
def test_comments_layout_docstrings_and_annotations_are_no_change(
    load: Load, before: str, after: str
) -> None:
    assert before in COUNT
    assert told(load, (COUNT, HELPERS), (COUNT.replace(before, after), HELPERS)) == []


def test_a_docstring_that_changed_is_no_change(load: Load) -> None:
    source = "class C:\n  '''One.'''\n  def f(self): '''One.'''\ndef count(x):\n  '''One.'''\n  C()"
    assert told(load, (source,), ("\n\n" + source.replace("One", "Two"),)) == []


def test_what_it_does_not_name_is_no_change(load: Load) -> None:
    after = HELPERS.replace("return 1", "return 2")
    assert told(load, (COUNT, HELPERS), (COUNT, after)) == []
    source = "count_all = {}\nclass X: pass\ndef count(x): return x.count_all"
    assert told(load, (source.format(1),), (source.format(2),)) == []  # an attribute's name


def test_loggers_locks_and_clients_make_no_alarm(load: Load) -> None:
    source = """
        import logging, threading, socket, io
        LOG, LOCK, OUT = logging.getLogger("{}"), threading.Lock(), io.StringIO("{}")
        SELF = object()
        def count(x, lock=threading.RLock()):
            LOG.info(x, LOCK, OUT, SELF)
    """
    assert told(load, (source.replace("{}", "a"),), (source.replace("{}", "b"),)) == []


def test_what_code_assigns_to_is_state_and_no_change(load: Load) -> None:
    source = """
        MODEL = {}
        def model():
            global MODEL
            MODEL = MODEL or open("model")
            return MODEL
        def count(x): return (model(), MODEL)
    """
    assert told(load, (source.format(None),), (source.format("'loaded'"),)) == []


def test_arrays_count_where_they_are_bound_and_as_globals(load: Load) -> None:
    pytest.importorskip("numpy")
    bound = """
        import numpy, functools
        def f(table, x): return table[x]
        count = functools.partial(f, numpy.arange({}))
    """
    [line] = told(load, (bound.replace("{}", "9"),), (bound.replace("{}", "8"),))
    assert line == "argument 1 of partial(f) was changed"
    free = "import numpy\nA = numpy.arange({})\ndef count(x): return A[x]"
    [line] = told(load, (free.format(9),), (free.format(8),))
    assert line == "value A, which count uses, was changed"


def test_the_state_of_a_bound_object_counts(load: Load) -> None:
    source = """
        import threading
        class Reader:
            def __init__(self, n): self.n, self.lock, self.seen = n, threading.Lock(), {{1, "a"}}
            def read(self, x): return x
        count = Reader({}).read
    """
    one, two = (textwrap.dedent(source).format(n) for n in (1, 2))
    assert told(load, (one,), (one,)) == []
    assert told(load, (one,), (two,)) == ["the object of Reader.read was changed"]


# --- other versions of Python ---------------------------------------------------------------------
def recorded_by(manifest: Manifest, python: str, *, source: bool = True) -> Manifest:
    """As another Python would have recorded it: with other digests of code."""
    return Manifest(
        manifest.function,
        {
            name: msgspec.structs.replace(
                part, python=python, digest=b"other", source=part.source if source else None
            )
            if part.python
            else part
            for name, part in manifest.parts.items()
        },
    )


def test_another_python_compares_sources_without_comments(load: Load) -> None:
    now = load(COUNT, helpers=HELPERS)
    commented = COUNT.replace("(path):", "(path):  # why\n        '''Doc.'''\n")
    same = recorded_by(load(commented, helpers=HELPERS), "3.99")
    assert changes(same, now) == []
    other = recorded_by(load(COUNT.replace("+ ALPHA", "* ALPHA"), helpers=HELPERS), "3.99")
    assert changes(other, now)[0] == "the function count was changed:"


def test_another_python_says_what_it_cannot_compare(load: Load) -> None:
    now = load("def count(x): return x")
    assert changes(recorded_by(now, "3.99", source=False), now) == [
        "the function count cannot be compared: it was recorded by Python 3.99, this is "
        f"{bytecode.PYTHON}, and its source is not known"
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("np.array([1, 2])", "np.array([1, 3])"),
        ("np.float64(1)", "np.float64(2)"),
        ("Config(1)", "Config(2)"),
        ("SimpleNamespace(x=1)", "SimpleNamespace(x=2)"),
        ("deque([1])", "deque([2])"),
        ("{'settings': [Config(1)]}", "{'settings': [Config(2)]}"),
    ],
)
def test_settings_of_any_common_kind_count(load: Load, before: str, after: str) -> None:
    text = """
        import dataclasses
        import numpy as np
        from collections import deque
        from types import SimpleNamespace

        @dataclasses.dataclass(frozen=True)
        class Config:
            x: int

        SETTINGS = {}

        def count(path):
            return SETTINGS
    """
    same = told(load, (text.replace("{}", before), ""), (text.replace("{}", before), ""))
    assert same == []
    lines = told(load, (text.replace("{}", before), ""), (text.replace("{}", after), ""))
    assert any("SETTINGS" in line for line in lines), lines


def test_loggers_and_locks_do_not_count(load: Load) -> None:
    text = """
        import logging, threading
        LOG, LOCK = logging.getLogger("NAME"), threading.Lock()

        def count(path):
            with LOCK:
                LOG.info(path)
    """
    assert told(load, (text.replace("NAME", "a"), ""), (text.replace("NAME", "b"), "")) == []
