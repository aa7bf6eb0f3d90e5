"""Every construct of the language, with what its syntax prints as in the comments `#:`."""

# They stand here as they are to be read.
# ruff: noqa
# fmt: off

from __future__ import annotations

from collections.abc import Callable
from typing import Any

GLOBAL = 1
CASES: list[Callable[..., Any]] = []


def case(function: Callable[..., Any]) -> Callable[..., Any]:
    CASES.append(function)
    return function


@case
def constants() -> Any:
    #: slots; cells 0+0
    #: (tuple None True False Ellipsis)
    #: (tuple 1 2.5 3j 'text' b'bytes' 'joined text')
    #: (tuple -1 (** 10 2))
    None, True, False, ...
    1, 2.5, 3j, "text", b"bytes", "joined " "text"
    -1, 10**2


@case
def names(a, /, b, *rest, c=1, **others) -> Any:
    #: slots a b c rest others local; cells 0+0
    #: (= local@5 a@0)
    #: (tuple GLOBAL len local@5 b@1 rest@3 c@2 others@4)
    local = a
    GLOBAL, len, local, b, rest, c, others


@case
def unary_and_binary(a, b) -> Any:
    #: slots a b; cells 0+0
    #: (tuple (- a@0) (+ a@0) (~ a@0) (not a@0))
    #: (tuple (+ a@0 b@1) (- a@0 b@1) (* a@0 b@1) (/ a@0 b@1) (// a@0 b@1) (% a@0 b@1))
    #: (tuple (** a@0 b@1) (@ a@0 b@1))
    #: (tuple (<< a@0 b@1) (>> a@0 b@1) (& a@0 b@1) (| a@0 b@1) (^ a@0 b@1))
    -a, +a, ~a, not a
    a + b, a - b, a * b, a / b, a // b, a % b
    a**b, a @ b
    a << b, a >> b, a & b, a | b, a ^ b


@case
def comparisons(a, b, c) -> Any:
    #: slots a b c; cells 0+0
    #: (tuple (compare a@0 == b@1) (compare a@0 != b@1) (compare a@0 < b@1))
    #: (tuple (compare a@0 <= b@1) (compare a@0 > b@1) (compare a@0 >= b@1))
    #: (tuple (compare a@0 is b@1) (compare a@0 is-not b@1))
    #: (tuple (compare a@0 in b@1) (compare a@0 not-in b@1))
    #: (compare a@0 < b@1 <= c@2 != 3)
    a == b, a != b, a < b
    a <= b, a > b, a >= b
    a is b, a is not b
    a in b, a not in b
    a < b <= c != 3


@case
def boolean_and_conditional(a, b, c) -> Any:
    #: slots a b c d; cells 0+0
    #: (tuple (and a@0 b@1 c@2) (or a@0 b@1))
    #: (? b@1 a@0 c@2)
    #: (tuple (:= d@3 a@0) d@3)
    a and b and c, a or b
    a if b else c
    (d := a), d


@case
def displays(a, b) -> Any:
    #: slots a b; cells 0+0
    #: (tuple () (tuple a@0) (tuple a@0 *b@1) (list a@0 *b@1) (set a@0 *b@1))
    #: (tuple (dict) (dict a@0:b@1 **b@1 'k':1))
    (), (a,), (a, *b), [a, *b], {a, *b}
    {}, {a: b, **b, "k": 1}


@case
def subscripts(a, b) -> Any:
    #: slots a b; cells 0+0
    #: (tuple ([] a@0 b@1) ([] a@0 (: 1 2 _)) ([] a@0 (: _ _ _)) ([] a@0 (: _ _ 2)))
    #: (tuple ([] a@0 (tuple (: 1 b@1 2) Ellipsis)) ([] a@0 (tuple b@1 *b@1)))
    #: (. ([] (. (. a@0 b) c) 0) d)
    a[b], a[1:2], a[:], a[::2]
    a[1:b:2, ...], a[b, *b]
    a.b.c[0].d


@case
def calls(f, a, b) -> Any:
    #: slots f a b a; cells 0+0
    #: (tuple (call f@0) (call f@0 a@1 1) (call f@0 *a@1 b@2) (call f@0 k=a@1 **=b@2))
    #: (call f@0 (genexpr <genexpr>[] a@3 (for a@3 b@2)))
    #: (call f@0 *a@1 *b@2 x=1 **=a@1 **=b@2)
    #: (call ([] (call (. f@0 method) a@1) 0))
    f(), f(a, 1), f(*a, b), f(k=a, **b)
    f(a for a in b)
    f(*a, *b, x=1, **a, **b)
    f.method(a)[0]()


