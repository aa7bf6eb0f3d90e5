"""ResNet-50 (He et al., 2015), as the foundation's programs have it, of any depth and width."""

from __future__ import annotations

from programs.foundation.resnet import Bottleneck, ResNet


def resnet(depths: list[int], classes: int, narrowest: int) -> ResNet:
    return ResNet(Bottleneck, depths, classes, narrowest)
