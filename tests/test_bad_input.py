"""What cannot be converted, what throws, what is interrupted: eager's result, state unharmed."""

import os
import signal
import threading

import bifront
import pytest
import torch

from tests.same_function import assert_same


def test_sparse_argument() -> None:
    dense = torch.eye(4)
    converted = bifront.trace(lambda a, x: a @ x)
    for _ in range(4):
        x = torch.randn(4, 2)
        torch.testing.assert_close(converted(dense.to_sparse(), x), dense @ x)
        torch.testing.assert_close(converted(dense.to_sparse_csr(), x), dense @ x)
    assert converted.stats["graph_calls"] == 0


def test_sparse_inside() -> None:
    converted = bifront.trace(lambda x: (x.to_sparse() * 2).to_dense())
    for _ in range(4):
        x = torch.randn(3, 3)
        torch.testing.assert_close(converted(x), x * 2)


def test_nested_argument() -> None:
    converted = bifront.trace(lambda n: n * 2)
    for _ in range(4):
        nested = torch.nested.nested_tensor([torch.randn(2), torch.randn(3)])
        for actual, part in zip(converted(nested).unbind(), nested.unbind(), strict=True):
            torch.testing.assert_close(actual, part * 2)


def test_quantised_argument() -> None:
    converted = bifront.trace(lambda q: q.dequantize() + 1)
    for _ in range(4):
        quantised = torch.quantize_per_tensor(torch.randn(4), 0.1, 0, torch.qint8)
        torch.testing.assert_close(converted(quantised), quantised.dequantize() + 1)


def test_tensor_subclass() -> None:
    class Named(torch.Tensor):
        pass

    converted = bifront.trace(lambda x: x + 1)
    for _ in range(4):
        x = torch.randn(3).as_subclass(Named)
        assert type(converted(x)) is Named
    assert torch.equal(converted(torch.zeros(3)), torch.ones(3))


def test_meta_tensor() -> None:
    converted = bifront.trace(lambda x: x + 1)
    for _ in range(4):
        assert converted(torch.empty(3, device="meta")).device.type == "meta"


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.uint16, torch.complex32])
def test_unusual_dtypes(dtype: torch.dtype) -> None:
    converted = bifront.trace(lambda x: x.clone())
    for _ in range(4):
        x = torch.ones(3).to(dtype)
        assert converted(x).dtype == dtype


def test_other_shape_later() -> None:
    converted = bifront.trace(lambda x, y: x @ y)
    for shape in [(2, 3), (2, 3), (2, 3), (5, 3), (2, 4), (0, 3), (2, 3)]:
        x, y = torch.randn(shape), torch.randn(shape[1], 2)
        torch.testing.assert_close(converted(x, y), x @ y)
    with pytest.raises(RuntimeError) as expected:
        torch.randn(2, 3) @ torch.randn(4, 2)
    with pytest.raises(RuntimeError) as raised:
        converted(torch.randn(2, 3), torch.randn(4, 2))
    assert str(raised.value) == str(expected.value)


@pytest.mark.parametrize(
    "other",
    [
        lambda: torch.randn(3).double(),
        lambda: torch.randint(0, 5, (3,)),
        lambda: torch.randn(3, requires_grad=True),
        lambda: torch.randn(6)[::2],
        lambda: torch.randn(1).expand(3),
        lambda: torch.randn(1, 3),
        lambda: torch.randn(()),
        lambda: torch.randn(3).bfloat16(),
        lambda: torch.randn(3) > 0,
        lambda: torch.zeros(3, dtype=torch.complex64),
    ],
)
def test_another_kind_of_tensor_later(other) -> None:
    converted = bifront.trace(lambda x: x * 2)
    for _ in range(4):
        converted(torch.randn(3))
    for _ in range(3):
        x = other()
        actual = converted(x)
        expected = x * 2
        assert torch.equal(actual, expected)
        assert actual.dtype == expected.dtype and actual.requires_grad == expected.requires_grad


@pytest.mark.parametrize("argument", [3, 2.5, "text", None, [1, 2], {"a": 1}, object()])
def test_no_tensor_later(argument) -> None:
    def fn(x):
        return x * 2

    converted = bifront.trace(fn)
    for _ in range(3):
        converted(torch.randn(3))
    try:
        expected = fn(argument)
    except TypeError as refused:
        with pytest.raises(TypeError) as raised:
            converted(argument)
        assert str(raised.value) == str(refused)
    else:
        assert converted(argument) == expected
    assert torch.equal(converted(torch.ones(3)), torch.full((3,), 2.0))


