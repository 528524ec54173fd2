"""The driver: a process of its own that speaks to Ray for the engines of one node.

Ray ends a process that has lost its cluster, starts threads in it and listens to its signals; none
of that is for a node. An engine has a session here: a socket over which it orders actors and speaks
to them. Values pass through as they are: into Ray's object store from the files in which they came,
and back. When the node is gone, however it went, its end of the control socket is too, and the
driver goes; then Ray ends all actors that it asked for.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ray

from hanse.engines.local.frames import Inbox, send
from hanse.engines.ray.actor import Actor, Reply
from hanse.engines.ray.ferry import Ferry, Place, cross
from hanse.engines.ray.machines import free, machines, ray_options
from hanse.engines.ray.messages import (
    Close,
    Closed,
    End,
    Free,
    Gone,
    Heard,
    Machine,
    Machines,
    Made,
    Make,
    News,
    Tell,
    orders,
    plain,
)
from hanse.engines.ray.passage import Passage, contents, files, find
from hanse.model.resources import Amount

_LOOK_S = 0.5  # between two looks at which machines there are
_LONG_S = 1.0  # an actor that waits so long for a machine is looked into
_CLOSE_S = 3.0  # that actors may take to end their workers, before Ray ends them
_ACTOR = ray.remote(Actor)


class _Held:
    """An actor, as its session sees it."""

    def __init__(self, number: int, handle: Any) -> None:
        self.number = number
        self.handle = handle
        self.called = 0  # calls so far
        self.waiting = 0  # of which so many are not answered
        self.heard = 0  # replies handed on
        self.early: dict[int, Reply] = {}  # replies to calls that overtook others
        self.passage: Passage | Ferry | None = None  # the way beside Ray, once there is one
        self.asked_s = time.monotonic()
        self.made = False

    def kill(self) -> None:
        ray.kill(self.handle)
        self.forget()

    def forget(self) -> None:
        if self.passage is not None:
            self.passage.close()


class Session:
    """One engine's. Everything here runs in its own thread, but `put`."""

    def __init__(self, sock: socket.socket, known: Callable[[], list[Machine]]) -> None:
        self._sock = sock
        self._known = known
        self._actors: dict[int, _Held] = {}
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.put = self._tasks.put
        self._end_by_s: float | None = None  # set: all actors are ending
        self.over = False
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._run, daemon=True).start()

    def _read(self) -> None:
        inbox = Inbox(self._sock)
        with contextlib.suppress(OSError):
            while (frames := inbox.read()) is not None:
                for body, fds in frames:
                    self.put(partial(self._ordered, body, fds))
        self.put(self._end)

    def _run(self) -> None:
        self.tell_machines()
        while not self._ended():
            with contextlib.suppress(queue.Empty):
                self._tasks.get(timeout=_CLOSE_S if self._end_by_s is None else 0.1)()
        for actor in self._actors.values():
            actor.kill()
        self._say(Closed())
        self._sock.close()
        self.over = True

    def _say(self, news: News, fds: list[int] | None = None) -> None:
        with contextlib.suppress(OSError):  # the engine is gone; the reader has noticed
            send(self._sock, plain.encode(news), fds or [])

    def tell_machines(self) -> None:
        self._say(Machines(self._known()))

    @property
    def waits(self) -> bool:
        """Whether Ray has found no place for an actor for long. In any thread."""
        long_ago = time.monotonic() - _LONG_S
        return any(not one.made and one.asked_s < long_ago for one in [*self._actors.values()])

    def tell_free(self, free: dict[str, Amount]) -> None:
        self._say(Free(free))

    # --- orders -----------------------------------------------------------------------------------
    def _ordered(self, body: bytes | bytearray, fds: list[int]) -> None:
        match orders.decode(body):
            case Make(number, needs, sandbox):
                self._make(number, needs, sandbox)
            case Tell(number, commands):
                if number in self._actors:
                    self._call(self._actors[number], commands, fds)
            case End(number):
                if (actor := self._actors.pop(number, None)) is not None:
                    actor.kill()
            case Close():
                self._end()
        for fd in fds:
            os.close(fd)

    def _make(self, number: int, needs: Any, sandbox: bool) -> None:
        try:
            handle = _ACTOR.options(**ray_options(needs), max_concurrency=1000).remote(sandbox)
        except (ValueError, TypeError) as error:
            self._say(Gone(number, str(error), never=True))
            return
        actor = self._actors[number] = _Held(number, handle)
        self._answer(handle.machine.remote(), partial(self._made, actor))
        self._listen(actor)

    def _made(self, actor: _Held, place: tuple[str, str, Place] | BaseException) -> None:
        if isinstance(place, BaseException):
            self._gone(actor, place)
        elif actor.number in self._actors:
            machine, door, landing = place
            actor.made = True
            if (passage := find(door)) is not None:
                passage.listen(lambda: self.put(partial(self._take, actor)))
                actor.passage = passage
            else:
                threading.Thread(target=self._cross, args=(actor, landing), daemon=True).start()
            self._say(Made(actor.number, machine))

    def _cross(self, actor: _Held, place: Place) -> None:
        """In a thread of its own. Until it is done, and where there is no way, all goes by Ray."""
        gone = ConnectionResetError("the line to its machine was cut")
        with contextlib.suppress(OSError):
            ferry = cross(
                place,
                lambda: self.put(partial(self._take, actor)),
                lambda: self.put(partial(self._lose, actor, gone)),
            )
            self.put(partial(self._crossed, actor, ferry))

    def _crossed(self, actor: _Held, ferry: Ferry) -> None:
        if actor.number not in self._actors:
            ferry.close()
            return
        actor.passage = ferry
        self._take(actor)

    def _call(self, actor: _Held, commands: bytes, fds: list[int]) -> None:
        if actor.passage is None:
            self._listen(actor, commands, fds)
            return
        number, actor.called = actor.called, actor.called + 1
        with contextlib.suppress(OSError):  # it is gone: the call that listens tells
            actor.passage.send(number, commands, fds)

    def _listen(self, actor: _Held, commands: bytes = b"", fds: Sequence[int] = ()) -> None:
        """A call of Ray's: it ends when the actor says something in answer, or is lost."""
        number, actor.called = actor.called, actor.called + 1
        actor.waiting += 1
        reference = actor.handle.talk.remote(number, commands, *contents(fds))
        self._answer(reference, partial(self._heard, actor))

    def _answer(self, reference: Any, then: Callable[[Any], None]) -> None:
        """Call back in this thread with what the call returned or raised."""

        def done(future: Any) -> None:
            error = future.exception()
            value = future.result() if error is None else error
            self.put(partial(then, value))

        reference.future().add_done_callback(done)

    # --- replies ----------------------------------------------------------------------------------
    def _heard(self, actor: _Held, reply: Reply | BaseException) -> None:
        actor.waiting -= 1
        if actor.number not in self._actors:
            return
        if isinstance(reply, BaseException):
            self._gone(actor, reply)
            return
        if not actor.waiting and self._end_by_s is None:
            self._listen(actor)
        actor.early[reply[0]] = reply
        self._take(actor)

    def _take(self, actor: _Held) -> None:
        """Hand on what is here of its replies, in their order."""
        if actor.number not in self._actors:
            return
        while True:
            if (reply := actor.early.pop(actor.heard, None)) is not None:
                said, fds = reply[1], files(reply[2])
            elif actor.passage is not None and (came := actor.passage.take(actor.heard)):
                said, fds = came
            else:
                break
            actor.heard += 1
            if said:
                self._say(Heard(actor.number, said), fds)
            for fd in fds:
                os.close(fd)
        if not actor.waiting and not actor.early:  # it has ended, and that was its last word
            del self._actors[actor.number]
            actor.kill()

    def _lose(self, actor: _Held, error: BaseException) -> None:
        if actor.number in self._actors:
            self._gone(actor, error)
            actor.kill()

    def _gone(self, actor: _Held, error: BaseException) -> None:
        if self._actors.pop(actor.number, None) is not None:
            actor.forget()
            self._say(Gone(actor.number, _words(error)))

    # --- the end ----------------------------------------------------------------------------------
    def _end(self) -> None:
        """End all actors, and hear their last words."""
        if self._end_by_s is not None:
            return
        self._end_by_s = time.monotonic() + _CLOSE_S
        for actor in self._actors.values():
            actor.waiting += 1
            self._answer(actor.handle.stop.remote(), partial(self._heard, actor))

    def _ended(self) -> bool:
        if self._end_by_s is None:
            return False
        return not self._actors or time.monotonic() > self._end_by_s


