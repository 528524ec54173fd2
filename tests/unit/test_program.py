"""What a record says of the program that made it."""

from __future__ import annotations

import pytest

from hanse.records.program import HIDDEN, here, without_secrets


@pytest.mark.parametrize(
    "option",
    ["--password", "--db-pass", "--client-secret", "--api_token", "--TOKEN", "-auth", "--api-key",
     "--apikey", "--key", "--credentials", "--pwd"],
)  # fmt: skip
def test_values_that_look_like_secrets_are_hidden(option: str) -> None:
    for words in ([f"{option}=hunter2"], [option, "hunter2"], [f"{option.lstrip('-')}=hunter2"]):
        kept = without_secrets(["prog.py", "--fast", *words, "--last=1", "end"])
        assert "hunter2" not in " ".join(kept)
        assert HIDDEN in kept[2] + kept[3]
        assert (kept[:2], kept[-2:]) == (["prog.py", "--fast"], ["--last=1", "end"])


def test_passwords_in_urls_are_hidden() -> None:
    kept = without_secrets(["prog.py", "--db=postgresql://me:hunter2@host:5/d", "http://a:p@ss@h"])
    assert kept == ["prog.py", f"--db=postgresql://me:{HIDDEN}@host:5/d", f"http://a:{HIDDEN}@h"]


def test_the_rest_of_a_command_line_stays_as_it_is() -> None:
    line = "my-token/prog.py --passes 3 --max-tokens=5 --tokenizer gpt2 --author me --auth"
    argv = [*line.split(), "--verbose", "--keyword=x", "key", "http://host:80/a@b", "-", ""]
    assert without_secrets(argv) == argv


def test_a_record_keeps_no_secret_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["prog.py", "--password=hunter2"])
    assert here()["argv"] == ["prog.py", f"--password={HIDDEN}"]
    monkeypatch.setattr("sys.argv", [])
    assert here()["argv"] == [""]
