"""Effects that others see: text, warnings, buffers, random numbers, environments, libraries."""

import collections
import csv
import io
import json
import logging
import pickle
import random
import re
import struct
import sys
import warnings
import weakref

import numpy as np
import torch
from torch import nn

from tests.language.conformance import (
    batch,
    matrix,
    program,
    vector,
    vector_and_number,
)


def printing_logger():
    logger = logging.Logger("language")
    stream = io.StringIO()
    logger.addHandler(logging.StreamHandler(stream))
    return logger, stream


@program()
def prints_a_constant():
    def step(x):
        print("step")
        return x * 2

    return step


@program()
def prints_a_tensor_value():
    def step(x):
        loss = x.pow(2).mean()
        print(f"loss {loss.item():.3f}", len(x), sep=": ", end=";\n")
        return loss

    return step


@program()
def prints_a_whole_tensor():
    def step(x):
        y = x.round()
        print("rounded:", y, y.shape)
        return y

    return step


@program(matrix)
def prints_in_a_loop():
    def step(x):
        for i, row in enumerate(x):
            if row.sum() > 0:
                print("row", i, f"{row.max():.2f}")
        return x.sum()

    return step


@program()
def prints_before_an_exception():
    def step(x):
        print("checking")
        if x.sum() < 0:
            raise ValueError("negative")
        print("fine")
        return x

    return step


@program(vector_and_number)
def prints_every_third_call():
    calls = [0]

    def step(x, n):
        calls[0] += 1
        if calls[0] % 3 == 0:
            print(f"after {calls[0]} calls: {n}")
        return x + n

    return step


@program()
def writes_to_stdout():
    def step(x):
        sys.stdout.write("step\n")
        return x * 2

    return step


@program()
def logs_to_a_logger_of_the_process():
    logger = logging.getLogger("language.effects")

    def step(x):
        logger.error("step")
        return x * 2

    return step


@program(vector_and_number)
def weak_reference():
    class Scale:
        factor = 1

    scale = Scale()
    reference = weakref.ref(scale)

    def step(x, n):
        reference().factor += n
        return x * reference().factor

    return step, scale


@program()
def warns_once():
    def step(x):
        warnings.simplefilter("once")
        warnings.warn("only once", stacklevel=1)
        return x * 2

    return step


@program(vector_and_number)
def assigns_to_an_attribute_of_a_parameter():
    weight = nn.Parameter(torch.ones(1))

    def step(x, n):
        weight.uses = getattr(weight, "uses", 0) + n
        return x * weight.detach() + weight.uses

    return step


@program()
def prints_to_stderr_and_flushes():
    def step(x):
        print("progress", file=sys.stderr, flush=True)
        sys.stdout.write(f"{len(x)} values\n")
        return x.relu()

    return step


@program()
def prints_in_order_with_other_effects():
    log = []

    def step(x):
        print("one")
        log.append("two")
        print(len(log))
        return x * len(log)

    return step


@program()
def prints_a_progress_bar():
    def step(x):
        for i in range(3):
            x = x * 0.9
            print("\r" + "#" * (i + 1), end="", flush=True)
        print()
        return x

    return step


@program(opaque=1)
def logs_a_number():
    logger, stream = printing_logger()

    def step(x):
        logger.info("loss %.3f of %d", x.mean(), len(x))
        return x * 2

    return step, stream


@program(opaque=1)
def logs_on_one_path():
    logger, stream = printing_logger()

    def step(x):
        if x.sum() < 0:
            logger.warning("negative sum %.2f", x.sum().item())
        return x.abs()

    return step, stream


@program(opaque=1)
def warns():
    def step(x):
        if x.max() > 1:
            warnings.warn(f"{len(x)} values, large ones too", stacklevel=2)
        return x.clamp(max=1)

    return step


@program(opaque=1)
def warns_with_a_category():
    class Unstable(UserWarning):
        pass

    def step(x):
        warnings.warn("unstable", Unstable, stacklevel=1)
        return x + 1

    return step


