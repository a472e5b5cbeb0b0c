"""How fast Pellucid is beside PyTorch and ONNX Runtime: ``python -m benchmarks``, see ``docs/benchmarks.md``."""
