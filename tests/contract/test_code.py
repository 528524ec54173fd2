"""Works whose modules come from a directory of their own: no worker sees those of two."""

from __future__ import annotations

import os

import builders
import msgspec
import pytest

from hanse.payloads.payload import Payload


@pytest.fixture
def codes(tmp_path):
    """Three directories, each with a module `util` of its own."""
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "util.py").write_text(
            f"import os\nNAME = {name!r}\ndef call(x):\n    return NAME, os.getpid(), x\n"
        )
    return {name: str(tmp_path / name) for name in "abc"}


def of(name, code):
    """A program of that function of `util`, as a client pickles it that has the module; this
    process has none."""
    stream = f"cutil\n{name}\n.".encode()
    function = Payload(1, stream, (len(stream),))
    return msgspec.structs.replace(builders.program(None, code=code), function=function)


def called(bench, code, inputs=(0,)):
    """Names of the modules that were used, and the workers that ran the items."""
    running = bench.start(of("call", code), inputs)
    running.end()
    assert not running.failures(), running.failures()
    found = running.results().values()
    return {name for name, _, _ in found}, {pid for _, pid, _ in found}


def test_modules_are_those_of_the_work(local_bench, codes):
    bench = local_bench(max_idle=4)
    seen = {}
    for name in "abacbcabc":
        names, pids = called(bench, codes[name])
        assert names == {name}
        seen.setdefault(name, set()).update(pids)
    assert all(len(pids) == 1 for pids in seen.values())  # each code's worker is used again
    assert len(set.union(*seen.values())) == 3


def test_a_worker_that_has_served_no_code_serves_none_later(local_bench, codes):
    bench = local_bench(max_idle=4)
    plain = bench.run(lambda x: os.getpid(), [0]).results()[0]
    _, pids = called(bench, codes["a"])
    assert plain not in pids
    assert bench.run(lambda x: os.getpid(), [0]).results()[0] == plain


def test_workers_of_other_code_make_room(local_bench, codes):
    bench = local_bench(max_idle=1)
    for name in "abcabc":
        assert called(bench, codes[name])[0] == {name}
    builders.eventually(lambda: len(bench.call(bench.engine.pids)) <= 2)  # and the nursery


def test_a_worker_that_takes_the_place_of_a_dead_one_has_the_code(local_bench, codes, tmp_path):
    with open(codes["a"] + "/util.py", "a") as module:
        module.write(
            f"def once(x):\n    mark = {str(tmp_path / 'mark')!r}\n"
            "    if x == 1 and not os.path.exists(mark):\n"
            "        open(mark, 'w').close()\n        os._exit(3)\n    return call(x)\n"
        )
    running = local_bench(max_idle=1).start(of("once", codes["a"]), [0, 1, 2])
    running.end()
    assert set(running.failures()) == {1}
    assert {name for name, _, _ in running.results().values()} == {"a"}
    assert sorted(running.results()) == [0, 2]
