"""The search space of a study: parameters, conditions, constraints and expressions."""

from rung.space.expressions import Expression, ExpressionError
from rung.space.space import Array, Space

__all__ = ["Array", "Expression", "ExpressionError", "Space"]
