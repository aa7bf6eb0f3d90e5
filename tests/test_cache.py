"""Graphs in files: another process finds them, and nothing but them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bifront
import pytest

PROGRAM = """if True:
    import json, sys, torch, bifront
    from bifront import _core
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    @bifront.function
    def step(x):
        optimizer.zero_grad()
        y = net(x)
        loss = (y * 2).relu().sum() if y.sum() > 0 else y.square().sum()
        loss.backward()
        optimizer.step()
        return loss.detach()

    @bifront.function
    def trained(x):  # its backward is a graph of its own
        return net(x).exp(), net(x * 2)

    losses = []
    for call in range(8):
        x = torch.full((2, 3), float(call % 3 - 1))
        losses.append(step(x).item())
        one, other = trained(x)
        (one.sum() + (other * other).sum()).backward()
        losses.append(net.weight.grad.sum().item())
    state = bifront.cache.state()
    graphs = step.stats["graph_calls"] + trained.stats["graph_calls"]
    print(json.dumps([losses, graphs, state.found, state.made, state.rejected]))
"""


def run(cache: Path | None, **more: str) -> tuple[list[Any], Any]:
    """The losses and calls in graphs; found, made and rejected."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "BIFRONT_CACHE": str(cache or ""), **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    losses, graphs, *counts = json.loads(done.stdout)
    for rejected in counts[2]:
        assert f"bifront: cache: {rejected}" in done.stderr
    return [losses, graphs], counts


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    cache = tmp_path_factory.mktemp("kept") / "deep" / "cache"
    expected, (found, made, rejected) = run(cache)
    assert (found, rejected) == (0, []) and made >= 6
    return cache, expected


@pytest.fixture
def cache(filled: tuple[Path, list[Any]], tmp_path: Path) -> Path:
    """A copy for one test, to be changed."""
    return Path(shutil.copytree(filled[0], tmp_path / "cache"))


def files(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.kept"))


def test_another_process_finds_all_of_it(filled: tuple[Path, list[Any]]) -> None:
    cache, expected = filled
    without, _ = run(None)
    again, (found, made, rejected) = run(cache)
    assert expected == without == again
    assert expected[1] >= 10, "calls in graphs"
    assert (made, rejected) == (0, []) and found >= len(files(cache))


def test_all_is_the_users_alone(filled: tuple[Path, list[Any]]) -> None:
    cache, _ = filled
    assert cache.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in cache.iterdir() if path.stat().st_mode & 0o777 != 0o600] == []
    assert not list(cache.glob("*.new"))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_header(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"bifront cache 1", b"bifront cache 0", 1))


def open_to_others(path: Path) -> None:
    path.chmod(0o644)


def link(path: Path) -> None:
    target = path.with_suffix(".target")
    path.rename(target)
    path.symlink_to(target)


DAMAGES: dict[Callable[[Path], None], str] = {
    flip: "its checksum does not hold",
    shorten: "its checksum does not hold",
    lengthen: "its checksum does not hold",
    empty: "it is not a file of this cache",
    replace_header: "it is not a file of this cache",
    open_to_others: "other users may read or write it",
    link: "it is a link",
}


def test_files_that_were_touched_are_rejected(cache: Path, filled: tuple[Path, list[Any]]) -> None:
    touched = files(cache)
    assert len(touched) >= len(DAMAGES)
    expected = set()
    for number, path in enumerate(touched):
        damage, why = list(DAMAGES.items())[number % len(DAMAGES)]
        damage(path)
        expected.add(f"{path}: {why}")
    results, (found, made, rejected) = run(cache)
    assert results == filled[1]
    assert found == 0 and made >= len(touched)
    assert {
        why for why in rejected if not any(why.startswith(known) for known in expected)
    } == set()
    assert {
        known for known in expected if not any(why.startswith(known) for why in rejected)
    } == set()
    results, (_, made, rejected) = run(cache)
    assert results == filled[1] and (made, rejected) == (0, []), "they were made anew"


def test_what_cannot_be_replaced_is_left(cache: Path, filled: tuple[Path, list[Any]]) -> None:
    path = files(cache)[0]
    path.unlink()
    path.mkdir(mode=0o700)
    results, (_, made, rejected) = run(cache)
    assert results == filled[1] and made == 1
    assert rejected == [f"{path}: it is not a file"] and path.is_dir()
    assert not list(cache.glob("*.new"))


def test_files_of_another_cache_are_rejected(cache: Path, filled: tuple[Path, list[Any]]) -> None:
    """One who can write files there, and knows how they look, still lacks the secret."""
    secret = cache / "secret"
    secret.write_bytes(bytes(32))
    results, (found, made, rejected) = run(cache)
    assert results == filled[1]
    assert found == 0 and made >= len(files(cache))
    assert all("comes from another cache" in why for why in rejected) and rejected


def test_a_file_under_anothers_name_is_rejected(
    cache: Path, filled: tuple[Path, list[Any]]
) -> None:
    first, second, *_ = (path for path in files(cache) if path.name.startswith("code-"))
    shutil.copy(first, second)
    results, (_, made, rejected) = run(cache)
    assert results == filled[1]
    assert made == 1 and len(rejected) == 1 and str(second) in rejected[0]


def test_other_versions_have_files_of_their_own(cache: Path) -> None:
    program = PROGRAM.replace(
        "from bifront import _core",
        "from bifront import _core; _core.use_cache(sys.argv[1], 'torch 0.1')",
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(cache)], capture_output=True, text=True, check=True
    )
    *_, found, made, rejected = json.loads(done.stdout)
    assert (found, rejected) == (0, []) and made >= 6


def test_the_directory_is_bounded(cache: Path) -> None:
    before = len(files(cache))
    _, (found, made, _) = run(cache, BIFRONT_CACHE_MEGABYTES="0")
    assert found == 0 and made == before


def test_a_directory_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    for mode in (0o755, 0o770, 0o701):
        tmp_path.chmod(mode)
        with pytest.raises(PermissionError, match="other users may read or write it"):
            bifront.cache.use(tmp_path)
    assert bifront.cache.state().directory == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories away")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(PermissionError, match="it belongs to another user"):
        bifront.cache.use(tmp_path)


def test_a_damaged_secret_is_not_replaced(cache: Path) -> None:
    (cache / "secret").write_bytes(b"short")
    with pytest.raises(PermissionError, match="remove it to begin the cache anew"):
        bifront.cache.use(cache)


def test_a_variable_that_names_no_private_directory_is_a_warning(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", "import bifront; print(bifront.cache.state().directory)"],
        env={**os.environ, "BIFRONT_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "\n" and "BIFRONT_CACHE is not used" in done.stderr
