"""Networks ready to train: those of the texts, from LeNet to ResNet, and a small one for the embedded digits."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from pellucid.errors import ConfigError
from pellucid.network import Network
from pellucid.zoo.alexnet import alexnet
from pellucid.zoo.digits import digits
from pellucid.zoo.googlenet import googlenet
from pellucid.zoo.grishin import grishin
from pellucid.zoo.lenet import lenet5
from pellucid.zoo.nguyen import nguyen
from pellucid.zoo.resnet import DEPTHS as RESNET_DEPTHS
from pellucid.zoo.resnet import resnet
from pellucid.zoo.resnet_cifar import DEPTHS as RESNET_CIFAR_DEPTHS
from pellucid.zoo.resnet_cifar import resnet_cifar
from pellucid.zoo.vgg import DEPTHS as VGG_DEPTHS
from pellucid.zoo.vgg import vgg
from pellucid.zoo.vgg_cifar import vgg_cifar

#: the networks by name; every builder takes seed, dtype, engine, input_shape and classes
ZOO: dict[str, Callable[..., Network]] = {
    "digits": digits,
    "grishin": grishin,
    "lenet5": lenet5,
    "nguyen": nguyen,
    "alexnet": alexnet,
    **{f"vgg{depth}": partial(vgg, depth) for depth in VGG_DEPTHS},
    "googlenet": googlenet,
    **{f"resnet{depth}": partial(resnet, depth) for depth in RESNET_DEPTHS},
    **{f"resnet{depth}_cifar": partial(resnet_cifar, depth) for depth in RESNET_CIFAR_DEPTHS},
    **{f"vgg{depth}_cifar": partial(vgg_cifar, depth) for depth in VGG_DEPTHS},
}


def build(name: str, **settings: Any) -> Network:
    """Return the zoo's network of that name: ``build("nguyen", seed=1)`` is ``nguyen(seed=1)``.

    ``build("resnet20_cifar")`` is ``resnet_cifar(20)``.

    Raises:
        ConfigError: there is no such name, or the network has no such setting.
        ShapeError: the images are too small for it.
    """
    if name not in ZOO:
        raise ConfigError(f"no network called {name!r} in the zoo; there are {', '.join(ZOO)}")
    known = inspect.signature(ZOO[name]).parameters
    for setting in settings:
        if setting not in known:
            raise ConfigError(f"{name} has no setting {setting!r}; it has {', '.join(known)}")
    return ZOO[name](**settings)


__all__ = [
    "ZOO",
    "alexnet",
    "build",
    "digits",
    "googlenet",
    "grishin",
    "lenet5",
    "nguyen",
    "resnet",
    "resnet_cifar",
    "vgg",
    "vgg_cifar",
]