def test_wrong_number_of_arguments() -> None:
    converted = bifront.trace(lambda x: x + 1)
    for _ in range(3):
        converted(torch.ones(2))
    with pytest.raises(TypeError):
        converted()
    with pytest.raises(TypeError):
        converted(torch.ones(2), torch.ones(2))
    with pytest.raises(TypeError):
        converted(torch.ones(2), y=1)
    assert torch.equal(converted(torch.ones(2)), torch.full((2,), 2.0))


def test_an_op_that_throws_leaves_state_alone() -> None:
    """The second op fails only for some values; the write before it must not have happened, or
    have happened exactly as in eager."""

    def fn(state, table, index):
        state.add_(1)
        return table[index] * state

    def run(function):
        state, table = torch.zeros(2), torch.randn(4, generator=torch.Generator().manual_seed(0))
        log = []
        for value in [0, 1, 2, 9, 3, 9, 0]:
            try:
                log.append(function(state, table, torch.tensor([value, 0])).tolist())
            except IndexError as raised:
                log.append(str(raised))
            log.append(state.tolist())
        return log

    assert run(bifront.trace(fn)) == run(fn)


def test_an_op_that_throws_in_training() -> None:
    def run(convert):
        torch.manual_seed(0)
        embedding = torch.nn.Embedding(5, 3)
        optimizer = torch.optim.Adam(embedding.parameters())

        def step(tokens):
            optimizer.zero_grad()
            loss = torch.nn.functional.dropout(embedding(tokens), 0.5).pow(2).mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        step = convert(step)
        log = []
        for token in [0, 1, 2, 3, 7, 4, 7, 0]:
            try:
                log.append(step(torch.tensor([token, 0])))
            except IndexError as raised:
                log.append(str(raised))
        return log, embedding.weight.detach(), torch.get_rng_state()

    expected_log, expected_weight, expected_random = run(lambda step: step)
    actual_log, actual_weight, actual_random = run(bifront.trace)
    for actual, expected in zip(actual_log, expected_log, strict=True):
        if isinstance(expected, str):
            assert actual == expected
        else:
            torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(actual_weight, expected_weight, rtol=1e-5, atol=1e-6)
    assert torch.equal(actual_random, expected_random)


def test_cholesky_failure_is_eagers_exception() -> None:
    converted = bifront.trace(lambda a: torch.linalg.cholesky(a) * 2)
    for _ in range(3):
        torch.testing.assert_close(converted(torch.eye(3)), torch.eye(3) * 2)
    with pytest.raises(torch.linalg.LinAlgError):
        converted(-torch.eye(3))
    torch.testing.assert_close(converted(torch.eye(3)), torch.eye(3) * 2)


def test_python_exceptions() -> None:
    def fn(x):
        if x.shape[0] == 3:
            raise KeyError("three")
        return x + 1

    converted = bifront.trace(fn)
    for size in [2, 2, 2, 3, 3, 2]:
        if size == 3:
            with pytest.raises(KeyError, match="three"):
                converted(torch.zeros(3))
        else:
            assert torch.equal(converted(torch.zeros(size)), torch.ones(size))


def test_exception_while_capturing() -> None:
    """CPython runs the call again, and what it does counts."""
    settings = {"bound": 1.0}

    def fn(x):
        x.add_(1)
        if settings["bound"] < 0:
            raise ValueError("a negative bound")
        return x + 1

    converted = bifront.trace(fn)
    x = torch.zeros(2)
    converted(x)
    settings["bound"] = -1.0
    with pytest.raises(ValueError, match="a negative bound"):
        converted(x)
    assert torch.equal(x, torch.full((2,), 2.0))
    settings["bound"] = 2.0
    assert torch.equal(converted(x), torch.full((2,), 4.0))
    assert torch.equal(x, torch.full((2,), 3.0))


def test_interrupt_in_a_long_graph() -> None:
    """Ctrl-C arrives while native code runs: KeyboardInterrupt in time, and the process goes on."""

    def fn(x):
        for _ in range(300):
            x = (x @ x).tanh()
        return x

    converted = bifront.trace(fn)
    small = torch.eye(700) * 0.5
    for _ in range(3):
        converted(small)
    assert converted.stats["graph_calls"] >= 1
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    # A process that a shell has put into the background ignores it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            for _ in range(10_000):
                converted(small)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    torch.testing.assert_close(converted(small), fn(small))


