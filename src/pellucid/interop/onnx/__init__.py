"""ONNX, the exchange format of most inference engines; needs the extra ``onnx``. See ``docs/onnx.md``."""

from pellucid.interop.onnx.importer import import_model

__all__ = ["import_model"]
