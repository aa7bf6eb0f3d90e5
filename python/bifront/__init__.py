"""Bifront turns an imperative PyTorch training step into one native graph."""

from bifront import cache
from bifront._explain import explain
from bifront._trace import ConvertedFunction, function, trace

__all__ = ["ConvertedFunction", "cache", "explain", "function", "trace"]
__version__ = "0.1.0"
