"""The server of one run: owns its environments, answers its client, and trusts nothing that the client writes.

Started by host.py as `python -m harness.gateway.server SOCKET`, with the offer on standard input, whose end is its own.
One thread does everything: what a client asks is seen in shared memory, everything else comes through `poll`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
import traceback
from pathlib import Path

import msgspec
from gymnasium.vector import AutoresetMode

from harness.gateway import owned, wire
from harness.gateway.answer import Answer, Group, Single
from harness.gateway.log import EpisodeLog
from harness.gateway.offer import CLOSING, Closing, Offer, Served, Used
from harness.gateway.opening import MOST_ENVIRONMENTS, Wanted, read_wanted, receive, reply_socket, send
from harness.gateway.owned import Fault, Play, Purse, Refusal, Stream
from harness.gateway.turn import SEQUENCE, doze, first_come
from harness.gateway.wire import End, Patience
from harness.record.files import write_slip

MOST_CHANNELS = 64
"""What a run may have open at once, beside `MOST_ENVIRONMENTS`."""
_BURST = 64
"""Rounds in which something was answered, until the sockets are looked at."""
_COMPLAINTS = 20
RAW = "episodes.raw"


class Channel:
    """An opened environment, or several that step as one, and the client's end of it."""

    def __init__(self, answer: Answer, end: End) -> None:
        """Begin before the first message."""
        self.answer, self.end = answer, end
        self._acts = {wire.RESET: answer.reset, wire.STEP: answer.step}
        self._words, self._publish, self._sequence = end.theirs, end.turn.publish, 0

    def serve(self) -> str | None:
        """Answer the message that has come; the sentence says what was wrong with it, and the channel is closed."""
        words = self._words
        sequence, asked = words[SEQUENCE], words[wire.ASKED]  # each read once: the client may change them
        if sequence != self._sequence + 1:
            return f"sequence number {sequence} in place of {self._sequence + 1}"
        act = self._acts.get(asked)
        if act is None:
            return f"unknown request {asked}"
        self._sequence = sequence
        try:
            act()
        except Refusal as refusal:
            self.answer.refuse(refusal)
        self._publish(sequence)
        return None


