"""Quantities as fields of a config that people write."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from harness.paper.quantities import seconds, size

_quantity_schema = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\d+(\.\d+)?\s*[A-Za-z]+$"}]}
Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0), WithJsonSchema(_quantity_schema)]
Bytes = Annotated[int, BeforeValidator(size), Field(gt=0), WithJsonSchema(_quantity_schema)]
