"""Callbacks: what listens to a training and may steer or stop it. Their names and meanings are Keras's."""

from pellucid.training.callbacks.base import Callback, Logs
from pellucid.training.callbacks.csv_logger import CSVLogger
from pellucid.training.callbacks.early_stopping import EarlyStopping
from pellucid.training.callbacks.lambda_callback import LambdaCallback
from pellucid.training.callbacks.model_checkpoint import ModelCheckpoint
from pellucid.training.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from pellucid.training.callbacks.tensorboard import TensorBoard
from pellucid.training.callbacks.terminate_on_nan import TerminateOnNaN

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "Logs",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]
