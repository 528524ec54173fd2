"""What every journal promises (see `hanse.journal.port`)."""

from __future__ import annotations

import os
import re
import threading

import msgspec
import pytest
from contract.journal.making import ME, Append, Open, add, blob, bodies, head, job, seal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanse import limits
from hanse.errors import (
    Fenced,
    InternalError,
    JobBusy,
    JournalDamaged,
    JournalError,
    NameTaken,
    NoSuchJob,
)
from hanse.journal.port import Entry, Journal


def test_a_journal_has_an_id_that_stays(journal: Journal, opened: Open) -> None:
    assert re.fullmatch("[0-9a-f]{32}", journal.id)
    assert opened().id == journal.id


def test_what_was_appended_is_read_back_in_order_by_whoever_opens_it(opened: Open) -> None:
    journal, one = opened(), head("sum")
    run = journal.create(one, ME)
    add(journal, one, run, 0, 3)
    add(journal, one, run, 3, limits.JOURNAL_READ_ROWS + 5)
    journal.close()
    again = opened()
    assert again.find("sum") == again.find(one.id) == one
    assert bodies(again, one.id) == [b"body %d" % n for n in range(limits.JOURNAL_READ_ROWS + 8)]
    assert bodies(again, one.id, 259) == [b"body 259", b"body 260", b"body 261", b"body 262",
                                          b"body 263"]  # fmt: skip


def test_reading_goes_on_while_others_append(opened: Open) -> None:
    journal, one = opened(), head()
    run = journal.create(one, ME)
    add(journal, one, run, 0, 600)
    reading = opened().read(one.id)
    first = next(reading).body
    add(journal, one, run, 600, 10)
    rest = [entry.body for entry in reading]
    assert [first, *rest] == [b"body %d" % n for n in range(610)]


def test_every_field_of_a_head_is_kept_and_the_last_append_sets_it(journal: Journal) -> None:
    one = head(
        "all of it \0 \udce4 ü", function="f" * 1000, ended_s=3.5, state="failed", size=2**40,
        total=2**41, done=3, failed=4, stored_bytes=5, summary=b"\0\xff",
    )  # fmt: skip
    run = journal.create(one, ME)
    found = journal.find(one.id)
    assert found == msgspec.structs.replace(one, name="all of it \\x00 \\udce4 ü")
    assert journal.find(one.name) == found
    later = msgspec.structs.replace(
        one, state="done", done=7, ended_s=None, total=None, summary=b"s", superseded=True
    )
    journal.append([Append(later, run, [])])
    assert journal.find(one.id) == msgspec.structs.replace(
        later, name="all of it \\x00 \\udce4 ü", superseded=False
    )


def test_a_batch_given_again_is_there_once(journal: Journal) -> None:
    one, other = head("one"), head("other")
    runs = journal.create(one, ME), journal.create(other, ME)
    batch = [
        Append(one, runs[0], [seal(one.id, n, b"%d" % n, b"p", [blob(n)]) for n in range(3)]),
        Append(other, runs[1], [seal(other.id, 0, b"0")]),
    ]
    for _ in range(3):
        journal.append(batch)
    assert bodies(journal, one.id) == [b"0", b"1", b"2"]
    more = [seal(one.id, n, b"%d" % n) for n in range(1, 5)]
    journal.append([Append(one, runs[0], more)])  # two are there, two are new
    assert bodies(journal, one.id) == [b"0", b"1", b"2", b"3", b"4"]
    assert journal.payloads(one.id, [1]) == [b"p"]


def test_an_old_batch_given_again_does_not_turn_the_head_back(journal: Journal) -> None:
    one = head(done=1)
    run = journal.create(one, ME)
    add(journal, one, run, 0)
    newer = msgspec.structs.replace(one, done=2)
    add(journal, newer, run, 1)
    add(journal, one, run, 0)
    assert journal.find(one.id) == newer


def test_other_bytes_under_a_number_that_is_there_are_refused(journal: Journal) -> None:
    one = head()
    run = journal.create(one, ME)
    add(journal, one, run, 0)
    with pytest.raises(JournalDamaged, match="entry 0 of job"):
        journal.append([Append(one, run, [seal(one.id, 0, b"else"), seal(one.id, 1, b"1")])])
    assert bodies(journal, one.id) == [b"body 0"]


