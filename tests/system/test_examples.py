"""The examples, on small input, through the real client."""

from __future__ import annotations

import email
import gzip
import importlib
import json
import random
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def examples_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


def example(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A few hundred files of text, some of them odd."""
    seeded = random.Random(1)
    words = ["the", "The", "a_b", "x1y", "naïve", "日本", "it's", "-", "\r\n", "0"]
    for n in range(300):
        file = tmp_path / f"d{n % 7}" / f"{n}{seeded.choice(['.py', '.txt', '.rst'])}"
        file.parent.mkdir(exist_ok=True)
        file.write_text(" ".join(seeded.choices(words, k=seeded.randrange(200))))
    (tmp_path / "empty.txt").touch()
    (tmp_path / "binary.py").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "not_text.dat").write_text("unseen")
    return tmp_path


def test_words_are_runs_of_letters_in_any_case_and_language(tree: Path) -> None:
    wordcount = example("wordcount")
    (tree / "w.txt").write_text("The the THE a_b x1y naïve 日本, it's 0x1F")
    tally = wordcount.count(str(tree / "w.txt"))
    assert {word.decode(): n for word, n in tally.words.items()} == {
        "the": 3, "a_b": 1, "x": 2, "y": 1, "naïve": 1, "日本": 1, "it": 1, "s": 1, "f": 1,
    }  # fmt: skip


def test_the_count_of_words_equals_a_serial_count(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wordcount = example("wordcount")
    roots = [str(tree), str(Path(json.__file__).parent), str(Path(email.__file__).parent)]
    files = list(wordcount.text_files(roots))
    expected = wordcount.serial(files)
    assert expected.files == len(files) > 330
    assert expected.words[b"the"] > 1000
    assert wordcount.main(["--top", "1000000", *roots]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    counted = {line.split()[1]: int(line.split()[0].replace(",", "")) for line in lines}
    assert counted == {word.decode(errors="replace"): n for word, n in expected.words.items()}
    assert last.startswith(f"{len(files):,} files, {expected.bytes / 1e6:,.1f} MB, ")


def test_files_that_cannot_be_read_are_counted_and_shown(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wordcount = example("wordcount")
    (tree / "gone.txt").symlink_to(tree / "nowhere")
    assert wordcount.main([str(tree), str(tree / "nope")]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("2 files could not be read, such as\n")
    assert "gone.txt: No such file or directory" in said.err
    assert "302 files" in said.out


def test_a_file_is_counted_once_however_often_it_is_named(tree: Path) -> None:
    wordcount = example("wordcount")
    once = list(wordcount.text_files([str(tree)]))
    assert (
        list(wordcount.text_files([str(tree), str(tree / "d1"), str(tree / "empty.txt")])) == once
    )


def test_nothing_to_count_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert example("wordcount").main([str(tmp_path)]) == 1
    assert "there are no" in capsys.readouterr().err


def test_value_at_risk_depends_on_the_seed_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np = pytest.importorskip("numpy")
    risk = example("value_at_risk")
    book = risk.make_portfolio(3)
    serial = np.concatenate([risk.simulate(book, 3, 0, 20_000), risk.simulate(book, 3, 1, 5_000)])
    assert risk.main(["--paths", "25_000", "--seed", "3", "--out", ""]) == 0
    said = capsys.readouterr().out
    for level in (0.95, 0.99):
        value, shortfall = risk.risk(serial, level)
        assert 0 < value < shortfall
        assert (
            f"{level:.0%} 10 days  VaR {value:>9,.0f}   expected shortfall {shortfall:,.0f}" in said
        )


def test_option_values_agree_with_the_textbook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hull, Options, Futures, and Other Derivatives: the example of the Black-Scholes chapter."""
    np = pytest.importorskip("numpy")
    risk = example("value_at_risk")
    monkeypatch.setattr(risk, "RATE", 0.1)
    book = risk.Portfolio(
        spot=np.array([42.0]),
        volatility=np.array([0.2]),
        correlate=np.eye(1),
        stock=np.array([0, 0]),
        strike=np.array([40.0, 40.0]),
        years=np.array([0.5, 0.5]),
        sign=np.array([1.0, -1.0]),
        amount=np.array([1.0, 1.0]),
    )
    call, put = risk.option_values(book, book.spot, book.years)
    assert (call, put) == (pytest.approx(4.76, abs=0.005), pytest.approx(0.81, abs=0.005))


def test_value_at_risk_draws_a_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "risk.png"
    assert example("value_at_risk").main(["--paths", "3000", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def kmers_of(sequences: list[str], k: int) -> Counter[str]:
    """Slow and plain."""
    found: Counter[str] = Counter()
    for sequence in sequences:
        for start in range(len(sequence) - k + 1):
            kmer = sequence[start : start + k].upper()
            if set(kmer) <= set("ACGT"):
                other = kmer[::-1].translate(str.maketrans("ACGT", "TGCA"))
                found[min(kmer, other)] += 1
    return found


@pytest.mark.parametrize("k", [1, 4, 31])
def test_kmers_are_those_of_a_plain_loop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, k: int
) -> None:
    pytest.importorskip("numpy")
    kmers = example("kmers")
    seeded = random.Random(k)
    sequences = ["".join(seeded.choices("ACGTacgtN", k=n)) for n in (0, 1, 30, 31, 5000, 777)]
    sequences.append("ACGT" * 1000)
    lines = []
    for sequence in sequences:
        lines += [">one", *(sequence[at : at + 61] for at in range(0, len(sequence), 61))]
    text = "\n".join(lines).encode()
    (tmp_path / "a.fa").write_bytes(text)
    (tmp_path / "a.fa.gz").write_bytes(gzip.compress(text))
    expected = kmers_of(sequences, k)

    table = kmers.serial(k, kmers.cut(text.splitlines(), k, size=100))
    assert {
        kmers.letters_of(int(kmer), k): int(n) for kmer, n in zip(*table, strict=True)
    } == expected
    for file in ("a.fa", "a.fa.gz"):
        assert kmers.main([str(tmp_path / file), "--k", str(k), "--top", "100000"]) == 0
        shown = re.findall(r"^ *([\d,]+)  ([ACGT]+)$", capsys.readouterr().out, re.M)
        assert {kmer: int(n.replace(",", "")) for n, kmer in shown} == expected


def test_a_genome_is_made_up_where_none_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("numpy")
    kmers = example("kmers")
    assert kmers.main(["--bases", "600000"]) == 0
    said = capsys.readouterr().out
    table = kmers.serial(21, kmers.cut(kmers.made_up_genome(1, 600_000), 21))
    assert f"599,980 21-mers, {len(table.kmers):,} different" in said


def test_the_best_of_a_grid_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    search = example("grid_search")
    assert search.main(["-p", "x=-5:5:0.25", "-p", "y=-5:5:0.25"]) == 0
    said = capsys.readouterr()
    first, second, *_, last = said.out.splitlines()
    assert first.split() == ["value", "x", "y"]
    assert second.split() == ["0", "3.0", "2.0"]
    assert last.startswith("1,681 points, 1 failed")
    assert "'x': 0.0, 'y': 0.0" in said.err
    assert "undefined at the origin" in said.err


def test_any_function_can_be_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "some_model.py").write_text(
        "def score(depth, kind):\n    return depth * {'gini': 1, 'entropy': 2}[kind]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    grid = ["-p", "depth=1:9:1", "-p", "kind=gini,entropy,other"]
    assert example("grid_search").main(["some_model:score", *grid, "--highest"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1].split() == ["18", "9", "entropy"]
    assert said[-1].startswith("27 points, 9 failed")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("x=0:1:0.1", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        ("x=3:1:-1", [3, 2, 1]),
        ("x=0:1:0.3", [0.0, 0.3, 0.6, 0.9]),
        ("x=1,2.5,None,a b", [1, 2.5, None, "a b"]),
    ],
)
def test_a_parameter_is_a_range_or_a_list(text: str, values: list[object]) -> None:
    assert example("grid_search").parameter(text) == ("x", values)


@pytest.mark.parametrize(
    "text", ["x", "x=", "1=2,3", "x=0:1:0", "x=0:-1:0.5", "x=a:b:c", "x=0:1:nan"]
)
def test_a_wrong_parameter_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        example("grid_search").main(["-p", text])
    assert ended.value.code == 2
    assert "-p/--param" in capsys.readouterr().err
