"""Curves as SVG: the only importer of matplotlib, which is imported when there is something to draw."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

from harness.report.trajectories import Family, Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOOK: dict[str, dict[str, Any]] = {
    "submission": {"color": "#0072b2", "marker": "o", "linestyle": "-"},
    "reference": {"color": "#b34700", "marker": "s", "linestyle": "--"},
    "paper": {"color": "#1b1f24", "marker": "^", "linestyle": ":"},
}
"""Told apart by colour, marker and dash alike."""
_FONT = 8
_FRAME = {"left": 0.15, "right": 0.98, "bottom": 0.12, "top": 0.96}
"""Of the axes within the figure; finding out how much room the labels need takes as long as drawing all of it."""
_MOST_MARKERS = 25


def plot(family: Family) -> str:
    """A family of curves as the text of an SVG file: means with bands of one standard deviation between slots."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # a `matplotlibrc` in the current folder, which may be anybody's, has no say in it
    plain: dict[Any, Any] = dict(matplotlib.rcParamsDefault)
    del plain["backend"]
    with matplotlib.rc_context({**plain, "svg.hashsalt": "reproof", "svg.fonttype": "none", "font.size": _FONT}):
        figure = Figure(figsize=(4.4, 2.7))
        figure.subplots_adjust(**_FRAME)
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for line in family.lines:
            _draw(axes, line, connected=family.connected)
        _dress(axes, family)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _draw(axes: Axes, line: Line, *, connected: bool) -> None:
    look = dict(_LOOK[line.name]) if connected else {**_LOOK[line.name], "linestyle": "none"}
    every = max(1, line.x.size // _MOST_MARKERS)
    name = f"{line.name}, n = {line.slots}"
    if connected:
        axes.plot(line.x, line.mean, label=name, markersize=3, linewidth=1.2, markevery=every, **look)
        axes.fill_between(line.x, line.low, line.high, color=look["color"], alpha=0.18, linewidth=0)
    else:
        reach = (line.mean - line.low, line.high - line.mean)
        axes.errorbar(line.x, line.mean, yerr=reach, label=name, markersize=3.5, elinewidth=0.8, **look)


def _dress(axes: Axes, family: Family) -> None:
    if family.logarithmic:
        _make_logarithmic(axes)
    axes.set_ylabel(family.metric)
    axes.grid(True, linewidth=0.3, alpha=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=_FONT - 1)


def _make_logarithmic(axes: Axes) -> None:
    """Both axes, with plain numbers at the ticks."""
    from matplotlib.ticker import LogFormatter

    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(LogFormatter())
        axis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
