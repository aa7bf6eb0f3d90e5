"""Straight-line training steps: an MLP, LeNet, ResNet-18 and -50, a Transformer encoder."""

from programs.foundation import lenet, mlp, resnet, transformer
from programs.foundation.training import OPTIMIZERS, TrainingProgram

PROGRAMS = {
    "mlp": mlp.build,
    "lenet": lenet.build,
    "resnet18": resnet.build18,
    "resnet50": resnet.build50,
    "transformer": transformer.build,
}

__all__ = ["OPTIMIZERS", "PROGRAMS", "TrainingProgram"]
