"""The random stream: the same draws, in the same order, at every call."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.same_function import assert_same

DRAWS = {
    "rand": lambda x: torch.rand(3, 4),
    "randn": lambda x: torch.randn(17),
    "randint": lambda x: torch.randint(0, 10, (5,)),
    "randperm": lambda x: torch.randperm(7),
    "rand_like": lambda x: torch.rand_like(x),
    "randn_like": lambda x: torch.randn_like(x),
    "normal": lambda x: torch.normal(0.0, 2.0, (4,)),
    "normal_tensor": lambda x: torch.normal(x, x.abs()),
    "bernoulli": lambda x: torch.bernoulli(x.sigmoid()),
    "multinomial": lambda x: torch.multinomial(x.softmax(-1), 2),
    "poisson": lambda x: torch.poisson(x.abs()),
    "exponential": lambda x: torch.empty(6).exponential_(),
    "uniform": lambda x: torch.empty(6).uniform_(-1, 1),
    "cauchy": lambda x: torch.empty(6).cauchy_(),
    "log_normal": lambda x: torch.empty(6).log_normal_(),
    "geometric": lambda x: torch.empty(6).geometric_(0.5),
    "dropout": lambda x: functional.dropout(x, 0.3),
    "dropout2d": lambda x: functional.dropout2d(x[None], 0.5),
    "alpha_dropout": lambda x: functional.alpha_dropout(x, 0.3),
    "feature_dropout": lambda x: functional.feature_alpha_dropout(x[None], 0.3),
    "rrelu": lambda x: functional.rrelu(x, training=True),
    "gumbel": lambda x: functional.gumbel_softmax(x),
    "gumbel_hard": lambda x: functional.gumbel_softmax(x, hard=True),
    "twice": lambda x: (torch.rand(3), torch.randn(3), torch.rand(3)),
    "unused": lambda x: (torch.rand(100), x + 1)[1],
    "double": lambda x: torch.rand(3, dtype=torch.float64),
    "large": lambda x: torch.randn(5000).sum(),
    "shuffle": lambda x: x[torch.randperm(x.shape[0])],
}


@pytest.mark.parametrize("name", DRAWS)
def test_draw(name: str) -> None:
    assert_same(DRAWS[name], lambda: (torch.randn(4, 6),))


@pytest.mark.parametrize("name", ["dropout", "dropout2d", "alpha_dropout", "rrelu", "gumbel"])
def test_gradient_uses_the_mask_that_was_drawn(name: str) -> None:
    def fn(x):
        y = DRAWS[name](x)
        return y.detach(), torch.autograd.grad((y * y).sum(), x)

    assert_same(fn, lambda: (torch.randn(4, 6, requires_grad=True),), loosen=10)


def test_a_generator_of_its_own() -> None:
    import bifront

    mine, theirs = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    converted = bifront.trace(lambda x: x + torch.rand(3, generator=mine))
    for _ in range(5):
        x = torch.zeros(3)
        assert torch.equal(converted(x), x + torch.rand(3, generator=theirs))


def _fork(x):
    with torch.random.fork_rng(devices=[]):
        noise = torch.rand_like(x)
    return x + noise


LOOKS_AT_THE_STREAM = {
    "state": lambda x: torch.get_rng_state().sum() + x,
    "seed": lambda x: x + float(torch.initial_seed() % 97),
    "fork": _fork,
    "put_back": lambda x: (torch.set_rng_state(torch.get_rng_state()), x + 1)[1],
    "generator": lambda x: x + float(torch.default_generator.initial_seed() % 97),
}


@pytest.mark.parametrize("name", LOOKS_AT_THE_STREAM)
def test_looking_at_the_stream(name: str) -> None:
    assert_same(LOOKS_AT_THE_STREAM[name], lambda: (torch.zeros(3),), in_graph=False)


def test_seeding_inside() -> None:
    def fn(x):
        torch.manual_seed(3)
        return x + torch.rand(3)

    assert_same(fn, lambda: (torch.zeros(3),), in_graph=False)


def test_recurrent_dropout() -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.ReLU(), nn.Dropout(0.1))

    def fn(x):
        for _ in range(3):
            x = layer(x)[:, :8]
        return x.detach()

    assert_same(fn, lambda: (torch.randn(4, 8),))
