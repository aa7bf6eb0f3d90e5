"""Types of the C++ core."""

from collections.abc import Callable, Sequence
from typing import Any

class ConvertedFunction:
    __wrapped__: Callable[..., Any]
    def __new__(
        cls,
        function: Callable[..., Any],
        dynamic: list[tuple[int | str, int]],
        profile_calls: int,
        max_graphs: int,
        /,
    ) -> ConvertedFunction: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    @property
    def stats(self) -> dict[str, Any]: ...
    @property
    def graph_texts(self) -> list[str]: ...

def set_capture_hooks(enter: Callable[[], None], exit: Callable[[], None]) -> None: ...
def exit_reasons() -> Sequence[tuple[str, str, str, str]]: ...
def options() -> Sequence[tuple[str, str, str, str]]: ...
