"""How a client asks to open environments: one message, and with it the socket that the answer goes to."""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
from typing import Annotated, Any, Literal

import msgspec

from harness.gateway import wire
from harness.gateway.owned import Refusal

MOST_ENVIRONMENTS = 256
"""What a run may have open at once."""
_HANDLES = 4


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client asks to open."""

    id: str
    count: Annotated[int, msgspec.Meta(ge=0, le=MOST_ENVIRONMENTS)]
    """How many step as one; 0: a single environment."""
    phase: Literal["training", "evaluation"]
    autoreset: Literal["NextStep", "SameStep"]
    keywords: dict[str, Any]


def read_wanted(message: bytes) -> Wanted:
    """What a message asks for.

    Raises:
        Refusal: It is no such message.
    """
    try:
        return msgspec.json.decode(message, type=Wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal("open", f"this request cannot be read: {str(error)[:200]}") from None


def receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """One message and the descriptors with it; those that do not fit, the kernel closes."""
    room = socket.CMSG_SPACE(_HANDLES * array.array("i").itemsize)
    message, parts, _, _ = control.recvmsg(wire.LARGEST_MESSAGE, room, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
    handles = array.array("i")
    for level, kind, data in parts:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            handles.frombytes(data[: len(data) - len(data) % handles.itemsize])
    return message, handles.tolist()


def reply_socket(handles: list[int]) -> socket.socket | None:
    """The one socket that came with a message; whatever else came is closed."""
    found = None
    for handle in handles:
        if found is None and len(handles) == 1:
            with contextlib.suppress(OSError):
                found = socket.socket(fileno=handle)
        if found is None:
            os.close(handle)
    if found is None:
        return None
    if (found.family, found.type) != (socket.AF_UNIX, socket.SOCK_SEQPACKET):
        found.close()
        return None
    found.setblocking(False)
    return found


def send(other: socket.socket, told: dict[str, Any], handles: list[int]) -> bool:
    """Send without ever waiting; False: nobody takes it."""
    try:
        socket.send_fds(other, [json.dumps(told).encode()], handles)
    except OSError:
        return False
    return True
