"""How fast Pellucid is beside PyTorch, ONNX Runtime and JAX, and its kernels beside the processor's peak.

``python -m benchmarks``; see ``docs/benchmarks.md``.
"""
