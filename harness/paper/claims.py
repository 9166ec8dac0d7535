"""What a paper claims: the kinds of claim, their targets, and where each target comes from."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

InstanceSet = Literal["pinned", "held_out"]
Scalar = bool | int | float | str


class Entry(BaseModel):
    """A frozen part of paper.yaml in which unknown keys are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, defer_build=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class Selection(Entry):
    """Which runs a value is measured on: an experiment, a set of instances and exactly one case."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    experiment: str
    instance: InstanceSet = "pinned"

    @property
    def case(self) -> dict[str, Any]:
        """The parameters that single out the case."""
        return dict(self.model_extra or {})

    def __str__(self) -> str:
        """The selection in the words of paper.yaml."""
        case = ", ".join(f"{key}={value}" for key, value in self.case.items())
        return f"{self.experiment}[{self.instance}{', ' if case else ''}{case}]"


class Provenance(Entry):
    """Where a target comes from."""

    kind: Literal["paper", "official_code", "derived", "reference", "unverified", "TODO"]
    """`paper`: read in its PDF; `derived`: exact by calculation; `reference`: our own reference's figure; `TODO`: not
    said yet, as `reproof paper validate` reminds you."""
    where: str = Field(min_length=3)
    """The table, file, derivation or script, precisely enough to find it again."""


class Spread(Entry):
    """What the published plus-minus means; a standard error taken for a deviation shrinks the tolerance root-n-fold."""

    kind: Literal["none", "sd", "se", "ci95", "range", "bound"]
    """`ci95` is a half width, `range` half of maximum minus minimum; `bound` goes with a mean published alone."""
    value: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _value_goes_with_kind(self) -> Spread:
        if (self.kind == "none") != (self.value is None):
            raise ValueError("`none` takes no value, every other kind of spread needs one")
        return self


class Published(Entry):
    """A number that stands somewhere, with its own uncertainty, and the margin within which a rerun agrees."""

    value: float
    margin: float = Field(gt=0)
    """Half width of the region of agreement, fixed before any run."""
    n: int = Field(ge=1)
    """How many seeds the number was averaged over; 1 for an exact value."""
    spread: Spread
    read_off: float = Field(default=0.0, ge=0)
    """Half width of the reading error where the number was read off a figure."""
    provenance: Provenance

    @model_validator(mode="after")
    def _uncertainty_is_stated(self) -> Published:
        if self.spread.kind == "none" and self.provenance.kind != "derived" and self.n > 1:
            raise ValueError("a mean of several seeds needs its spread; state a `bound` if none was published")
        return self


class RelativeMargin(Entry):
    """A margin as a fraction of the absolute target."""

    relative: float = Field(gt=0)


def _margin_form(value: Any) -> str:
    return "relative" if isinstance(value, dict | RelativeMargin) else "absolute"


Margin = Annotated[
    Annotated[float, Field(gt=0), Tag("absolute")] | Annotated[RelativeMargin, Tag("relative")],
    Discriminator(_margin_form),
]


class FromReference(Entry):
    """The reference's own samples on the same held-out instance stand where the paper's would."""

    reference: Literal[True]
    margin: Margin


class ExactValue(Entry):
    """A number that is known exactly, up to the digits printed and a numeric tolerance."""

    value: float
    digits: int | None = None
    """Decimal places printed in the source; half of the last one is forgiven."""
    tolerance: float = Field(default=0.0, ge=0)
    provenance: Provenance


class ExactFromReference(Entry):
    """The reference's value on the same held-out instance, to be met within a numeric tolerance."""

    reference: Literal[True]
    tolerance: float = Field(ge=0)


class PublishedCurve(Entry):
    """A learning curve: means and standard deviations over n seeds at the points x."""

    x: list[float] = Field(min_length=2)
    mean: list[float]
    sd: list[float]
    n: int = Field(ge=2)
    margin: float = Field(gt=0)
    """For the final value and for the area under the curve divided by the range of x, both in the curve's unit."""
    provenance: Provenance

    @model_validator(mode="after")
    def _same_length(self) -> PublishedCurve:
        if not len(self.x) == len(self.mean) == len(self.sd):
            raise ValueError("x, mean and sd need the same length")
        if any(a >= b for a, b in pairwise(self.x)):
            raise ValueError("x must rise")
        return self


def _origin(value: Any) -> str:
    """Which kind of target a mapping is meant as, so that an error speaks of that kind alone."""
    answered = "reference" in value if isinstance(value, dict) else hasattr(value, "reference")
    return "answered" if answered else "stated"


