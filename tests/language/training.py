"""Whole training steps as users write them, with the state that lives from step to step."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_, parameters_to_vector

from tests.language.conformance import batch, matrix, program


def small():
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))


def labelled(call):
    return torch.randn(3 + call % 2, 4), torch.randint(0, 2, (3 + call % 2,))


@program(batch)
def sgd_with_momentum():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, optimizer


@program(labelled)
def adam_on_cross_entropy():
    model = small()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, optimizer


@program(batch)
def adamw_with_groups():
    model = small()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "lr": 0.02}], lr=0.01
    )

    def step(x, y):
        optimizer.zero_grad(set_to_none=False)
        F.l1_loss(model(x), y).backward()
        optimizer.step()

    return step, optimizer


@program(batch)
def rmsprop_and_adagrad_in_turn():
    model = small()
    optimizers = [
        torch.optim.RMSprop(model[0].parameters(), lr=0.01),
        torch.optim.Adagrad(model[2].parameters(), lr=0.1),
    ]
    turn = [0]

    def step(x, y):
        model.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizers[turn[0] % 2].step()
        turn[0] += 1

    return step, optimizers


@program(batch, graphs=2)
def lbfgs_with_a_closure():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=3, history_size=4)

    def step(x, y):
        evaluations = 0

        def closure():
            nonlocal evaluations
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            evaluations += 1
            return loss

        loss = optimizer.step(closure)
        return loss.item(), evaluations

    return step


@program(batch)
def scheduler_inside_the_step():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)

    def step(x, y):
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()
        scheduler.step()
        return scheduler.get_last_lr()[0]

    return step


@program(batch)
def cosine_schedule_with_warm_up():
    model = small()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: t / 3 if t < 3 else 0.5 * (1 + math.cos(math.pi * (t - 3) / 5))
    )

    def step(x, y):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss.item(), optimizer.param_groups[0]["lr"]

    return step


@program(batch)
def plateau_scheduler_reads_the_loss():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step(loss.item())
        return optimizer.param_groups[0]["lr"]

    return step


@program(batch)
def learning_rate_written_by_hand():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    state = {"step": 0}

    def step(x, y):
        state["step"] += 1
        for group in optimizer.param_groups:
            group["lr"] = 0.1 / math.sqrt(state["step"])
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()

    return step


@program(batch)
def grad_scaler():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=3)

    def step(x, y):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.mse_loss(model(x).float(), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return scaler.get_scale()

    return step, optimizer


@program(batch)
def clip_the_norm():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        F.mse_loss(model(x) * 10, y).backward()
        norm = clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return norm

    return step


@program(batch)
def clip_the_values_and_skip():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    skipped = []

    def step(x, y):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        if loss > 1.2:
            skipped.append(loss.item())
            return None
        loss.backward()
        clip_grad_value_(model.parameters(), 0.05)
        optimizer.step()
        return parameters_to_vector(p.grad for p in model.parameters()).abs().max()

    return step


@program(batch)
def accumulates_over_calls():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = [0]

    def step(x, y):
        loss = F.mse_loss(model(x), y) / 2
        loss.backward()
        seen[0] += 1
        if seen[0] % 2 == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss.item()

    return step


@program(lambda call: ([batch(call + i) for i in range(1 + call % 3)],))
def accumulates_over_micro_batches():
    model = small()
    optimizer = torch.optim.Adam(model.parameters())

    def step(batches):
        optimizer.zero_grad()
        total = 0.0
        for x, y in batches:
            loss = F.mse_loss(model(x), y) / len(batches)
            loss.backward()
            total += loss.item()
        optimizer.step()
        return total

    return step, optimizer


@program(batch)
def optimizer_written_by_hand():
    model = small()
    velocity = {name: torch.zeros_like(p) for name, p in model.named_parameters()}

    def step(x, y):
        loss = F.mse_loss(model(x), y)
        names, parameters = zip(*model.named_parameters())
        grads = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for name, p, grad in zip(names, parameters, grads):
                velocity[name] = 0.9 * velocity[name] + grad
                p -= 0.1 * velocity[name]
        return loss.item()

    return step


@program(batch)
def optimizer_class_of_the_user():
    class Lion(torch.optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    if not state:
                        state["m"] = torch.zeros_like(p)
                    p.add_(torch.sign(0.9 * state["m"] + 0.1 * p.grad), alpha=-group["lr"])
                    state["m"].mul_(0.99).add_(p.grad, alpha=0.01)

    model = small()
    optimizer = Lion(model.parameters(), 0.01)

    def step(x, y):
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()

    return step


@program(batch)
def exponential_moving_average_of_weights():
    model = small()
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), model.parameters()):
                slow.lerp_(fast, 0.1)
        return average(x)

    return step


@program(batch)
def schedule_on_the_trainer():
    class Trainer:
        def __init__(self):
            self.model = small()
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
            self.global_step, self.best = 0, float("inf")

        def beta(self):
            return min(1.0, self.global_step / 4)

        def step(self, x, y):
            self.optimizer.zero_grad()
            out = self.model(x)
            loss = F.mse_loss(out, y) + self.beta() * out.pow(2).mean()
            loss.backward()
            self.optimizer.step()
            self.global_step += 1
            if loss.item() < self.best:
                self.best = loss.item()
            return self.best

    trainer = Trainer()

    def step(x, y):
        return trainer.step(x, y)

    return step


@program(batch)
def early_stopping():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    state = {"best": None, "bad": 0, "stopped": False}

    def step(x, y):
        if state["stopped"]:
            return None
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        if state["best"] is None or loss < state["best"]:
            state["best"], state["bad"] = loss.item(), 0
        else:
            state["bad"] += 1
            state["stopped"] = state["bad"] >= 2
        return loss.item()

    return step


@program(lambda call: (torch.randn(3, 4), call % 3))
def freezes_layers_as_it_goes():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x, stage):
        for p in model[0].parameters():
            p.requires_grad_(stage != 1)
        optimizer.zero_grad()
        model(x).pow(2).mean().backward()
        optimizer.step()
        return [p.grad is None for p in model.parameters()]

    return step


@program(lambda call: (torch.randn(3, 4), torch.rand(3, 4) > 0.3))
def batch_norm_and_dropout_train():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x, mask):
        optimizer.zero_grad()
        loss = (model(x) * mask).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss.item(), model[1].num_batches_tracked.item()

    return step


@program(labelled)
def metrics_are_collected():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    metrics = {"correct": 0, "seen": 0, "losses": []}

    def step(x, y):
        optimizer.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        optimizer.step()
        metrics["correct"] += (logits.argmax(1) == y).sum().item()
        metrics["seen"] += y.shape[0]
        metrics["losses"].append(loss.item())
        return metrics["correct"] / metrics["seen"]

    return step


@program(batch)
def best_weights_are_kept():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    best = {"loss": float("inf"), "weights": None}

    def step(x, y):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        if loss.item() < best["loss"]:
            best["loss"] = loss.item()
            best["weights"] = {k: v.clone() for k, v in model.state_dict().items()}
        return best["loss"]

    return step


@program(batch)
def state_is_saved_and_loaded():
    model = small()
    optimizer = torch.optim.Adam(model.parameters(), lr=1.0)

    def step(x, y):
        saved = {name: t.clone() for name, t in model.state_dict().items()}
        optimizer.zero_grad()
        before = F.mse_loss(model(x), y)
        before.backward()
        optimizer.step()
        with torch.no_grad():
            after = F.mse_loss(model(x), y)
        if after > before:
            model.load_state_dict(saved)
        return after.item()

    return step, optimizer


@program(batch)
def weight_decay_by_hand_in_the_loss():
    model = small()

    def step(x, y):
        loss = F.mse_loss(model(x), y)
        for name, p in model.named_parameters():
            if name.endswith("weight"):
                loss = loss + 1e-2 * p.square().sum()
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data.sub_(0.1 * p.grad)
        return loss.item()

    return step


@program(batch)
def two_losses_and_retained_graph():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        out = model(x)
        F.mse_loss(out, y).backward(retain_graph=True)
        first = [p.grad.clone() for p in model.parameters()]
        out.abs().mean().backward()
        agree = sum((a * p.grad).sum() for a, p in zip(first, model.parameters()))
        if agree > 0:
            optimizer.step()
        return agree

    return step


@program(matrix, opaque=4)
def checkpointed_layer():
    model = small()

    def step(x):
        model.zero_grad()
        out = torch.utils.checkpoint.checkpoint(model, x, use_reentrant=False)
        out.sum().backward()
        return out.detach()

    return step


@program(batch)
def learning_rate_finder():
    model = small()
    start = {k: v.clone() for k, v in model.state_dict().items()}

    def step(x, y):
        losses = []
        for exponent in range(-3, 1):
            model.load_state_dict(start)
            optimizer = torch.optim.SGD(model.parameters(), lr=10.0**exponent)
            for _ in range(2):
                optimizer.zero_grad()
                loss = F.mse_loss(model(x), y)
                loss.backward()
                optimizer.step()
            losses.append(loss.item())
        return losses.index(min(losses)), losses

    return step