def test_data_dependent_branches() -> None:
    """Converted or not, the branch that eager takes is taken."""

    def fn(x):
        return x * 2 if x.sum() > 0 else x - 1

    converted = bifront.trace(fn)
    for value in [1.0, 1.0, 1.0, -1.0, 1.0, -1.0]:
        x = torch.full((3,), value)
        assert torch.equal(converted(x), fn(x))


def test_numbers_of_tensors() -> None:
    def fn(x):
        return x.sum().item() * 2, x[0].item(), int(x.sum()), bool(x.any()), len(x), x.tolist()

    assert_same(fn, lambda: (torch.randn(3),), in_graph=False)


def test_numpy() -> None:
    def fn(x):
        return torch.from_numpy(x.numpy() * 2)

    assert_same(fn, lambda: (torch.randn(3),), in_graph=False)


def test_printing_and_formatting(capsys) -> None:
    converted = bifront.trace(lambda x: print(x.sum().item()))
    for value in range(4):
        converted(torch.tensor([float(value)]))
    assert capsys.readouterr().out == "0.0\n1.0\n2.0\n3.0\n"


def test_custom_op() -> None:
    @torch.library.custom_op("bifront_tests::scale", mutates_args=())
    def scale(x: torch.Tensor, factor: float) -> torch.Tensor:
        return x * factor

    @scale.register_fake
    def _(x, factor):
        return torch.empty_like(x)

    def backward(ctx, slope):
        return slope * 3.0, None

    scale.register_autograd(backward)

    assert_same(lambda x: scale(x, 3.0) + 1, lambda: (torch.randn(4),))
    assert_same(
        lambda x: torch.autograd.grad(scale(x, 3.0).sum(), x),
        lambda: (torch.randn(4, requires_grad=True),),
        in_graph=False,
    )


def test_custom_op_that_mutates() -> None:
    @torch.library.custom_op("bifront_tests::bump", mutates_args={"x"})
    def bump(x: torch.Tensor) -> None:
        x += 1

    def fn(x):
        y = x * 2
        bump(y)
        return y

    assert_same(fn, lambda: (torch.randn(4),), in_graph=False)


def test_dispatch_modes_and_threads() -> None:
    """Converted functions are called from several threads at once."""
    converted = bifront.trace(lambda x: (x * 2 + 1).relu().sum())
    failures = []

    def work(seed):
        generator = torch.Generator().manual_seed(seed)
        for _ in range(50):
            x = torch.randn(64, generator=generator)
            if not torch.allclose(converted(x), (x * 2 + 1).relu().sum()):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_recursion_into_itself() -> None:
    def fn(x):
        return x + 1 if x.shape[0] == 1 else inner(x[1:]) * 2

    inner = bifront.trace(fn)
    for _ in range(4):
        assert torch.equal(inner(torch.zeros(3)), torch.full((1,), 4.0))


def test_functions_that_return_no_tensor() -> None:
    converted = bifront.trace(lambda x: (None, 3, "text", x.shape))
    for _ in range(4):
        assert converted(torch.zeros(2, 3)) == (None, 3, "text", torch.Size([2, 3]))


def test_inference_mode_outside() -> None:
    converted = bifront.trace(lambda x: x * 2)
    for _ in range(4):
        with torch.inference_mode():
            assert converted(torch.ones(2)).is_inference()
        assert not converted(torch.ones(2)).is_inference()


def test_no_grad_outside() -> None:
    weight = torch.ones(2, requires_grad=True)
    converted = bifront.trace(lambda x: x * weight)
    for call in range(6):
        with torch.set_grad_enabled(call % 2 == 0):
            assert converted(torch.ones(2)).requires_grad == (call % 2 == 0)


def test_pytorch_prints_a_tensor_while_capturing() -> None:
    """Choosing an overload for a tensor where a number would do, it takes all modes off."""

    def step(x, value):
        return torch.ops.aten.masked_fill(x, x > 0, value)

    converted = bifront.trace(step)
    x, value = torch.randn(3, 4), torch.ones(())
    for _ in range(3):
        assert torch.equal(converted(x, value), step(x, value))
    add = bifront.trace(lambda a: a + 1)  # captures go on
    for _ in range(3):
        assert torch.equal(add(x), x + 1)
    assert add.stats["graphs"] == 1
