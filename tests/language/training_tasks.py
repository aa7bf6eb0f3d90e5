"""Training steps of whole tasks: reinforcement, generation, sequences, learning to learn."""

import random
from collections import deque

import torch
import torch.nn.functional as F
from torch import nn

from tests.language.conformance import batch, matrix, program


def small():
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))


class CartPole:
    """A small environment of plain Python."""

    def __init__(self):
        self.random = random.Random(3)
        self.position = 0.0
        self.steps = 0

    def reset(self):
        self.position, self.steps = self.random.uniform(-0.5, 0.5), 0
        return [self.position, 0.0]

    def step(self, action):
        self.steps += 1
        self.position += 0.3 if action else -0.3
        done = abs(self.position) > 1 or self.steps >= 5
        return [self.position, self.steps / 5], 1.0 - abs(self.position), done


@program(lambda call: (3 + call % 3,), opaque=2)
def policy_gradient_episode():
    policy, env = nn.Linear(2, 2), CartPole()
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)

    def step(max_steps):
        observation = torch.tensor(env.reset())
        log_probs, rewards = [], []
        for _ in range(max_steps):
            distribution = torch.distributions.Categorical(logits=policy(observation))
            action = distribution.sample()
            log_probs.append(distribution.log_prob(action))
            observed, reward, done = env.step(action.item())
            observation = torch.tensor(observed)
            rewards.append(reward)
            if done:
                break
        loss = -torch.stack(log_probs).sum() * sum(rewards)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item(), len(rewards)

    return step


@program(lambda call: (0.5 if call % 2 else 0.0,), opaque=3)
def q_learning_with_replay():
    network, env = nn.Linear(2, 2), CartPole()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    memory, chance = deque(maxlen=4), random.Random(5)
    current = {"observation": env.reset()}

    def step(epsilon):
        observation = current["observation"]
        values = network(torch.tensor(observation))
        action = values.argmax().item() if chance.random() >= epsilon else 1
        following, reward, done = env.step(action)
        memory.append((observation, action, reward, following, done))
        loss = torch.zeros(())
        for before, chosen, gain, after, ended in memory:
            with torch.no_grad():
                best = 0.0 if ended else network(torch.tensor(after)).max()
            loss = loss + (network(torch.tensor(before))[chosen] - gain - 0.9 * best) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        current["observation"] = env.reset() if done else following
        return loss.item()

    return step


@program(matrix)
def gan_with_two_optimizers():
    generator, critic = nn.Linear(2, 4), nn.Linear(4, 1)
    g_opt = torch.optim.Adam(generator.parameters(), lr=0.01)
    d_opt = torch.optim.Adam(critic.parameters(), lr=0.01)

    def step(real):
        fake = generator(torch.randn(len(real), 2))
        d_opt.zero_grad()
        d_loss = F.softplus(-critic(real)).mean() + F.softplus(critic(fake.detach())).mean()
        d_loss.backward()
        d_opt.step()
        g_opt.zero_grad()
        g_loss = F.softplus(-critic(fake)).mean()
        g_loss.backward()
        g_opt.step()
        return d_loss.item(), g_loss.item()

    return step, (g_opt, d_opt)


@program(lambda call: (torch.randn(2 + call % 3, 1, 4),))
def hidden_state_kept_on_self():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(4, 3)
            self.hidden = None

        def forward(self, x):
            out, hidden = self.rnn(x, self.hidden)
            self.hidden = hidden.detach()
            return out

    model = Tagger()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss.item(), model.hidden

    return step


@program(lambda call: (torch.randn(4 + call % 3, 1, 3),))
def truncated_backpropagation():
    cell, head = nn.LSTMCell(3, 3), nn.Linear(3, 1)
    optimizer = torch.optim.SGD([*cell.parameters(), *head.parameters()], lr=0.1)

    def step(sequence):
        h, c = torch.zeros(1, 3), torch.zeros(1, 3)
        losses = []
        for start in range(0, len(sequence), 2):
            loss = torch.zeros(())
            for x in sequence[start : start + 2]:
                h, c = cell(x, (h, c))
                loss = loss + head(h).pow(2).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            h, c = h.detach(), c.detach()
            losses.append(loss.item())
        return losses

    return step