@program(opaque=4)
def warning_is_caught():
    def step(x):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                warnings.warn("no", stacklevel=1)
            except UserWarning as warning:
                return x, str(warning)

    return step


@program(lambda call: (torch.randn(2, 1), torch.randn(2)))
def torch_warns_itself():
    def step(x, y):
        return nn.functional.mse_loss(x, y)

    return step


@program(opaque=1)
def writes_into_a_string_buffer():
    buffer = io.StringIO()

    def step(x):
        buffer.write(f"{x.sum().item():.3f}\n")
        return x * 2

    return step, buffer


@program(opaque=1)
def writes_rows_of_csv():
    buffer = io.StringIO()
    writer = csv.writer(buffer)

    def step(x):
        for i, value in enumerate(x[:2].tolist()):
            writer.writerow([i, round(value, 1)])
        return x.norm()

    return step, buffer


@program(vector_and_number, opaque=2)
def json_there_and_back():
    def step(x, n):
        text = json.dumps({"n": n, "values": [1, 2]}, sort_keys=True)
        return x * json.loads(text)["n"], text

    return step


@program(opaque=2)
def pickle_there_and_back():
    def step(x):
        kept = pickle.loads(pickle.dumps({"x": x, "n": 3}))
        return kept["x"] * kept["n"], kept["x"] is x

    return step


@program(matrix, opaque=4)
def saves_and_loads_a_state():
    model = nn.Linear(4, 2)

    def step(x):
        buffer = io.BytesIO()
        torch.save(model.state_dict(), buffer)
        buffer.seek(0)
        weights = torch.load(buffer)
        return x @ weights["weight"].T, list(weights)

    return step


@program(opaque=3)
def numpy_and_back():
    def step(x):
        array = x.numpy()
        return torch.from_numpy(array * 2) + x

    return step


@program(opaque=2)
def numpy_shares_memory():
    def step(x):
        array = x.numpy()
        array[0] = 7.0
        return x.sum()

    return step


@program(opaque=3)
def numpy_statistics_decide():
    def step(x):
        spread = float(np.percentile(x.numpy(), 75))
        return x * 2 if spread > 0.5 else x

    return step


@program(vector_and_number, opaque=4)
def numpy_scalar_in_arithmetic():
    weights = np.array([0.5, 1.5, 2.5], dtype=np.float32)

    def step(x, n):
        return x * float(weights[n]), weights[n] * 2

    return step


@program(opaque=1)
def numpy_draws():
    def step(x):
        if np.random.rand() < 0.5:
            return x
        return x + 1

    return step


@program(opaque=3)
def numpy_generator_of_its_own():
    generator = np.random.default_rng(7)

    def step(x):
        noise = torch.from_numpy(generator.standard_normal(len(x)).astype(np.float32))
        return x + noise

    return step


@program(opaque=1)
def random_decides():
    def step(x):
        if random.random() < 0.5:
            return x.flip(0)
        return x

    return step


@program(lambda call: (torch.randn(5, 2), 2 + call % 2), opaque=1)
def random_samples_rows():
    def step(x, k):
        chosen = random.sample(range(len(x)), k)
        return x[chosen].mean(0), chosen

    return step


@program(opaque=1)
def random_shuffles_a_list():
    order = list(range(4))

    def step(x):
        random.shuffle(order)
        return x * order[0], list(order)

    return step


@program(vector)
def torch_draws_between_branches():
    def step(x):
        noise = torch.randn_like(x)
        if noise.sum() > 0:
            noise = noise + torch.rand(())
        return x + noise * torch.bernoulli(torch.full_like(x, 0.5))

    return step


@program(vector)
def generator_object_draws():
    generator = torch.Generator().manual_seed(3)

    def step(x):
        return x + torch.randn(len(x), generator=generator), torch.randperm(4, generator=generator)

    return step


@program(vector_and_number, opaque=1)
def seed_is_set_inside():
    def step(x, n):
        torch.manual_seed(n)
        return x + torch.rand(len(x))

    return step


