"""ONNX, the exchange format of most inference engines; needs the extra ``onnx``. See ``docs/onnx.md``."""

from pellucid.interop.onnx.exporter import export_bytes, export_model
from pellucid.interop.onnx.exporter_graph import Place
from pellucid.interop.onnx.exporter_layers import onnx_form
from pellucid.interop.onnx.importer import import_model

__all__ = ["Place", "export_bytes", "export_model", "import_model", "onnx_form"]
