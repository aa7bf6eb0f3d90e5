"""ResNet-50 (He et al., 2015), the foundation's; smaller ones have other depths and widths."""

from __future__ import annotations

from programs.foundation.resnet import Bottleneck, ResNet


class ResNet50(ResNet):
    def __init__(
        self, classes: int, depths: tuple[int, ...] = (3, 4, 6, 3), width: int = 64
    ) -> None:
        super().__init__(Bottleneck, list(depths), classes, narrowest=width)
