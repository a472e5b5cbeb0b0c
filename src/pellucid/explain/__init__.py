"""Seeing through a network: traces, gradient checks, formulas, and single numbers opened into what they come from."""

from pellucid.explain.cell import Cell, Factor, Link, Region, Term
from pellucid.explain.check import Entry, GradientReport, check_gradients
from pellucid.explain.formula import formula
from pellucid.explain.inspection import inspect
from pellucid.layers.base import Formula
from pellucid.tracing import Step, Trace

__all__ = [
    "Cell",
    "Entry",
    "Factor",
    "Formula",
    "GradientReport",
    "Link",
    "Region",
    "Step",
    "Term",
    "Trace",
    "check_gradients",
    "formula",
    "inspect",
]
