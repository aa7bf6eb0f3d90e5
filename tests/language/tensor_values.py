"""Python control and Python numbers that follow the values and the shapes of tensors."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.language.conformance import (
    matrix,
    program,
    two_vectors,
    vector,
    vector_and_number,
)


@program()
def item_in_arithmetic():
    def step(x):
        peak = x.max().item()
        return x / (abs(peak) + 1), peak * 2 + 1

    return step


@program(lambda call: (torch.randint(0, 9, (3,)), torch.randn(10)))
def item_as_an_index():
    def step(positions, table):
        first = positions[0].item()
        return table[first], table[first:].sum(), first + 1

    return step


@program()
def int_float_and_bool_of_a_tensor():
    def step(x):
        total = x.sum()
        return int(total), float(total) / 2, bool(total > 0), x * int(total)

    return step


@program(lambda call: (torch.randint(0, 5, (2 + call % 3,)),))
def tolist_drives_a_loop():
    def step(x):
        out = []
        for i, value in enumerate(x.tolist()):
            out.append(value * i if value % 2 else -value)
        return out, torch.tensor(out)

    return step


@program(matrix)
def nested_tolist():
    def step(x):
        rows = x.tolist()
        best = max(range(len(rows)), key=lambda i: sum(rows[i]))
        return x[best], len(rows[0])

    return step


@program(lambda call: (torch.tensor(1 + call % 4), torch.randn(5)))
def tensor_as_an_index():
    def step(n, x):
        return x[n], x[:n], x[n - 1 :], [10, 20, 30, 40, 50][n]

    return step


@program(lambda call: (torch.randint(0, 4, (3 + call % 2,)), torch.randn(4, 2)))
def embedding_lookup_by_a_list():
    def step(tokens, table):
        rows = [table[t] for t in tokens]
        return torch.stack(rows), table[tokens], table[[0, 2]]

    return step


@program()
def boolean_mask_selects():
    def step(x):
        kept = x[x > 1]
        return kept, kept.numel(), x[~(x > 1)].sum()

    return step


@program(lambda call: (torch.randint(0, 2, (5 + call % 2,)),))
def nonzero_gives_a_dynamic_length():
    def step(x):
        positions = x.nonzero().squeeze(1)
        return positions, positions.shape[0] * 2, torch.zeros(len(positions), 2)

    return step


@program(lambda call: (torch.randint(0, 3 + call % 3, (6,)),))
def unique_decides_a_loop():
    def step(labels):
        values, counts = labels.unique(return_counts=True)
        out = {}
        for value, count in zip(values.tolist(), counts):
            out[value] = count.float() / len(labels)
        return out

    return step


@program(lambda call: (torch.randint(0, 3, (7,)), torch.randn(7, 2)))
def group_by_label():
    def step(labels, x):
        means = []
        for label in range(3):
            members = x[labels == label]
            if members.shape[0] == 0:
                continue
            means.append(members.mean(0))
        return torch.stack(means)

    return step


@program(lambda call: (torch.full((2,), 100.0 / (1 + call % 3)),))
def newton_iteration_until_it_converges():
    def step(a):
        x, rounds = a.clone(), 0
        while True:
            nxt = 0.5 * (x + a / x)
            rounds += 1
            if (nxt - x).abs().max() < 1e-2:
                break
            x = nxt
        return nxt, rounds

    return step


@program(lambda call: (torch.randn(4, 4),))
def power_iteration():
    def step(a):
        symmetric = a @ a.T
        v, last = torch.ones(4), 0.0
        for i in range(30):
            v = symmetric @ v
            norm = v.norm().item()
            v = v / norm
            if abs(norm - last) < 0.05 * norm:
                break
            last = norm
        return v, i

    return step


@program(lambda call: (torch.randn(6, 3), torch.randint(1, 6, ())))
def rnn_over_a_dynamic_length():
    cell = nn.RNNCell(3, 4)

    def step(x, length):
        hidden = torch.zeros(1, 4)
        for t in range(int(length)):
            hidden = cell(x[t : t + 1], hidden)
        return hidden.detach()

    return step


@program(lambda call: (torch.randn(3, 4, 2), torch.randint(1, 5, (3,))))
def nested_loops_with_data_dependent_bounds():
    def step(x, lengths):
        sums = []
        for i in range(x.shape[0]):
            total = torch.zeros(2)
            for j in range(lengths[i]):
                total = total + x[i, j]
            sums.append(total / lengths[i])
        return torch.stack(sums)

    return step


@program(lambda call: (torch.randn(3),))
def greedy_decoding_until_a_stop_token():
    table = nn.Embedding(4, 3)
    head = nn.Linear(3, 4)

    def step(hidden):
        tokens = [0]
        while len(tokens) < 8:
            hidden = torch.tanh(hidden + table(torch.tensor(tokens[-1])))
            token = head(hidden).argmax().item()
            tokens.append(token)
            if token == 3:
                break
        return tokens

    return step


@program(lambda call: (torch.randn(4, 4), 1 + call % 3))
def beam_search():
    def step(scores, width):
        scores = scores.log_softmax(-1)
        beams = [(0.0, [0])]
        for _ in range(3):
            grown = []
            for score, path in beams:
                for token in range(4):
                    grown.append((score + scores[path[-1], token].item(), [*path, token]))
            beams = sorted(grown, key=lambda b: -b[0])[:width]
        return beams

    return step


@program(lambda call: (torch.randn(5, 3), torch.randint(0, 2, (4,))))
def shift_reduce_parser():
    def step(words, actions):
        stack, position = [words[0]], 1
        for action in actions:
            if action == 0 and position < len(words):
                stack.append(words[position])
                position += 1
            elif len(stack) > 1:
                right, left = stack.pop(), stack.pop()
                stack.append(torch.tanh(left + right))
        return stack, position

    return step


@program(lambda call: (torch.rand(3, 4), torch.rand(5, 4)))
def non_maximum_suppression():
    def step(kept, boxes):
        for box in boxes:
            if all((box - other).abs().sum() > 0.8 for other in kept):
                kept = torch.cat([kept, box[None]])
        return kept

    return step


@program(lambda call: (torch.rand(6, 2), 2 + call % 2))
def k_means():
    def step(points, k):
        centers = points[:k].clone()
        for _ in range(5):
            owner = torch.cdist(points, centers).argmin(1)
            moved = centers.clone()
            for j in range(k):
                if (owner == j).any():
                    moved[j] = points[owner == j].mean(0)
            if torch.equal(moved, centers):
                break
            centers = moved
        return centers, owner

    return step


@program(lambda call: (torch.rand(4, 4), call % 4))
def dijkstra_on_a_weight_matrix():
    def step(weights, start):
        n = weights.shape[0]
        distance = [float("inf")] * n
        distance[start], done = 0.0, set()
        while len(done) < n:
            node = min((i for i in range(n) if i not in done), key=lambda i: distance[i])
            done.add(node)
            for other in range(n):
                distance[other] = min(distance[other], distance[node] + weights[node, other].item())
        return torch.tensor(distance)

    return step


@program(lambda call: (torch.randint(0, 3, (3 + call % 2,)), torch.randint(0, 3, (4,))))
def edit_distance():
    def step(a, b):
        row = list(range(len(b) + 1))
        for i in range(len(a)):
            last, row[0] = row[0], i + 1
            for j in range(len(b)):
                cost = 0 if a[i] == b[j] else 1
                last, row[j + 1] = row[j + 1], min(row[j + 1] + 1, row[j] + 1, last + cost)
        return row[-1]

    return step


@program(lambda call: (torch.randn(4 + call % 3),))
def bubble_sort_in_place():
    def step(x):
        swaps = 0
        for i in range(len(x)):
            for j in range(len(x) - i - 1):
                if x[j] > x[j + 1]:
                    x[j], x[j + 1] = x[j + 1].clone(), x[j].clone()
                    swaps += 1
        return swaps

    return step


@program(lambda call: (torch.randn(8).sort().values, torch.randn(())))
def binary_search():
    def step(x, target):
        low, high = 0, len(x)
        while low < high:
            middle = (low + high) // 2
            if x[middle] < target:
                low = middle + 1
            else:
                high = middle
        return low

    return step


@program(lambda call: (torch.randn(5, 3), torch.randint(0, 3, (5,))))
def mixture_of_experts():
    experts = [nn.Linear(3, 2) for _ in range(3)]

    def step(x, route):
        out = torch.zeros(5, 2)
        for e, expert in enumerate(experts):
            chosen = (route == e).nonzero().flatten()
            if len(chosen):
                out[chosen] = expert(x[chosen])
        return out.detach()

    return step


@program(lambda call: (torch.randn(4, 3),))
def early_exit_network():
    layers = [nn.Linear(3, 3) for _ in range(4)]
    head = nn.Linear(3, 2)

    def step(x):
        for depth, layer in enumerate(layers):
            x = layer(x).tanh()
            confidence = head(x).softmax(-1).max(-1).values.min()
            if confidence > 0.5:
                break
        return x.detach(), depth

    return step


@program(lambda call: (torch.randn(3),))
def adaptive_computation_time():
    halt = nn.Linear(3, 1)

    def step(x):
        total, used, out = 0.0, 0, torch.zeros(3)
        while total < 0.99 and used < 6:
            p = torch.sigmoid(halt(x)).item()
            p = min(p, 1 - total)
            out = out + p * x
            x = torch.tanh(x * 1.5)
            total += p
            used += 1
        return out, used

    return step


@program(lambda call: (torch.randn(3, 3) * (10.0 if call % 3 == 2 else 1.0),))
def clip_by_the_norm_it_has():
    def step(grad):
        norm = grad.norm()
        if norm > 5:
            grad = grad * (5 / norm)
            clipped = True
        else:
            clipped = False
        return grad, clipped

    return step


@program(lambda call: (torch.tensor([1.0, float("nan") if call % 3 == 1 else 2.0]),))
def skip_what_is_not_finite():
    skipped = {"n": 0}

    def step(x):
        if not torch.isfinite(x).all():
            skipped["n"] += 1
            return None
        return x.log()

    return step


@program(lambda call: (torch.randn(2 + call % 3, 2),))
def shape_decides_the_path():
    def step(x):
        if x.shape[0] % 2 == 0:
            half = x.shape[0] // 2
            return x[:half] + x[half:]
        return x.sum(0, keepdim=True)

    return step


@program(lambda call: (torch.randn([2, 3, 4][: 1 + call % 3]),), graphs=3)
def number_of_dimensions_decides():
    def step(x):
        if x.dim() == 1:
            return x
        elif x.ndim == 2:
            return x.T
        return x.permute(2, 0, 1).reshape(-1, x.size(0))

    return step


@program(vector_and_number)
def shape_built_from_numbers():
    def step(x, n):
        size = (n + 1, len(x))
        grid = torch.zeros(size) + x
        return grid.view(-1), torch.arange(n, n + 3), grid.expand(2, *size).shape

    return step


@program(lambda call: ([torch.randn(1 + (call + i) % 3) for i in range(3)],))
def padding_to_the_longest():
    def step(sequences):
        longest = max(len(s) for s in sequences)
        padded = [F.pad(s, (0, longest - len(s))) for s in sequences]
        mask = torch.tensor([[i < len(s) for i in range(longest)] for s in sequences])
        return torch.stack(padded), mask

    return step


@program(lambda call: ([torch.randn(1 + (call + i) % 3, 2) for i in range(3)],))
def packed_sequences():
    def step(sequences):
        sequences = sorted(sequences, key=len, reverse=True)
        packed = nn.utils.rnn.pack_sequence(sequences)
        padded, lengths = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        return padded.sum(1), lengths

    return step


@program(lambda call: (torch.randn(5), torch.randint(1, 4, ())))
def top_k_with_k_from_a_tensor():
    def step(x, k):
        values, indices = x.topk(k.item())
        return values, indices, [i for i in indices.tolist() if i % 2]

    return step


@program()
def python_numbers_of_tensor_values_mix():
    def step(x):
        a, b = int(x.max() * 10), x.min().item()
        c = a // 3 + a % 3 - (b > 0)
        d = max(a, b) ** 2 if a > b else 0
        return c, d, x * c + d, f"{a:d}"

    return step


@program()
def tensor_compared_with_a_number_in_a_while():
    def step(x):
        budget = 6.0
        steps = 0
        while budget > x.abs().sum() * 0.5 and steps < 10:
            budget -= 1.5
            steps += 1
        return budget, steps

    return step


@program(lambda call: (torch.randint(0, 2, (4,)).bool(),))
def loop_over_booleans():
    def step(flags):
        run, longest = 0, 0
        for flag in flags:
            run = run + 1 if flag else 0
            longest = max(longest, run)
        return longest

    return step


@program(lambda call: (torch.randint(0, 10, (4,)),))
def integer_tensors_count():
    def step(x):
        histogram = [0] * 3
        for v in x:
            histogram[v % 3] += 1
        even = (x % 2 == 0).sum()
        return histogram, even.item() > 2, x // 2 * even

    return step


@program(lambda call: (torch.randn(3, 3),))
def gauss_elimination_with_pivoting():
    def step(a):
        a = a.clone()
        sign = 1
        for i in range(3):
            pivot = int(a[i:, i].abs().argmax()) + i
            if pivot != i:
                a[[i, pivot]] = a[[pivot, i]]
                sign = -sign
            for j in range(i + 1, 3):
                a[j] = a[j] - a[i] * (a[j, i] / a[i, i])
        return a.diagonal().prod() * sign

    return step


@program(lambda call: (torch.rand(4, 4) > 0.5,))
def game_of_life():
    def step(cells):
        padded = F.pad(cells.float()[None], (1, 1, 1, 1))[0]
        alive = cells.clone()
        for i in range(4):
            for j in range(4):
                around = int(padded[i : i + 3, j : j + 3].sum()) - int(cells[i, j])
                alive[i, j] = around == 3 or (around == 2 and bool(cells[i, j]))
        return alive

    return step


@program(lambda call: (torch.rand(5),))
def sampling_by_cumulative_sum():
    def step(weights):
        threshold = torch.rand(()) * weights.sum()
        running = 0.0
        for i, weight in enumerate(weights):
            running += weight.item()
            if running >= threshold:
                return i
        return len(weights) - 1

    return step


@program()
def rejection_sampling():
    def step(x):
        tries = 0
        while True:
            proposal = torch.randn(2)
            tries += 1
            if proposal.abs().max() < 1.5 or tries > 20:
                return proposal + x.sum(), tries

    return step


@program(vector_and_number)
def random_depth():
    def step(x, n):
        depth = int(torch.randint(1, 4, (1,)))
        for _ in range(depth):
            x = F.dropout(x, 0.5)
        return x, depth

    return step


@program(graphs=0)
def truth_of_a_long_tensor_raises():
    def step(x):
        if x > 0:
            return x
        return -x

    return step


@program(lambda call: (torch.randn(2 - call % 2),))
def item_of_a_long_tensor_raises():
    def step(x):
        return x * x.item()

    return step


@program(lambda call: (torch.randn(4), 2 + call % 3))
def index_out_of_range_raises():
    def step(x, n):
        return x[n] * 2

    return step


@program(two_vectors)
def equal_and_allclose_decide():
    def step(a, b):
        b = a.clone() if a.sum() > 0 else b
        if torch.equal(a, b):
            return a * 2
        return a if torch.allclose(a, b) else b

    return step


@program(vector)
def scalar_made_into_a_tensor_again():
    def step(x):
        peak = float(x.abs().max())
        levels = torch.linspace(0, peak, 4)
        wrapped = torch.tensor([peak, 1]), torch.full((2,), peak), x.new_tensor([1, 2])
        return levels, wrapped, torch.as_tensor(peak > 1)

    return step


def sequence_of_any_length(call):
    return (torch.randn(3 + call, 2),)


@program(sequence_of_any_length)
def states_of_a_loop_are_stacked():
    weight = torch.randn(2, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def step(x):
        states, h = [], torch.zeros(2)
        for row in x:
            h = torch.tanh(row * weight + h)
            states.append(h)
        loss = torch.stack(states).pow(2).mean() + sum(states).sum() / len(states)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


@program(sequence_of_any_length)
def attends_to_all_states_before():
    def step(x):
        states = [x[0].tanh()]
        for row in x:
            past = torch.stack(states)
            weights = torch.softmax(past @ row, 0)
            states.append((weights.unsqueeze(1) * past).sum(0))
        return states[-1] * 1, len(states)

    return step
