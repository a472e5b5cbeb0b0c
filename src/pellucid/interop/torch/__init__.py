"""PyTorch: its modules as networks, networks as its modules, and weights under its names; see ``docs/deploy.md``.

:func:`load_state_dict`, :func:`state_dict` and :func:`save_state_dict` need no PyTorch; :func:`from_module` and
:func:`to_module` do.
"""

from pellucid.interop.torch.modules_in import from_module
from pellucid.interop.torch.modules_out import to_module
from pellucid.interop.torch.weights import load_state_dict, save_state_dict, state_dict

__all__ = ["from_module", "load_state_dict", "save_state_dict", "state_dict", "to_module"]