@program(batch)
def teacher_and_student():
    teacher, student = small().eval(), small()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)

    def step(x, y):
        with torch.no_grad():
            soft = teacher(x).softmax(-1)
        loss = F.kl_div(student(x).log_softmax(-1), soft, reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item(), (student(x).argmax(-1) == soft.argmax(-1)).sum().item()

    return step


@program(matrix)
def gradient_penalty():
    critic = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)

    def step(x):
        x = x.requires_grad_()
        (grad,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        loss = (grad.norm(dim=1) - 1).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


@program(batch)
def meta_learning_inner_loop():
    weight = nn.Parameter(torch.full((4, 2), 0.1))
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def step(x, y):
        fast = weight
        for _ in range(2):
            inner = F.mse_loss(x @ fast, y)
            (grad,) = torch.autograd.grad(inner, fast, create_graph=True)
            fast = fast - 0.1 * grad
        outer = F.mse_loss(x @ fast, y)
        optimizer.zero_grad()
        outer.backward()
        optimizer.step()
        return outer.item()

    return step


@program(lambda call: (torch.rand(3, 4) + 0.1, call % 3 == 0))
def variational_autoencoder():
    encoder, decoder = nn.Linear(4, 4), nn.Linear(2, 4)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=0.01)

    def step(x, evaluate):
        mean, log_var = encoder(x).chunk(2, dim=1)
        z = mean if evaluate else mean + torch.randn_like(mean) * (0.5 * log_var).exp()
        kl = -0.5 * (1 + log_var - mean.pow(2) - log_var.exp()).sum()
        loss = F.mse_loss(decoder(z), x, reduction="sum") + 0.1 * kl
        if not evaluate:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    return step


@program(lambda call: ([torch.randint(0, 6, (2 + (call + i) % 3,)) for i in range(3)],))
def language_model_on_sentences():
    embed, cell, head = nn.Embedding(6, 3), nn.RNNCell(3, 3), nn.Linear(3, 6)
    modules = nn.ModuleList([embed, cell, head])
    optimizer = torch.optim.Adam(modules.parameters(), lr=0.01)

    def step(sentences):
        loss, words = torch.zeros(()), 0
        for sentence in sentences:
            hidden = torch.zeros(1, 3)
            for now, following in zip(sentence[:-1], sentence[1:]):
                hidden = cell(embed(now)[None], hidden)
                loss = loss + F.cross_entropy(head(hidden), following[None])
                words += 1
        loss = loss / words
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item(), words

    return step


@program(lambda call: (torch.randint(0, 4, (3 + call % 2,)), torch.randint(0, 4, (2 + call % 3,))))
def sequence_to_sequence_with_teacher_forcing():
    embed, encoder, decoder = nn.Embedding(4, 3), nn.GRUCell(3, 3), nn.GRUCell(3, 3)
    head = nn.Linear(3, 4)
    parts = nn.ModuleList([embed, encoder, decoder, head])
    optimizer = torch.optim.SGD(parts.parameters(), lr=0.1)

    def step(source, target):
        hidden = torch.zeros(1, 3)
        for token in source:
            hidden = encoder(embed(token)[None], hidden)
        previous, loss = torch.tensor(0), torch.zeros(())
        for token in target:
            hidden = decoder(embed(previous)[None], hidden)
            logits = head(hidden)
            loss = loss + F.cross_entropy(logits, token[None])
            forced = torch.rand(()) < 0.5
            previous = token if forced else logits.argmax(-1)[0]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


@program(batch)
def autograd_function_of_the_user():
    class Clip(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, bound):
            ctx.save_for_backward(x)
            ctx.bound = bound
            return x.clamp(-bound, bound)

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * (x.abs() <= ctx.bound), None

    model = nn.Linear(4, 2)

    def step(x, y):
        model.zero_grad()
        F.mse_loss(Clip.apply(model(x), 0.5), y).backward()
        return model.weight.grad.sum()

    return step
