"""Holds the lock against known vulnerabilities: `python -m supply.audit` asks PyPI, else OSV, else kept.json.

Exit codes: 0, nothing is known against any pin; 1, something is, or an exception is past its day; 3, pins that nobody
could be asked about, so that nothing is said of them. What was learnt is kept with its date (`--keep`), for machines
without an index; after MOST_DAYS it counts no more. A mirror that has no vulnerabilities answers 404, and is no answer.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from supply.pins import ROOT, Pin, locked

PYPI, OSV = "https://pypi.org", "https://api.osv.dev"
KEPT, EXCEPTIONS = ROOT / "supply" / "kept.json", ROOT / "supply" / "exceptions.toml"
MOST_DAYS = 60
"""Age at which kept answers are none."""
_WITHIN = 20.0
_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is known against one version of a package."""

    source: str
    """Who said so, and when it is not now, of which day."""
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What came of it."""

    answers: dict[str, Answer | None]
    """By `name==version`; None: nobody could be asked."""
    exceptions: dict[str, Any] = field(default_factory=dict)
    today: date

    @property
    def bad(self) -> list[str]:
        """A sentence for everything that must not be."""
        listed: list[dict[str, Any]] = self.exceptions.get("vulnerability", [])
        live = {entry["id"] for entry in listed if entry["until"] >= self.today}
        found = [(id, pin) for pin, answer in self.answers.items() if answer for id in answer.ids]
        said = [f"{pin}: {id}, see https://osv.dev/vulnerability/{id}" for id, pin in found if id not in live]
        for entry in listed:
            if entry["until"] < self.today:
                said.append(f"the exception for {entry['id']} has ended on {entry['until']}: {entry['reason']}")
            elif entry["id"] not in dict(found) and not self.unknown:
                said.append(f"the exception for {entry['id']} is not needed any more")
        return said

    @property
    def unknown(self) -> list[str]:
        """Pins that nothing can be said of."""
        return [pin for pin, answer in self.answers.items() if answer is None]


Ask = Callable[[str, bytes | None], Any]
"""A URL, and what is posted; gives JSON, None where the answer is 404, and raises OSError where there is none."""


def ask(url: str, data: bytes | None = None) -> Any:
    """Ask over HTTPS; a certificate is verified, a redirection is followed as urllib does."""
    request = urllib.request.Request(url, data=data, headers={"Accept": "application/json", "User-Agent": "reproof"})
    try:
        with urllib.request.urlopen(request, timeout=_WITHIN) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def of_pypi(pin: Pin, asked: Ask, base: str) -> Answer | None:
    """What PyPI knows of the version; a mirror may have only the project's page, which speaks of the newest one."""
    for path in (f"{pin.name}/{pin.version}", pin.name):
        found = asked(f"{base}/pypi/{path}/json", None)
        if found is not None and found["info"]["version"] == pin.version and "vulnerabilities" in found:
            ids = (entry["id"] for entry in found["vulnerabilities"] if not entry.get("withdrawn"))
            return Answer(source="PyPI", ids=tuple(sorted(ids)))
    return None


def of_osv(pin: Pin, asked: Ask, base: str) -> Answer | None:
    """What OSV knows."""
    query = {"version": pin.version, "package": {"name": pin.name, "ecosystem": "PyPI"}}
    found = asked(f"{base}/v1/query", json.dumps(query).encode())
    if found is None:
        return None
    return Answer(source="OSV", ids=tuple(sorted(entry["id"] for entry in found.get("vulns", []))))


def of_kept(pin: Pin, kept: dict[str, Any], today: date) -> Answer | None:
    """What was said before, while it is young enough."""
    entry = kept.get(f"{pin.name}=={pin.version}")
    if entry is None or (today - (on := date.fromisoformat(entry["on"]))).days > MOST_DAYS:
        return None
    return Answer(source=f"{entry['source']} of {on}", ids=tuple(entry["ids"]))


def audited(
    found: Iterable[Pin], *, asked: Ask, today: date, kept: dict[str, Any], exceptions: dict[str, Any],
    pypi: str = PYPI, osv: str = OSV,
) -> Audit:  # fmt: skip
    """Ask about every pin; who cannot be reached once is not asked again."""
    away: set[str] = set()

    def one(pin: Pin) -> tuple[str, Answer | None]:
        for base, of in ((pypi, of_pypi), (osv, of_osv)):
            if base in away:
                continue
            try:
                if (answer := of(pin, asked, base)) is not None:
                    return f"{pin.name}=={pin.version}", answer
            except (OSError, ValueError, KeyError, TypeError) as error:
                if base not in away:
                    print(f"{base} cannot be asked: {error}", file=sys.stderr)
                away.add(base)
        return f"{pin.name}=={pin.version}", of_kept(pin, kept, today)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return Audit(answers=dict(pool.map(one, found)), exceptions=exceptions, today=today)


def told(audit: Audit) -> Iterator[str]:
    """What came of it, in lines."""
    sources = Counter(answer.source if answer else "nobody" for answer in audit.answers.values())
    asked = ", ".join(f"{who} ({count})" for who, count in sorted(sources.items()))
    yield f"{len(audit.answers)} pins, looked up with {asked}"
    yield from (f"VULNERABLE or out of date: {line}" for line in audit.bad)
    yield from (f"NOT AUDITED: {pin}: nobody could be asked about it" for pin in audit.unknown)
    if audit.unknown:
        yield f"NOT AUDITED: of {len(audit.unknown)} pins nothing is known; this is no pass"


def keep(audit: Audit, path: Path) -> None:
    """Write down what was said today, beside what was said before of other pins."""
    today = audit.today.isoformat()
    before: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    fresh = {
        pin: {"on": today, "source": answer.source, "ids": list(answer.ids)}
        for pin, answer in audit.answers.items()
        if answer is not None and " of " not in answer.source
    }
    rows = {pin: {**before, **fresh}[pin] for pin in sorted({*before, *fresh} & audit.answers.keys())}
    path.write_text("{\n" + ",\n".join(f"{json.dumps(p)}: {json.dumps(r)}" for p, r in rows.items()) + "\n}\n")


def main(words: list[str] | None = None) -> int:
    """Audit locked.txt."""
    parser = argparse.ArgumentParser(prog="python -m supply.audit", description=__doc__)
    parser.add_argument("--pypi", default=PYPI)
    parser.add_argument("--osv", default=OSV)
    parser.add_argument("--kept", type=Path, default=KEPT)
    parser.add_argument("--exceptions", type=Path, default=EXCEPTIONS)
    parser.add_argument("--keep", action="store_true", help="write down what was said, for machines without an index")
    chosen = parser.parse_args(words)
    kept = json.loads(chosen.kept.read_text(encoding="utf-8")) if chosen.kept.exists() else {}
    exceptions = tomllib.loads(chosen.exceptions.read_text(encoding="utf-8"))
    today = datetime.now(UTC).date()
    found = audited(
        locked(), asked=ask, today=today, kept=kept, exceptions=exceptions, pypi=chosen.pypi, osv=chosen.osv
    )
    if chosen.keep:
        keep(found, chosen.kept)
    for line in told(found):
        print(line)
    return 1 if found.bad else 3 if found.unknown else 0


if __name__ == "__main__":
    sys.exit(main())
