"""Seeing through a network: traces, gradient checks, formulas."""

from pellucid.explain.check import Entry, GradientReport, check_gradients
from pellucid.explain.formula import formula
from pellucid.layers.base import Formula
from pellucid.tracing import Step, Trace

__all__ = ["Entry", "Formula", "GradientReport", "Step", "Trace", "check_gradients", "formula"]