def _words(error: BaseException) -> str:
    """Why an actor ended, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("class_name", "actor_id", "pid", "ip"))]
    return " ".join(told)[:1000] or type(error).__name__


class Watch:
    """Which machines there are; every session is told when that changes."""

    def __init__(self) -> None:
        self.machines = machines()
        self.sessions: list[Session] = []
        self._stop = threading.Event()
        threading.Thread(target=self._run, name="hanse-watch", daemon=True).start()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_S):
            with contextlib.suppress(Exception):  # Ray cannot say: it is asked again
                self._look()

    def _look(self) -> None:
        found = machines()
        if found != self.machines:
            self.machines = found
            self.sessions = [each for each in self.sessions if not each.over]
            for session in self.sessions:
                session.put(session.tell_machines)
        if waiting := [each for each in self.sessions if not each.over and each.waits]:
            now = free()
            for session in waiting:
                session.put(partial(session.tell_free, now))


def main() -> None:
    """Serve the sessions that come over the control socket until that is closed."""
    control = socket.socket(fileno=int(sys.argv[1]))
    try:
        ray.init(
            sys.argv[2],
            namespace="hanse",
            log_to_driver=False,
            logging_level="ERROR",
            configure_logging=False,
        )
        watch = Watch()
    except BaseException as error:
        with contextlib.suppress(OSError):
            control.sendall(b"!" + _words(error).encode())
        raise
    control.sendall(b".")
    with contextlib.suppress(OSError):
        while True:
            data, fds, _, _ = socket.recv_fds(control, 1, 1)
            if not data:
                break
            session = Session(socket.socket(fileno=fds[0]), lambda: watch.machines)
            watch.sessions.append(session)
    os._exit(0)  # what Ray would do in order, it does for who has vanished too


if __name__ == "__main__":
    main()
