"""Tables on a terminal, of whose texts none is taken for a command."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

from harness.report.text import plain


@dataclass(frozen=True, slots=True)
class Tame:
    """Something of rich's, with whatever a terminal would obey written out."""

    inner: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Its segments, one by one; those that rich itself uses to steer stay as they are."""
        for segment in console.render(self.inner, options):
            yield segment if segment.control else Segment(plain(segment.text), segment.style)


def show(table: RenderableType) -> None:
    """Print it on standard output."""
    Console(highlight=False, soft_wrap=False).print(Tame(table))
