"""The one tree of errors, each with the exit code that the command line ends with.

ReproofError                     1
├── UsageError                   2   a wrong name, folder or moment
│   └── ConfigError              2   configuration that does not compose
├── PaperError                   3   a paper's folder that does not hold together
├── SandboxError                 4   a property of the clean room that this machine cannot give
├── SubmissionError              5   a submission that cannot be taken in
│   └── OutputError              5   outputs of a run that are not what was declared
├── RecordError                  6   a record that is damaged or belongs to something else
└── HarnessFault                70   our own fault: never a participant's zero
    └── MirrorFault             75   a mirror that is late: all else is done, and mirroring can be repeated
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable
from typing import Self

_LONGEST, _LONGEST_PART = 10_000, 1000
"""Characters of a message (it may list many problems) and of what is named in it: a stranger may have written them."""
_SUSPECT = re.compile("[^\n\t -~\xa1-\xac\xae-\u0377]")
"""Characters that may have to be made visible."""
_SECRETS = (re.compile(r"(://[^/\s:@]*:)\S+(?=@)"), re.compile(r"([?&](?:ssl)?password=)[^&\s]+"))


def masked(text: str) -> str:
    """A text with the password of every URI in it hidden.

    >>> masked("postgresql://ada:secret@host/runs is away")
    'postgresql://ada:***@host/runs is away'
    """
    for secret in _SECRETS:
        text = secret.sub(r"\1***", text)
    return text


def plain(text: str, *, also: str = "") -> str:
    r"""A text with every control character but the newline and the tab (and what is let through) made visible.

    >>> plain("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    if text.isprintable():  # nearly every text is, and pages have thousands
        return text
    return _SUSPECT.sub(lambda found: _visible(found[0], also), text)


def _visible(c: str, also: str) -> str:
    return c if c.isprintable() or c in also else c.encode("unicode_escape").decode()


def brief(value: object, most: int, *, through: Callable[[str], str] = str) -> str:
    """A value as a plain text of at most `most` characters, and some more to say that it goes on.

    Args:
        value: What is told of.
        most: Characters.
        through: What the text is sent through; it is given a few times as many characters, for it may shorten them.

    >>> brief("a" * 100, 5), brief(16**9999, 50)
    ('aaaaa… (100 characters)', 'a number of 39997 bits')
    """
    if isinstance(value, int) and value.bit_length() > 4 * most:  # Python writes out no number of thousands of digits
        return f"a number of {value.bit_length()} bits"
    text = str(value)
    told = through(text[: 4 * most])
    return plain(told) if len(told) <= most else f"{plain(told[:most])}… ({len(text)} characters)"


class ReproofError(Exception):
    """An error a user can act on: where it is, what was expected, what was found, what to do.

    Whatever a stranger put into it, its text is printable and of bounded length.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        where: object = None,
        expected: object = None,
        got: object = None,
        remedy: str | None = None,
    ) -> None:
        """Keep the parts apart, so that `--json` can print them by name; no password of a URI gets into them."""
        self.message = brief(message, _LONGEST, through=masked)
        self.where = None if where is None else brief(where, _LONGEST_PART, through=masked)
        self.expected = None if expected is None else brief(expected, _LONGEST_PART, through=masked)
        self.got = None if got is None else brief(got, _LONGEST_PART, through=masked)
        self.remedy = None if remedy is None else brief(remedy, _LONGEST)
        super().__init__(self._text())

    def at(self, where: object) -> Self:
        """The same error; it happened there, unless it says already where."""
        if self.where is None:
            self.where = brief(where, _LONGEST_PART, through=masked)
            self.args = (self._text(),)
        return self

    def _text(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        if self.expected is not None:
            head += f": expected {self.expected}"
        if self.got is not None:
            head += f", got {self.got}" if self.expected is not None else f": got {self.got}"
        return f"{head}\n  {self.remedy}" if self.remedy else head

    def as_dict(self) -> dict[str, str | int | None]:
        """The error as the JSON object that `--json` prints on standard error."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "where": self.where,
            "expected": self.expected,
            "got": self.got,
            "remedy": self.remedy,
            "exit_code": self.exit_code,
        }


class UsageError(ReproofError):
    """A wrong name, a wrong folder, a wrong moment."""

    exit_code = 2


class ConfigError(UsageError):
    """Configuration that does not compose."""


class PaperError(ReproofError):
    """A paper's folder that does not hold together."""

    exit_code = 3


class SandboxError(ReproofError):
    """A property of the clean room that this machine cannot give."""

    exit_code = 4


class SubmissionError(ReproofError):
    """A submission that cannot be taken in."""

    exit_code = 5


class OutputError(SubmissionError):
    """Outputs of a run that are not what the paper declares."""


class RecordError(ReproofError):
    """A record that is damaged or belongs to something else."""

    exit_code = 6


class HarnessFault(ReproofError):
    """A fault of the harness or of its machine; it never scores."""

    exit_code = 70


class MirrorFault(HarnessFault):
    """MLflow's store is away, slow or locked: the records are whole, and `reproof track` mirrors them later."""

    exit_code = 75


_ROOM = "make room there (`df -h` and `df -i` say how much is left), or raise the quota"
_ALLOW = "let this account write there, or choose another folder"
_REMEDIES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "raise the largest size of a file (`ulimit -f`)",
    errno.EROFS: "mount it writable again, or choose another folder",
    errno.EACCES: _ALLOW,
    errno.EPERM: _ALLOW,
    errno.EIO: "the disk or the network behind it fails: the system's log (`dmesg`) says more",
    errno.EMFILE: "too many files are open at once: raise `ulimit -n`",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOMEM: "give it more memory",
}


NOT_JUDGED = "this machine does not go along, so nothing is judged by it"


def machine_fault(error: OSError, message: str = NOT_JUDGED) -> HarnessFault:
    """The fault that a refusal of this machine is: a full disk, one that fails, one that is read only.

    >>> print(machine_fault(OSError(errno.ENOSPC, "No space left on device", "results/x")).got)
    No space left on device
    """
    what = _REMEDIES.get(error.errno or 0, "mend it")
    return HarnessFault(
        message,
        where=error.filename,
        got=error.strerror or f"{type(error).__name__}: {error}",
        remedy=f"{what}; then give the same command again, or `reproof rerun ATTEMPT`: what was done is kept",
    )


def unknown(kind: str, name: str, known: Iterable[str], *, where: object = None) -> UsageError:
    """A name nobody knows, with the nearest known ones.

    >>> print(unknown("paper", "pse", ["pes", "tree_search"]))
    unknown paper: got 'pse'
      did you mean pes? Known: pes, tree_search
    """
    import difflib  # a fifth of the command's start, and only wrong names need it

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return UsageError(
        f"unknown {kind}", where=where, got=repr(name), remedy=f"{hint}Known: {', '.join(names) or 'none'}"
    )
