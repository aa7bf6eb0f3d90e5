"""torch.nn's layers and losses, forward and backward."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.same_function import assert_same

IMAGE = (2, 4, 9, 9)
SEQUENCE = (3, 5, 8)

LAYERS = {
    "linear": (lambda: nn.Linear(8, 3), SEQUENCE),
    "linear_no_bias": (lambda: nn.Linear(8, 3, bias=False), (4, 8)),
    "conv1d": (lambda: nn.Conv1d(5, 6, 3, padding=1), SEQUENCE),
    "conv2d": (lambda: nn.Conv2d(4, 6, 3), IMAGE),
    "conv2d_stride": (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), IMAGE),
    "conv2d_dilated": (lambda: nn.Conv2d(4, 6, 3, dilation=2), IMAGE),
    "conv2d_groups": (lambda: nn.Conv2d(4, 8, 3, groups=4), IMAGE),
    "conv2d_same": (lambda: nn.Conv2d(4, 4, 3, padding="same"), IMAGE),
    "conv2d_reflect": (lambda: nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), IMAGE),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2), (1, 2, 4, 4, 4)),
    "conv_transpose": (lambda: nn.ConvTranspose2d(4, 3, 3, stride=2, output_padding=1), IMAGE),
    "max_pool": (lambda: nn.MaxPool2d(2), IMAGE),
    "max_pool_overlapping": (lambda: nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), IMAGE),
    "max_pool1d": (lambda: nn.MaxPool1d(2), SEQUENCE),
    "avg_pool": (lambda: nn.AvgPool2d(3, stride=2, padding=1), IMAGE),
    "adaptive_avg": (lambda: nn.AdaptiveAvgPool2d((2, 3)), IMAGE),
    "adaptive_avg_one": (lambda: nn.AdaptiveAvgPool2d(1), IMAGE),
    "adaptive_max": (lambda: nn.AdaptiveMaxPool2d(2), IMAGE),
    "lp_pool": (lambda: nn.LPPool2d(2, 3), IMAGE),
    "batch_norm": (lambda: nn.BatchNorm2d(4), IMAGE),
    "batch_norm_1d": (lambda: nn.BatchNorm1d(8), (4, 8)),
    "batch_norm_no_stats": (lambda: nn.BatchNorm2d(4, track_running_stats=False), IMAGE),
    "batch_norm_cumulative": (lambda: nn.BatchNorm2d(4, momentum=None), IMAGE),
    "batch_norm_eval": (lambda: nn.BatchNorm2d(4).eval(), IMAGE),
    "layer_norm": (lambda: nn.LayerNorm(8), SEQUENCE),
    "group_norm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "instance_norm": (lambda: nn.InstanceNorm2d(4, affine=True), IMAGE),
    "rms_norm": (lambda: nn.RMSNorm(8), SEQUENCE),
    "local_response": (lambda: nn.LocalResponseNorm(2), IMAGE),
    "prelu": (lambda: nn.PReLU(), IMAGE),
    "dropout": (lambda: nn.Dropout(0.4), IMAGE),
    "dropout_eval": (lambda: nn.Dropout(0.4).eval(), IMAGE),
    "pixel_shuffle": (lambda: nn.PixelShuffle(2), IMAGE),
    "upsample_nearest": (lambda: nn.Upsample(scale_factor=2), IMAGE),
    "upsample_bilinear": (lambda: nn.Upsample(size=(5, 7), mode="bilinear"), IMAGE),
    "zero_pad": (lambda: nn.ZeroPad2d(1), IMAGE),
    "reflection_pad": (lambda: nn.ReflectionPad2d(2), IMAGE),
    "replication_pad": (lambda: nn.ReplicationPad2d(2), IMAGE),
    "flatten": (lambda: nn.Flatten(), IMAGE),
    "softmax": (lambda: nn.Softmax(1), IMAGE),
    "sequential": (
        lambda: nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        IMAGE,
    ),
    "inplace_relu": (lambda: nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True)), IMAGE),
    "rnn": (lambda: nn.RNN(8, 6, batch_first=True), SEQUENCE),
    "lstm": (lambda: nn.LSTM(8, 6, batch_first=True), SEQUENCE),
    "gru": (lambda: nn.GRU(8, 6, 2, batch_first=True), SEQUENCE),
    "lstm_cell": (lambda: nn.LSTMCell(8, 6), (3, 8)),
    "gru_cell": (lambda: nn.GRUCell(8, 6), (3, 8)),
    "encoder_layer": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True),
        SEQUENCE,
    ),
    "encoder_norm_first": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", norm_first=True),
        SEQUENCE,
    ),
    "spectral_norm": (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(8, 4)), (3, 8)),
    "weight_norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(8, 4)), (3, 8)),
}


def first_of(result):
    while isinstance(result, tuple):
        result = result[0]
    return result


def make_layer(name: str) -> nn.Module:
    torch.manual_seed(0)
    return LAYERS[name][0]()


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str) -> None:
    """Both layers take every step; buffers and gradients are compared behind the last."""
    import bifront

    from tests.same_function import assert_in_graph, assert_same_value

    expected_layer, actual_layer = make_layer(name), make_layer(name)

    def step(layer, x):
        for parameter in layer.parameters():
            parameter.grad = None
        y = first_of(layer(x))
        loss = (y * y).mean()
        if loss.requires_grad:
            loss.backward()
        return y.detach()

    converted = bifront.trace(lambda x: step(actual_layer, x))
    for call in range(4):
        torch.manual_seed(call)
        x = torch.randn(LAYERS[name][1])
        torch.manual_seed(100 + call)
        expected = step(expected_layer, x)
        torch.manual_seed(100 + call)
        actual = converted(x)
        assert_same_value(actual, expected, f"call {call}", 20)
    gradients = [p.grad for p in expected_layer.parameters()]
    assert_same_value([p.grad for p in actual_layer.parameters()], gradients, "gradients", 100)
    assert_same_value(
        dict(actual_layer.named_buffers()), dict(expected_layer.named_buffers()), "buffers", 20
    )
    if name != "batch_norm_cumulative":  # its momentum is a number of a tensor, for a kernel
        assert_in_graph(converted)


LOSSES = {
    "mse": lambda x, y: functional.mse_loss(x, y),
    "l1": lambda x, y: functional.l1_loss(x, y),
    "smooth_l1": lambda x, y: functional.smooth_l1_loss(x, y),
    "huber": lambda x, y: functional.huber_loss(x, y),
    "kl": lambda x, y: functional.kl_div(x.log_softmax(1), y.softmax(1), reduction="batchmean"),
    "bce": lambda x, y: functional.binary_cross_entropy(x.sigmoid(), y.sigmoid()),
    "bce_logits": lambda x, y: functional.binary_cross_entropy_with_logits(x, y.sigmoid()),
    "hinge": lambda x, y: functional.hinge_embedding_loss(x, y.sign()),
    "soft_margin": lambda x, y: functional.soft_margin_loss(x, y.sign()),
    "margin_ranking": lambda x, y: functional.margin_ranking_loss(x[:, 0], x[:, 1], y[:, 0].sign()),
    "triplet": lambda x, y: functional.triplet_margin_loss(x, y, x + y),
    "cosine": lambda x, y: functional.cosine_embedding_loss(x, y, torch.ones(4)),
    "poisson": lambda x, y: functional.poisson_nll_loss(x, y.abs()),
    "gaussian": lambda x, y: functional.gaussian_nll_loss(x, y, y.abs() + 0.1),
    "multi_margin": lambda x, y: functional.multi_margin_loss(x, torch.arange(4)),
    "multilabel": lambda x, y: functional.multilabel_soft_margin_loss(x, (y > 0).float()),
    "soft_targets": lambda x, y: functional.cross_entropy(x, y.softmax(1)),
    "ctc": lambda x, y: functional.ctc_loss(
        x[:, None].expand(4, 2, 6).log_softmax(2),
        torch.tensor([[1, 2], [3, 1]]),
        torch.tensor([4, 4]),
        torch.tensor([2, 2]),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str) -> None:
    def fn(x, y):
        loss = LOSSES[name](x, y)
        return loss.detach(), torch.autograd.grad(loss, x)

    arguments = lambda: (torch.randn(4, 6, requires_grad=True), torch.randn(4, 6))  # noqa: E731
    assert_same(fn, arguments, loosen=20, in_graph=True)


def test_channels_last_convolution() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    assert_same(
        lambda x: layer(x).detach(),
        lambda: (torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last),),
        loosen=10,
    )
