"""Quantities as fields of a config that people write."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from harness.paper.quantities import count, seconds, size

_quantity_schema = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\d+(\.\d+)?\s*[A-Za-z]+$"}]}
Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0), WithJsonSchema(_quantity_schema)]
Bytes = Annotated[int, BeforeValidator(size), Field(gt=0), WithJsonSchema(_quantity_schema)]
_count_schema = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d{1,3}( \d{3})*$"}]}
Count = Annotated[int, BeforeValidator(count), Field(ge=0), WithJsonSchema(_count_schema)]