def test_a_gap_is_our_bug_and_nothing_is_recorded(journal: Journal) -> None:
    one = head()
    run = journal.create(one, ME)
    for numbers in ([1], [0, 2], [0, 0]):
        with pytest.raises(InternalError, match="gap"):
            journal.append([Append(one, run, [seal(one.id, n, b"") for n in numbers])])
    assert bodies(journal, one.id) == []


def test_a_batch_is_recorded_as_a_whole_or_not_at_all(journal: Journal) -> None:
    one, other = head(), head()
    runs = journal.create(one, ME), journal.create(other, ME)
    for first, second in ((one, other), (other, one)):
        with pytest.raises(Fenced):
            journal.append(
                [Append(first, runs[0] + (first is other), [seal(first.id, 0, b"")]),
                 Append(second, runs[0] + (second is other), [seal(second.id, 0, b"")])]
            )  # fmt: skip
    assert runs == (1, 1)
    assert bodies(journal, one.id) == bodies(journal, other.id) == []


def test_payloads_are_read_apart_and_a_missing_one_is_an_error(journal: Journal) -> None:
    one = head()
    run = journal.create(one, ME)
    big = bytes(range(256)) * 4096
    add(journal, one, run, 0, payload=big)
    add(journal, one, run, 1)
    add(journal, one, run, 2, payload=b"")
    assert [entry.payload for entry in journal.read(one.id)] == [None] * 3
    assert journal.payloads(one.id, [2, 0]) == [b"", big]
    assert journal.payloads(one.id, []) == []
    for missing in (1, 3):
        with pytest.raises(JournalDamaged, match="payload"):
            journal.payloads(one.id, [0, missing])


def test_payloads_are_given_up_to_their_bound_and_at_least_one(journal: Journal) -> None:
    one = head()
    run = journal.create(one, ME)
    large = bytes(limits.PAYLOADS_BYTES)
    for number, payload in enumerate((b"small", large, b"behind")):
        add(journal, one, run, number, payload=payload)
    assert journal.payloads(one.id, [0, 1, 2]) == [b"small", large]
    assert journal.payloads(one.id, [1, 2]) == [large]


def test_a_job_that_somebody_holds_is_busy_and_says_who(opened: Open) -> None:
    journal, other, one = opened(), opened(), head("nightly")
    journal.create(one, ME)
    for journal_object in (journal, other):
        with pytest.raises(JobBusy, match=rf"'nightly' .*process {ME.pid} on here since"):
            journal_object.create(head("nightly"), ME)
        with pytest.raises(JobBusy, match="nightly"):
            journal_object.remove(one.id)
    with pytest.raises(JobBusy, match="nightly"):
        other.claim(one.id, ME)
    assert other.holder(one.id) == journal.holder(one.id) == ME
    assert [found.id for found in journal.heads()] == [one.id]
    assert journal.find("nightly") == one  # not superseded by what failed


def test_release_and_close_give_jobs_back(opened: Open) -> None:
    journal, other = opened(), opened()
    one, two = head("one"), head("two")
    journal.create(one, ME)
    journal.create(two, ME)
    journal.release(one.id)
    journal.release(one.id)
    assert other.holder(one.id) is None
    assert other.claim(one.id, ME) == 2
    with pytest.raises(JobBusy):
        other.claim(two.id, ME)
    journal.close()
    assert other.claim(two.id, ME) == 2


def test_a_new_claim_fences_the_old_run(opened: Open) -> None:
    journal, other, one = opened(), opened(), head("late")
    run = journal.create(one, ME)
    add(journal, one, run, 0)
    journal.release(one.id)
    newer = other.claim(one.id, ME)
    with pytest.raises(Fenced, match=r"'late' .*taken over"):
        add(journal, one, run, 1)
    with pytest.raises(Fenced):  # also what is there already
        add(journal, one, run, 0)
    add(other, one, newer, 1)
    assert bodies(journal, one.id) == [b"body 0", b"body 1"]


def test_claiming_again_what_one_holds_gives_a_new_run(journal: Journal) -> None:
    one = head()
    run = journal.create(one, ME)
    assert journal.claim(one.id, ME) == run + 1
    with pytest.raises(Fenced):
        add(journal, one, run, 0)
    journal.release(one.id)
    assert journal.holder(one.id) is None


def test_creating_again_the_same_job_claims_it(journal: Journal) -> None:
    one = head("again")
    run = journal.create(one, ME)
    add(journal, one, run, 0)
    newer = journal.create(one, ME)
    assert newer > run
    add(journal, one, newer, 1)
    assert bodies(journal, one.id) == [b"body 0", b"body 1"]
    assert len(journal.heads()) == 1