class Server:
    """All channels of a run."""

    def __init__(self, offer: Offer, control: socket.socket, log: EpisodeLog) -> None:
        """Begin with nothing opened."""
        self._offer, self._control, self._log = offer, control, log
        self._streams = _streams(offer, log)
        self._channels: dict[int, Channel] = {}
        self._watch()
        self._others = (0, control.fileno())
        self._patience = Patience()
        self._opened = 0
        self._misbehaved: list[str] = []
        self._ended = False

    def run(self) -> None:
        """Serve until standard input ends."""
        answered, patience = 0, self._patience
        while not self._ended:
            place = first_come(self._turns, patience.spins, answered)
            if place < 0:
                self._sleep()
                continue
            if patience.tried:
                patience.met()
            complaint = self._served[place].serve()
            if complaint is not None:
                self._complain(complaint)
                self._drop(self._served[place].end.other.fileno())
            answered += 1
            if answered % _BURST == 0:
                self._look(0)

    def closing(self, fault: str | None) -> Closing:
        """Close what is open, and say how it went."""
        with contextlib.suppress(Exception):  # an environment that cannot be closed has been counted all the same
            for number in list(self._channels):
                self._drop(number)
        used = {
            id: Used(training=training.used, evaluation=evaluation.used,
                     exhausted=training.exhausted or evaluation.exhausted)
            for id, (training, evaluation) in self._streams.items()
        }  # fmt: skip
        return Closing(used=used, misbehaved=self._misbehaved, fault=fault)

    def _watch(self) -> None:
        """Have all that is open looked at, and nothing else."""
        self._served = list(self._channels.values())
        self._turns = tuple(channel.end.turn for channel in self._served)

    def _sleep(self) -> None:
        """Wait for anything to happen."""
        began = time.perf_counter_ns()
        self._look(wire.NAP)
        if self._served:
            self._patience.slept(self._patience.spins + time.perf_counter_ns() - began)

    def _look(self, milliseconds: int) -> None:
        """Look at the sockets: hang-ups before newcomers, so that what is closed leaves room."""
        for number in doze(self._turns, self._others, milliseconds):
            if number in self._channels:
                self._drop(number)
            elif number == 0:
                self._ended = True
            else:
                self._welcome()

    def _drop(self, number: int) -> None:
        channel = self._channels.pop(number)
        self._watch()
        channel.end.other.close()
        channel.answer.close()

    def _complain(self, text: str) -> None:
        if len(self._misbehaved) < _COMPLAINTS:
            self._misbehaved.append(text)

    def _welcome(self) -> None:
        """Take a message from the run's own socket, which anybody in the clean room may write to.

        One at a time: whatever was closed before the next was sent has to be seen first. The harness holds the other
        end as long as we live, so an empty message does not mean that it was closed.
        """
        with contextlib.suppress(BlockingIOError):
            self._open(*receive(self._control))

    def _open(self, message: bytes, handles: list[int]) -> None:
        """Open what a client asks for; the answer goes to the socket that came with the message."""
        other = reply_socket(handles)
        if other is None:
            self._complain("a request to open something that brought no socket for the answer")
            return
        try:
            self._begin(message, other)
        except Refusal as refused:
            send(other, {"refused": refused.text}, [])
            other.close()
        except BaseException:
            other.close()
            raise

    def _begin(self, message: bytes, other: socket.socket) -> None:
        wanted = read_wanted(message)
        plays = self._plays(wanted)
        answer = Group(plays, AutoresetMode(wanted.autoreset)) if wanted.count else Single(plays)
        handles = answer.take_handles()
        try:
            sent = send(other, answer.describe(), handles)
        finally:
            for handle in handles:
                os.close(handle)
        if not sent:
            answer.close()
            raise Refusal("open", "nobody takes the answer")
        self._channels[other.fileno()] = Channel(answer, End(answer.reply, answer.request, other, asks=False))
        self._watch()

    def _plays(self, wanted: Wanted) -> list[Play]:
        if wanted.id not in self._streams:
            raise Refusal("open", f"{wanted.id[:80]!r} is not served here; known: {', '.join(self._streams)}")
        stream = self._streams[wanted.id][wanted.phase == "evaluation"]
        if stream.limit == 0:
            raise Refusal("open", f"{wanted.id} has no {wanted.phase} stream in this experiment")
        count = max(wanted.count, 1)
        held = sum(channel.answer.count for channel in self._channels.values())
        if len(self._channels) >= MOST_CHANNELS or held + count > MOST_ENVIRONMENTS:
            raise Refusal(
                "open", f"at most {MOST_CHANNELS} proxies and {MOST_ENVIRONMENTS} environments may be open at once"
            )
        if wanted.keywords:  # even to say whether a value is the right one would give it away
            name = next(iter(wanted.keywords))
            raise Refusal("open", f"the harness decides how {wanted.id} is made; leave {name[:80]!r} out")
        served = self._offer.environments[wanted.id]
        return [self._play(served, stream) for _ in range(count)]

    def _play(self, served: Served, stream: Stream) -> Play:
        try:
            env, limit = owned.make(served)
        except Exception as error:
            raise Fault(f"{stream.id} cannot be made: {type(error).__name__}: {error}") from error
        self._opened += 1
        return Play(env=env, stream=stream, index=self._opened - 1, limit=limit)


def _streams(offer: Offer, log: EpisodeLog) -> dict[str, tuple[Stream, Stream]]:
    began, purse = time.monotonic(), Purse(offer.most)

    def stream(number: int, environment: int, id: str, limit: int) -> Stream:
        return Stream(
            id=id, environment=environment, number=number, limit=limit, secret=offer.secret, log=log, began=began,
            purse=purse,
        )  # fmt: skip

    return {
        id: (stream(0, place, id, served.steps), stream(1, place, id, served.evaluation_steps))
        for place, (id, served) in enumerate(offer.environments.items())
    }


def _first_line() -> bytes:
    """The offer, without reading on: what follows is the end of standard input."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            raise SystemExit("the offer did not come")
        line += piece
    return line


def main() -> None:
    """Serve one run."""
    offer = msgspec.json.decode(_first_line(), type=Offer)
    control = socket.socket(fileno=int(sys.argv[1]))
    control.setblocking(False)
    fault = None
    with EpisodeLog(Path(offer.log, RAW)) as log:
        server = Server(offer, control, log)
        try:
            server.run()
        except Fault as error:
            fault = str(error)
        except Exception:
            fault = traceback.format_exc()
        closing = server.closing(fault)
    write_slip(Path(offer.log, CLOSING), closing)


if __name__ == "__main__":
    main()