@case
def strings(a, b) -> Any:
    #: slots a b; cells 0+0
    #: (tuple (join 'plain') (join (format a@0)))
    #: (join (format a@0 !r (join '>' (format b@1))) ' and ' (format b@1 (join '.2f')))
    #: (join (format a@0 !s) (format a@0 !a))
    #: (tuple (join 'a=' (format a@0 !r)) (join '{}'))
    f"plain", f"{a}"
    f"{a!r:>{b}} and {b:.2f}"
    f"{a!s}{a!a}"
    f"{a=}", f"{{}}"


@case
def assignments(a, b) -> Any:
    #: slots a b c d e f annotated g h; cells 0+0
    #: (= c@2 d@3 a@0)
    #: (= (tuple (tuple c@2 d@3) (list e@4 *f@5)) (tuple a@0 b@1))
    #: (= (. a@0 b) ([] a@0 0) c@2)
    #: (= annotated@6 3)
    #: (= (. a@0 x) 1)
    #: (= (tuple *g@7 h@8) b@1)
    c = d = a
    (c, d), [e, *f] = a, b
    a.b = a[0] = c
    annotated: int = 3
    only_annotated: int
    a.x: int = 1
    *g, h = b


@case
def augmented(a, b) -> Any:
    #: slots a b; cells 0+0
    #: (+= a@0 b@1)
    #: (-= a@0 b@1)
    #: (*= a@0 b@1)
    #: (/= a@0 b@1)
    #: (//= a@0 b@1)
    #: (%= a@0 b@1)
    #: (**= a@0 b@1)
    #: (@= a@0 b@1)
    #: (<<= a@0 b@1)
    #: (>>= a@0 b@1)
    #: (&= a@0 b@1)
    #: (|= a@0 b@1)
    #: (^= a@0 b@1)
    #: (+= (. a@0 b) 1)
    #: (+= ([] a@0 b@1) 1)
    a += b
    a -= b
    a *= b
    a /= b
    a //= b
    a %= b
    a **= b
    a @= b
    a <<= b
    a >>= b
    a &= b
    a |= b
    a ^= b
    a.b += 1
    a[b] += 1


@case
def deletes(a, b) -> Any:
    #: slots a b; cells 0+0
    #: (del (. a@0 b) ([] a@0 0) ([] a@0 (: 1 2 _)))
    #: (del (tuple a@0 b@1))
    del a.b, a[0], a[1:2]
    del (a, b)


@case
def branches(a, b) -> Any:
    #: slots a b; cells 0+0
    #: if a@0
    #:   pass
    #: else
    #:   if b@1
    #:     a@0
    #:   else
    #:     b@1
    #: if a@0
    #:   (return)
    if a:
        pass
    elif b:
        a
    else:
        b
    if a:
        return


@case
def loops(a, b) -> Any:
    #: slots a b x y z; cells 0+0
    #: while a@0
    #:   if b@1
    #:     break
    #:   continue
    #: else
    #:   b@1
    #: for (tuple x@2 (tuple y@3 *z@4)) in a@0
    #:   x@2
    #: else
    #:   y@3
    #: for (. a@0 i) in b@1
    #:   pass
    #: (return a@0)
    while a:
        if b:
            break
        continue
    else:
        b
    for x, (y, *z) in a:
        x
    else:
        y
    for a.i in b:
        pass
    return a


@case
def exceptions(a, b) -> Any:
    #: slots a b error; cells 0+0
    #: try
    #:   a@0
    #: except ValueError as error@2
    #:   (raise (call RuntimeError 'a') error@2)
    #: except (tuple KeyError TypeError) as _
    #:   (raise)
    #: except _ as _
    #:   b@1
    #: else
    #:   pass
    #: finally
    #:   (call a@0)
    #: try
    #:   a@0
    #: finally
    #:   b@1
    #: (assert a@0)
    #: (assert a@0 'message')
    #: (raise a@0)
    try:
        a
    except ValueError as error:
        raise RuntimeError("a") from error
    except (KeyError, TypeError):
        raise
    except:
        b
    else:
        pass
    finally:
        a()
    try:
        a
    finally:
        b
    assert a
    assert a, "message"
    raise a


@case
def contexts(a, b) -> Any:
    #: slots a b x y z p q; cells 0+0
    #: with (a@0 as _)
    #:   pass
    #: with (a@0 as x@2) ((call b@1) as (tuple y@3 z@4)) (b@1 as _)
    #:   x@2
    #: with (a@0 as p@5) (b@1 as q@6)
    #:   p@5
    with a:
        pass
    with a as x, b() as (y, z), b:
        x
    with (a as p, b as q):
        p