def test_a_newer_job_supersedes_the_older_of_its_name(journal: Journal) -> None:
    first, second = head("name"), head("name")
    run = journal.create(first, ME)
    add(journal, first, run, 0)
    journal.release(first.id)
    journal.create(second, ME, first.id)
    assert journal.find("name") == second
    assert journal.find(first.id) == msgspec.structs.replace(first, superseded=True)
    assert bodies(journal, first.id) == [b"body 0"]
    run = journal.claim(first.id, ME)  # and it may still be run by its id
    add(journal, first, run, 1)
    found = journal.find(first.id)
    assert found is not None
    assert found.superseded


def test_a_job_that_its_maker_did_not_know_of_is_not_superseded(opened: Open) -> None:
    journal, first = opened(), head("name")
    run = journal.create(first, ME)
    add(journal, first, run, 0)
    journal.release(first.id)
    for known in (None, job()):
        with pytest.raises(NameTaken, match=f"'name' .{first.id}"):
            opened().create(head("name"), ME, known)
    assert journal.find("name") == first
    assert len(journal.heads()) == 1
    assert journal.claim(first.id, ME) == 2


def test_jobs_without_a_name_leave_each_other_alone(journal: Journal) -> None:
    one, two = head(), head()
    journal.create(one, ME)
    journal.create(two, ME)
    assert journal.find("") is None
    assert journal.heads() == [two, one]


def test_heads_are_newest_first_and_no_more_than_asked_for(journal: Journal) -> None:
    made = [head(f"n{n}", created_s=1000.0 - n) for n in range(5)]  # clocks may run backwards
    for one in made:
        journal.create(one, ME)
    assert journal.heads() == made[::-1]
    assert journal.heads(limit=2) == [made[4], made[3]]
    assert journal.heads(limit=0) == []


def test_a_removed_job_is_gone_with_all_it_had(opened: Open) -> None:
    journal, one, two = opened(), head("gone"), head("stays")
    for which in (one, two):
        run = journal.create(which, ME)
        add(journal, which, run, 0, blobs=[blob(1), blob(2) if which is one else blob(3)])
        journal.ask(which.id, "cancel")
        journal.release(which.id)
    other = opened()
    other.remove(one.id)
    assert other.find(one.id) is None
    assert other.find("gone") is None
    assert other.holder(one.id) is None
    assert list(other.blobs()) == [blob(1), blob(3)]
    assert other.questions([one.id]) == {}
    assert bodies(journal, two.id) == [b"body 0"]
    for lost in (journal.claim, lambda *_: bodies(journal, one.id), journal.ask):
        with pytest.raises(NoSuchJob, match=one.id):
            lost(one.id, ME)  # type: ignore[operator]
    other.remove(one.id)  # there is nothing to forget
    assert journal.create(one, ME) == 1  # and nothing in its way


def test_who_held_a_removed_job_is_fenced(opened: Open) -> None:
    journal, one = opened(), head()
    run = journal.create(one, ME)
    journal.release(one.id)
    opened().remove(one.id)
    with pytest.raises(Fenced, match="removed"):
        add(journal, one, run, 0)


def test_every_blob_is_listed_once(journal: Journal) -> None:
    one, two = head(), head()
    count = limits.JOURNAL_READ_ROWS + 10
    for which in (one, two):
        run = journal.create(which, ME)
        add(journal, which, run, 0, 2, blobs=[blob(n) for n in range(count)])
    assert list(journal.blobs()) == [blob(n) for n in range(count)]


def test_questions_reach_the_holder_and_answers_come_back(opened: Open) -> None:
    journal, other = opened(), opened()
    one, two, three = head(), head(), head()
    for which in (one, two, three):
        journal.create(which, ME)
    assert journal.questions([one.id, two.id]) == {}
    first = other.ask(one.id, "cancel")
    second = other.ask(one.id, "explain")
    third = other.ask(two.id, "cancel")
    other.ask(three.id, "cancel")
    assert journal.questions([one.id, two.id]) == {
        one.id: (second, "explain"), two.id: (third, "cancel"),
    }  # fmt: skip
    assert other.answered(one.id, second) is None
    journal.answer(one.id, second, "waits for ü")
    assert other.answered(one.id, second) == "waits for ü"
    assert journal.questions([one.id]) == {one.id: (first, "cancel")}
    journal.answer(one.id, first, "")
    assert other.answered(one.id, first) == ""
    assert journal.questions([one.id]) == {}