_WhoAnswers = Discriminator(_origin)
NumberTarget = Annotated[Annotated[Published, Tag("stated")] | Annotated[FromReference, Tag("answered")], _WhoAnswers]
ExactTarget = Annotated[
    Annotated[ExactValue, Tag("stated")] | Annotated[ExactFromReference, Tag("answered")], _WhoAnswers
]
CurveTarget = Annotated[
    Annotated[PublishedCurve, Tag("stated")] | Annotated[FromReference, Tag("answered")], _WhoAnswers
]


class _Leaf(Entry):
    statement: str = Field(min_length=10)
    """The claim as a full sentence that a participant understands."""
    weight: float = Field(gt=0)
    core: bool = False
    """Without a core leaf nothing passes."""


class _Claim(_Leaf):
    metric: str
    """A function in the paper's metrics.py."""
    relative_to: Selection | None = None
    """Divide by (or subtract) the same metric of this selection, seed by seed and instance by instance."""
    combine: Literal["ratio", "difference"] = "ratio"
    spread_check: bool = False
    """Whether too small a spread is worth an audit: continuous, near normal, measured on five runs or more."""


class NumericClaim(_Claim):
    """The metric agrees with a number."""

    kind: Literal["numeric"]
    of: Selection
    target: NumberTarget


class ExponentClaim(_Claim):
    """The slope of the metric's curve on log-log axes agrees with a number."""

    kind: Literal["exponent"]
    of: Selection
    target: NumberTarget


class ExactClaim(_Claim):
    """The metric equals a known value."""

    kind: Literal["exact"]
    of: Selection
    target: ExactTarget


class CurveClaim(_Claim):
    """A learning curve agrees in its final value, its area and its shape."""

    kind: Literal["curve"]
    of: Selection
    target: CurveTarget


class OrderingClaim(_Claim):
    """The metric is higher on one selection than on another."""

    kind: Literal["ordering"]
    higher: Selection
    lower: Selection
    by: Literal["difference", "improvement"] = "difference"
    """`improvement`: the probability of improvement over the instances of the set, taken as tasks."""
    provenance: Provenance


class ThresholdClaim(_Claim):
    """The metric lies above, or below, a constant."""

    kind: Literal["threshold"]
    of: Selection
    above: float | None = None
    below: float | None = None
    provenance: Provenance

    @model_validator(mode="after")
    def _one_side(self) -> ThresholdClaim:
        if (self.above is None) == (self.below is None):
            raise ValueError("give exactly one of `above` and `below`")
        return self

    @property
    def bound(self) -> float:
        """The constant."""
        bound = self.above if self.above is not None else self.below
        assert bound is not None
        return bound


Claim = Annotated[
    NumericClaim | ExactClaim | OrderingClaim | CurveClaim | ExponentClaim | ThresholdClaim, Field(discriminator="kind")
]


class Closeness(Entry):
    """Agreement of two arrays: |a - b| <= atol + rtol |b|, b the reference's."""

    rtol: float = Field(ge=0)
    atol: float = Field(ge=0)


class Probe(_Leaf):
    """A check of the algorithm itself: its outputs on an input of the harness against the reference's on the same."""

    of: Selection
    compare: dict[str, Closeness] = Field(min_length=1)
    """The outputs that are compared, each with its tolerance."""


def selections(leaf: Claim | Probe) -> list[Selection]:
    """Every selection a leaf reads, the first one first."""
    if isinstance(leaf, Probe):
        return [leaf.of]
    own = [leaf.higher, leaf.lower] if isinstance(leaf, OrderingClaim) else [leaf.of]
    return own + ([leaf.relative_to] if leaf.relative_to else [])


def needs_reference(leaf: Claim | Probe) -> bool:
    """Whether the reference has to be run to judge the leaf."""
    return isinstance(leaf, Probe) or isinstance(getattr(leaf, "target", None), FromReference | ExactFromReference)


def provenance_of(leaf: Claim | Probe) -> str:
    """The provenance kind of the leaf's target; `reference` where the reference answers."""
    return "reference" if needs_reference(leaf) else str(_stated(leaf).kind)


def place_of(leaf: Claim | Probe) -> str | None:
    """Where the leaf's target can be found; None where the reference answers."""
    return None if needs_reference(leaf) else _stated(leaf).where


def _stated(leaf: Claim | Probe) -> Provenance:
    found = leaf.provenance if isinstance(leaf, OrderingClaim | ThresholdClaim) else leaf.target.provenance  # type: ignore[union-attr]
    assert isinstance(found, Provenance)
    return found
