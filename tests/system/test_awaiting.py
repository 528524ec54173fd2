"""Jobs in coroutines."""

from __future__ import annotations

import asyncio

import pytest
from system.pools import hold, reciprocal

import hanse


def test_awaiting_a_job_gives_all_its_results(client):
    async def main():
        return await client.map(abs, range(-1000, 0))

    assert asyncio.run(main()) == list(range(1000, 0, -1))


def test_results_come_one_after_another_while_other_coroutines_run(client, tmp_path):
    flags = [tmp_path / str(i) for i in range(5)]

    async def main():
        taken = []

        async def take():
            async for path in client.map(hold, flags, flags):
                taken.append(path)

        task = asyncio.create_task(take())
        for at, flag in enumerate(flags):
            assert len(taken) == at
            flag.touch()
            while len(taken) == at:
                await asyncio.sleep(0.001)
        await task
        return taken

    assert asyncio.run(asyncio.wait_for(main(), 60)) == flags


def test_many_jobs_at_once(client):
    async def main():
        jobs = [client.map(abs, range(-n, 0)) for n in range(1, 20)]
        return await asyncio.gather(*jobs)

    assert [sum(found) for found in asyncio.run(main())] == [n * (n + 1) // 2 for n in range(1, 20)]


def test_a_loop_that_was_left_early_goes_on_where_it_was(client):
    async def main():
        job = client.map(abs, range(100))
        first = []
        async for value in job:
            first.append(value)
            if value == 41:
                break
        return first, [value async for value in job]

    first, rest = asyncio.run(main())
    assert first + rest == list(range(100))


def test_the_error_comes_after_what_is_good(client):
    async def main():
        taken = []
        with pytest.raises(ZeroDivisionError):
            async for value in client.map(reciprocal, [1, 2, 0]):
                taken.append(value)
        assert taken == [1, 0.5][: len(taken)]
        with pytest.raises(ZeroDivisionError):
            await client.map(reciprocal, [0])
        found = await client.map(reciprocal, [1, 0], on_error="collect")
        assert type(found[1]) is ZeroDivisionError

    asyncio.run(main())


def test_a_cancelled_wait_leaves_the_job(client, tmp_path):
    flag = tmp_path / "flag"

    async def main():
        job = client.map(hold, [flag], [7])
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(job, 0.05)
        assert job.state == "running"
        flag.touch()
        return await job

    assert asyncio.run(main()) == [7]


def test_a_cancelled_job_ends_the_wait(client, tmp_path):
    async def main():
        job = client.map(hold, [tmp_path / "never"])
        waiting = asyncio.ensure_future(job)
        await asyncio.sleep(0)
        job.cancel()
        with pytest.raises(hanse.JobCancelled):
            await waiting

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_job_of_a_node_can_be_awaited(node):
    async def main():
        with node.connect() as client:
            return await client.map(abs, range(-100, 0))

    assert asyncio.run(main()) == list(range(100, 0, -1))