def test_more_questions_than_are_kept_push_the_oldest_out(journal: Journal) -> None:
    one = head()
    journal.create(one, ME)
    numbers = [journal.ask(one.id, "why") for _ in range(limits.QUESTIONS_KEPT + 1)]
    assert numbers == sorted(set(numbers))
    for number in numbers:
        journal.answer(one.id, number, "so")
    assert journal.answered(one.id, numbers[0]) is None
    assert {journal.answered(one.id, number) for number in numbers[1:]} == {"so"}


def test_a_question_to_many_jobs_finds_each(journal: Journal) -> None:
    made = [head() for _ in range(3)]
    for one in made:
        journal.create(one, ME)
        journal.ask(one.id, "cancel")
    strangers = [job() for _ in range(1200)]
    assert set(journal.questions([*strangers, *(one.id for one in made)])) == {o.id for o in made}


def test_strange_ids_are_no_jobs(journal: Journal) -> None:
    for text in ("", "x", "j-", "j-ABCDEF012345", "j-0000000000001", "'; DROP TABLE jobs; --"):
        assert journal.find(text) is None
        with pytest.raises(NoSuchJob):
            journal.claim(text, ME)  # type: ignore[arg-type]
    assert journal.heads() == []


def test_after_close_calls_say_so_and_close_may_be_called_again(journal: Journal) -> None:
    one = head()
    run = journal.create(one, ME)
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        add(journal, one, run, 0)
    with pytest.raises(JournalError, match="closed"):
        journal.heads()
    with pytest.raises(JournalError, match="closed"):
        journal.holder(one.id)


def test_threads_may_share_a_journal(journal: Journal) -> None:
    def work(which: object) -> None:
        one = head()
        run = journal.create(one, ME)
        for n in range(20):
            add(journal, one, run, n)
            assert len(bodies(journal, one.id)) == n + 1
        finished.append(one.id)

    finished: list[str] = []
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(finished) == 4


def test_a_sound_journal_has_no_damage_and_a_size(journal: Journal) -> None:
    one = head()
    run = journal.create(one, ME)
    before = journal.stored_bytes()
    add(journal, one, run, 0, 20, payload=os.urandom(50_000))
    assert journal.stored_bytes() > before + 500_000
    assert journal.check() == []


def test_an_entry_that_does_not_fit_its_checksum_is_refused_and_named(journal: Journal) -> None:
    one, two = head("bad"), head("good")
    for which in (one, two):
        run = journal.create(which, ME)
        entry = seal(which.id, 0, b"body 0")
        if which is one:
            entry = Entry(0, b"body 1", entry.check)
        journal.append([Append(which, run, [entry])])
    with pytest.raises(JournalDamaged, match=f"entry 0 of job {one.id}"):
        bodies(journal, one.id)
    assert bodies(journal, two.id) == [b"body 0"]
    (line,) = journal.check()
    assert f"entry 0 of job {one.id}" in line
    assert journal.where in line


steps = st.lists(
    st.tuples(
        st.integers(0, 2),  # the job
        st.integers(0, 3),  # entries given again
        st.lists(
            st.tuples(
                st.binary(max_size=40),
                st.none() | st.binary(max_size=40),
                st.lists(st.integers(0, 9), max_size=2),
            ),
            max_size=4,
        ),
    ),
    max_size=12,
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=steps)
def test_any_appends_are_read_back_as_they_were_made(opened: Open, steps: list) -> None:  # type: ignore[type-arg]
    journal, other = opened(), opened()
    heads = [head(f"{job()}") for _ in range(3)]
    runs = [journal.create(one, ME) for one in heads]
    model: list[list[Entry]] = [[], [], []]
    for which, again, new in steps:
        one, made = heads[which], model[which]
        start = max(0, len(made) - again)
        made += [
            seal(one.id, len(made) + n, body, payload, [blob(b) for b in blobs])
            for n, (body, payload, blobs) in enumerate(new)
        ]
        heads[which] = msgspec.structs.replace(one, done=len(made))
        journal.append([Append(heads[which], runs[which], made[start:])])
    for one, made in zip(heads, model, strict=True):
        found = list(other.read(one.id))
        assert [(e.seq, e.body, e.check) for e in found] == [(e.seq, e.body, e.check) for e in made]
        for entry in made:
            if entry.payload is not None:
                assert other.payloads(one.id, [entry.seq]) == [entry.payload]
        assert other.find(one.id) == one
    for one in (journal, other):
        one.close()
