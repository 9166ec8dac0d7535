"""The harness's side of the proxy: starts an attempt's process, and reads what was spent."""

from __future__ import annotations

import contextlib
import os
import select
import socket as sockets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from harness.child import child_environment
from harness.errors import ConfigError, HarnessFault
from harness.proxy.access import Access, Order, Spent
from harness.proxy.account import SPENT
from harness.proxy.prices import Price, price_of, unpriced
from harness.record.files import private_folder, read_slip

__all__ = ["Access", "Proxy", "Spent", "proxying", "spent"]
_STARTS_WITHIN = 30.0
_ENDS_WITHIN = 20.0
_BACKLOG = 128
_KEPT = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that it is given: nothing by which it could be led elsewhere."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running process."""

    socket: Path
    """Where it listens: a Unix socket with mode 0600."""
    journal: Path
    pid: int
    """Of the process."""

    def spent(self) -> Spent:
        """What has been used so far; also after the end."""
        return spent(self.journal)


def spent(journal: Path) -> Spent:
    """What an attempt has used, whether its proxy still runs or was killed.

    Raises:
        RecordError: There is no such account.
    """
    return read_slip(journal.with_name(SPENT), Spent)


@contextlib.contextmanager
def proxying(access: Access, *, socket: Path, journal: Path) -> Iterator[Proxy]:
    """Let an agent reach models while the block runs.

    Args:
        access: what, and with which budget.
        socket: made here, gone afterwards; a path of at most 107 bytes.
        journal: of exchanges, continued where it exists; `spent.json` lies beside it.

    Raises:
        UsageError: The access cannot work: a budget in dollars without a price, a wrong address.
        HarnessFault: The process does not start.
    """
    prices = check(access)
    private_folder(journal.parent)
    with _listening(socket) as listening:
        order = Order(access=access, prices=prices, journal=str(journal.resolve()))
        child = _start(order, listening, journal)
    try:
        _until_ready(child, journal)
        yield Proxy(socket, journal, child.pid)
    finally:
        _end(child)
        socket.unlink(missing_ok=True)


def check(access: Access) -> dict[str, Price | None]:
    """Find before the start what would be found later.

    Returns:
        The price of each model; None where nobody knows it.

    Raises:
        UsageError: The access cannot work.
    """
    if not access.models:
        raise ConfigError("no model may be asked for", expected="the name of one at least")
    _check_address(access)
    prices = {model: price_of(model, provider=access.format, table=access.prices) for model in access.models}
    if access.dollars is not None:
        for model, price in prices.items():
            if price is None:
                raise unpriced(model, access.prices)
    return prices


def _check_address(access: Access) -> None:
    url = urlsplit(access.upstream)
    if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
        raise ConfigError("this is no address of a provider", expected="https://host[/path]", got=access.upstream)
    near = url.hostname in ("localhost", "::1") or url.hostname.startswith("127.")
    if url.scheme == "http" and access.key and not near:
        raise ConfigError("the key would go over the network in the clear", expected="https://", got=access.upstream)


@contextlib.contextmanager
def _listening(path: Path) -> Iterator[sockets.socket]:
    path.unlink(missing_ok=True)
    with sockets.socket(sockets.AF_UNIX) as listening:
        before = os.umask(0o177)
        try:
            listening.bind(str(path))
        except OSError as error:
            raise HarnessFault("a socket cannot be made", where=path, got=str(error)) from None
        finally:
            os.umask(before)
        listening.listen(_BACKLOG)
        yield listening


def _start(order: Order, listening: sockets.socket, journal: Path) -> subprocess.Popen[bytes]:
    said_at = journal.with_name("proxy.txt")
    said_at.touch(0o600)
    with said_at.open("ab") as said:
        child = subprocess.Popen(
            # -P: it will hold the key, and what lies in the current folder may be anybody's
            [sys.executable, "-P", "-m", "harness.proxy.server", str(listening.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            pass_fds=(listening.fileno(),),
            env=child_environment(_KEPT),
            start_new_session=True,  # a Ctrl-C in the terminal is the harness's to handle
        )
    assert child.stdin is not None
    child.stdin.write(msgspec.json.encode(order, enc_hook=str) + b"\n")
    child.stdin.flush()
    return child


def _until_ready(child: subprocess.Popen[bytes], journal: Path) -> None:
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], _STARTS_WITHIN)
    if not ready or child.stdout.readline() != b"ready\n":
        said = journal.with_name("proxy.txt").read_text(errors="replace")[-2000:]
        raise HarnessFault("the proxy did not start", where=journal.parent, got=said or "nothing")


def _end(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    try:
        child.wait(_ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    child.stdout.close()
