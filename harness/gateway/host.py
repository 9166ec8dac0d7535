"""The harness's side of the gateway: starts a run's server, dresses its job, and reads what the server has written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from harness.child import child_environment
from harness.cleanroom.sandbox import Job, Mount
from harness.errors import HarnessFault
from harness.gateway import arrival
from harness.gateway.log import tabulate
from harness.gateway.offer import CLOSING, Closing, Offer
from harness.gateway.server import RAW
from harness.gateway.turn import PURE
from harness.gateway.wire import VARIABLE
from harness.record.files import read_slip

CLIENT_AT = "/reproof/gateway"
"""Where the client lies inside the clean room."""
_PACKAGE = "reproof_gateway"
_CARRIED = ("turn.py", "wire.py", "spaces.py", "frame.py", "infos.py", "client.py")
_BUILT = "_turn.*.so"
"""Carried as well, if it was built."""
_LOWEST = 64
"""Descriptors below are a shell's to redirect."""
_ENDS_WITHIN = 20.0
"""Seconds for the server to write its last."""
_KEPT = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR", PURE)
"""Variables that a server is given: an environment can neither tell a key nor be another for whoever runs it."""


def lay_client(folder: Path) -> None:
    """Lay out what the clean room needs to reach a gateway; to be mounted, and put on the path of Python's modules."""
    package = folder / _PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    here = Path(__file__).parent
    for file in (*(here / name for name in _CARRIED), *here.glob(_BUILT)):
        shutil.copy(file, package)
    shutil.copy(arrival.__file__, folder / "sitecustomize.py")


@dataclass(slots=True)
class Gateway:
    """A running server."""

    offer: Offer
    folder: Path
    _child: subprocess.Popen[bytes]
    handle: int
    """Of the socket that the client inherits."""
    _client: Path

    @property
    def resident(self) -> int:
        """Bytes of memory that the server holds."""
        pages = Path(f"/proc/{self._child.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def dress(self, job: Job) -> Job:
        """The job, so that its Gymnasium reaches this server."""
        return replace(
            job,
            mounts=(*job.mounts, Mount(source=self._client, target=CLIENT_AT)),
            environment={
                **job.environment,
                "PYTHONPATH": CLIENT_AT,
                VARIABLE: str(self.handle),
                arrival.VARIABLE: " ".join(self.offer.environments),
                PURE: os.environ.get(PURE, ""),
            },
            descriptors=(*job.descriptors, self.handle),
        )

    def end(self, table: Path) -> Closing:
        """Let the server write its last, and make a table of its log.

        Raises:
            HarnessFault: It did not end well.
        """
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            status = self._child.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self._child.kill()
            status = self._child.wait()
        if status != 0 or not (self.folder / CLOSING).exists():
            said = (self.folder / "server.txt").read_text(errors="replace")[-2000:]
            raise HarnessFault("the gateway's server did not end well", where=self.folder, got=f"{status}: {said}")
        tabulate(self.folder / RAW, table)
        return read_slip(self.folder / CLOSING, Closing)


@contextlib.contextmanager
def serving(offer: Offer, folder: Path) -> Iterator[Gateway]:
    """Start a run's server; it is gone afterwards.

    Args:
        offer: What is served; `log` names the folder.
        folder: For the server's files and the client's.
    """
    client = folder / "client"
    lay_client(client)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    handle = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, _LOWEST)
    theirs.close()
    try:
        with ours:
            child = _start(offer, ours, folder)
        try:
            yield Gateway(offer, folder, child, handle, client)
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
            if child.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    child.stdin.close()
    finally:
        os.close(handle)


def _start(offer: Offer, control: socket.socket, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "server.txt").open("wb") as said:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.gateway.server", str(control.fileno())],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            pass_fds=(control.fileno(),),
            env={**child_environment(_KEPT), "OMP_NUM_THREADS": "1"},
            cwd=folder,  # MuJoCo leaves a log wherever it runs
            start_new_session=True,  # a Ctrl-C in the terminal is the harness's to handle
        )
    assert child.stdin is not None
    child.stdin.write(msgspec.json.encode(offer) + b"\n")
    child.stdin.flush()
    return child