@program(vector, opaque=2)
def random_state_is_put_back():
    def step(x):
        state = torch.get_rng_state()
        first = torch.rand(2)
        torch.set_rng_state(state)
        return x.sum() + first, torch.equal(first, torch.rand(2))

    return step


@program(vector, opaque=4)
def random_state_is_forked():
    def step(x):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            inside = torch.rand(1)
        return x * inside + torch.rand(1)

    return step


@program(vector_and_number, opaque=1)
def environment_steps():
    class Environment:
        def __init__(self):
            self.history = []

        def step(self, action):
            self.history.append(action)
            return [float(action), 1.0], len(self.history) % 3 == 0

    env = Environment()
    policy = nn.Linear(2, 3)

    def step(x, n):
        observation, done = env.step(policy(x[:2]).argmax().item())
        return torch.tensor(observation) * n, done

    return step


@program(matrix, opaque=2)
def environment_raises_at_the_end():
    class Environment:
        left = 15

        def step(self, action):
            if self.left == 0:
                raise EOFError("over")
            self.left -= 1
            return action * 0.5

    env = Environment()

    def step(x):
        total = 0.0
        for row in x[:2]:
            total += env.step(row.sum().item())
        return total

    return step


@program(vector_and_number, opaque=3)
def regular_expressions():
    pattern = re.compile(r"(\w+)\[(\d+)\]")

    def step(x, n):
        name, index = pattern.match(f"layer[{n}]").groups()
        return x * int(index), name, re.sub("a", "o", "adam")

    return step


@program(vector_and_number, opaque=2)
def struct_packs():
    def step(x, n):
        raw = struct.pack("<if", n, 0.5)
        count, scale = struct.unpack("<if", raw)
        return x * count * scale, raw

    return step


@program(vector)
def callback_of_the_caller():
    received = []

    class Hooks:
        def on_loss(self, value):
            received.append(value)

    hooks = Hooks()

    def step(x):
        loss = x.abs().mean()
        hooks.on_loss(round(loss.item(), 4))
        return loss

    return step


@program(vector_and_number)
def counters_of_many_kinds():
    counts = collections.Counter()

    class Meter:
        total, n = 0.0, 0

        def update(self, value):
            self.total += value
            self.n += 1

        @property
        def average(self):
            return self.total / self.n

    meter = Meter()

    def step(x, n):
        counts[n] += 1
        meter.update(x.mean().item())
        return meter.average, counts.total()

    return step


@program(batch)
def loss_history_with_printing():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = []

    def step(x, y):
        optimizer.zero_grad()
        loss = (model(x) - y).pow(2).mean()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
        if len(history) % 2 == 0:
            print(f"step {len(history)}: {sum(history[-2:]) / 2:.3f}")

    return step


@program(vector)
def assigns_to_an_attribute_of_a_tensor():
    def step(x):
        y = x * 2
        y.tag = "doubled"
        x.seen = getattr(x, "seen", 0) + 1
        return y

    return step


@program(vector)
def writes_through_an_out_argument():
    buffer = torch.empty(0)

    def step(x):
        buffer.resize_(len(x))
        torch.mul(x, 2, out=buffer)
        return buffer.sum()

    return step


@program(matrix)
def hook_that_prints():
    model = nn.Linear(4, 2)
    model.register_forward_hook(lambda m, args, out: print("out", tuple(out.shape)))

    def step(x):
        return model(x).detach()

    return step


@program(vector_and_number)
def mode_of_the_program_is_switched():
    def step(x, n):
        torch.set_grad_enabled(n != 1)
        y = x * torch.ones(1, requires_grad=True)
        torch.set_grad_enabled(True)
        return y.requires_grad

    return step


@program(lambda call: (torch.randn(2), ["a", "b", "exit"][call % 3]))
def exits_the_program():
    def step(x, command):
        if command == "exit":
            sys.exit(f"after {len(x)}")
        return x * 2

    return step