@case
def comprehensions(a, b) -> Any:
    #: slots a b x x x y x y x x y x; cells 1+1; 1 in c0
    #: (listcomp x@2 (for x@2 a@0))
    #: (setcomp x@3 (for x@3 a@0 (if x@3) (if b@c0)))
    #: (dictcomp x@4:y@5 (for (tuple x@4 y@5) a@0))
    #: (listcomp (+ x@6 y@7) (for x@6 a@0) (for y@7 x@6 (if y@7)))
    #: (genexpr <genexpr>[] x@8 (for x@8 a@0))
    #: (listcomp (listcomp (+ y@10 b@c0) (for y@10 x@9)) (for x@9 a@0))
    #: (listcomp fresh[c1] (lambda <lambda>[c1]) (for x@c1 a@0))
    [x for x in a]
    {x for x in a if x if b}
    {x: y for x, y in a}
    [x + y for x in a for y in x if y]
    (x for x in a)
    [[y + b for y in x] for x in a]
    [lambda: x for x in a]


@case
def nested(a, b) -> Any:
    #: slots a b inner decorated key; cells 1+0
    #: (= count@c0 0)
    #: def inner@2 inner[c0]
    #:   defaults a@0
    #:   keywords e=b@1
    #: @a@0
    #: @(call b@1 1)
    #: def decorated@3 decorated[]
    #: (= key@4 (lambda <lambda>[c0] a@0))
    #: (return (tuple inner@2 key@4))
    count = 0

    def inner(c, d=a, *, e=b):
        nonlocal count
        count += c
        return count + d + e

    @a
    @b(1)
    def decorated(): ...

    key = lambda x, y=a: x + y + count
    return inner, key


@case
def classes(a, b) -> Any:
    #: slots a b Inner; cells 1+0; 0 in c0
    #: @a@c0
    #: class Inner@2 Inner[c0]
    #:   bases a@c0 b@1
    #:   keywords metaclass=type
    #: (return Inner@2)
    @a
    class Inner(a, b, metaclass=type):
        x = a

        def method(self):
            return __class__, super().method()

    return Inner


@case
def global_names() -> Any:
    #: slots; cells 0+0
    #: (= GLOBAL 2)
    #: (= made_here 1)
    #: (del made_here)
    global GLOBAL, made_here
    GLOBAL = 2
    made_here = 1
    del made_here


@case
def generator(a) -> Any:
    #: slots a x y z; cells 0+0; generator
    #: (= x@1 (yield))
    #: (= y@2 (yield a@0))
    #: (= z@3 (yield-from a@0))
    #: (return (tuple x@1 y@2 z@3))
    x = yield
    y = yield a
    z = yield from a
    return x, y, z


@case
def imports() -> Any:
    #: slots os p path s test_state; cells 0+0
    #: import os binds os@0
    #: import os.path binds os@0
    #: import os.path as p@1
    #: from os import path as path@2 sep as s@3
    #: from . import test_state as test_state@4
    #: (return (tuple os@0 p@1 path@2 s@3))
    import os
    import os.path
    import os.path as p
    from os import path, sep as s
    from . import test_state
    return os, p, path, s


@case
def matching(a) -> Any:
    #: slots a x rest y others z u v whole; cells 0+0
    #: match a@0
    #: case (or 1 'a' (is None))
    #:   pass
    #: case (or -1 (+ 1 2j) (. str x))
    #:   pass
    #: case (or (sequence x@1 2 *rest@2) (sequence x@1 *rest@2))
    #:   x@1
    #: case (sequence *_)
    #:   pass
    #: case (mapping 'k':y@3 **others@4)
    #:   y@3
    #: case (mapping)
    #:   pass
    #: case (or (class int) (class str 0))
    #:   pass
    #: case (class Point 0 z@5 w=(sequence u@6))
    #:   pass
    #: case (as (sequence v@7) whole@8) if (compare v@7 > 1)
    #:   whole@8
    #: case _
    #:   pass
    match a:
        case 1 | "a" | None:
            pass
        case -1 | 1 + 2j | str.x:
            pass
        case [x, 2, *rest] | (x, *rest):
            x
        case [*_]:
            pass
        case {"k": y, **others}:
            y
        case {}:
            pass
        case int() | str(0):
            pass
        case Point(0, z, w=[u]):
            pass
        case [v] as whole if v > 1:
            whole
        case _:
            pass
