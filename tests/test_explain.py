"""explain_lookup: gather and one-hot product agree, and the counts are true. param_count: nothing is allocated."""

import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyembed as te
from tinyembed import nn

# ------------------------------------------------------------------------- explain_lookup


@given(V=st.integers(1, 30), D=st.integers(1, 6), shape=st.lists(st.integers(0, 5), max_size=3),
       seed=st.integers(0, 99), dtype=st.sampled_from([np.float32, np.float64]))
def test_values_and_gradients_are_equal_and_the_counts_are_those_of_real_arrays(V, D, shape, seed, dtype):
    rng = np.random.default_rng(seed)
    W, ids = rng.normal(size=(V, D)).astype(dtype), rng.integers(V, size=shape)
    e = te.explain_lookup(W, ids, rng=rng)
    assert e.equal and not e.refused
    assert e.value_difference == 0  # a row times one, plus zeros: exact in any dtype
    assert e.gradient_difference <= (1e-12 if dtype == np.float64 else 1e-5)
    assert (e.table_shape, e.ids_shape, e.dtype) == ((V, D), tuple(shape), dtype)
    N, s = ids.size, np.dtype(dtype).itemsize
    assert e.gather.flops == 0 and e.gather.gradient_flops == N * D
    assert e.product.flops == e.product.gradient_flops == 2 * N * V * D
    for way in (e.gather, e.product):
        assert way.held == way.allocated == way.one_hot_bytes + way.value_bytes + way.gradient_bytes
        assert way.seconds > 0 and way.gradient_seconds > 0
    assert e.gather.allocated == 2 * N * D * s + 8 * N
    assert e.product.allocated == N * V * s + N * D * s + V * D * s
    assert (e.gather.moved, e.product.moved) == (8 * N + 2 * N * D * s, 2 * N * V * s + V * D * s + N * D * s)


@pytest.mark.parametrize("wrap", [lambda a: a, te.Tensor, te.Parameter], ids=["array", "Tensor", "Parameter"])
def test_tables_of_every_kind(wrap):
    e = te.explain_lookup(wrap(np.random.default_rng(0).normal(size=(7, 3))), te.Tensor([6, 0, 6]))
    assert e.equal and e.table_shape == (7, 3) and e.dtype == np.float64


def test_an_embedding_is_left_as_it_was():
    table = nn.Embedding(7, 3).freeze()
    before = table.weight.data.tobytes()
    assert te.explain_lookup(table, [[1, 1], [2, 0]]).equal
    assert table.weight.data.tobytes() == before and table.weight.grad is None and not table.weight.requires_grad
    table.freeze(False)
    table([1]).sum().backward()
    grad = table.weight.grad
    te.explain_lookup(table, 3)
    assert table.weight.grad is grad and table.weight.requires_grad
    y = table([1])
    te.explain_lookup(table, 3)
    y.sum().backward()  # and a graph that was under way still goes backward


def test_the_table_printed():
    e = te.explain_lookup(np.eye(4, dtype=np.float32), [[2, 0, 2]])
    assert str(e) == repr(e)
    lines = [re.split(r" {2,}", line.strip()) for line in str(e).splitlines()]
    assert lines[0] == ["ids (1, 3) in a table of 4 x 4, float32"]
    assert lines[1:9] == [["gather", "one-hot product"], ["bytes: one-hot rows", "0", "48"],
                          ["bytes: values", "48", "48"], ["bytes: gradient", "72", "64"],
                          ["bytes allocated", "120", "160"], ["bytes moved", "120", "208"], ["FLOPs", "0", "96"],
                          ["FLOPs, gradient", "12", "96"]]
    assert [line[0] for line in lines[9:11]] == ["seconds", "seconds, gradient"]
    assert all(float(x) > 0 for line in lines[9:11] for x in line[1:])
    assert lines[11][0].startswith("values differ by 0.0e+00, gradients by ") and lines[11][0].endswith(": equal")


def test_beyond_the_limit_it_counts_and_does_not_run():
    W, ids = np.ones((1000, 4), np.float32), np.zeros((50, 2), int)
    needed = te.explain_lookup(W, ids).product.allocated
    assert te.explain_lookup(W, ids, limit=needed).equal
    e = te.explain_lookup(W, ids, limit=needed - 1)
    assert e.equal is None and e.value_difference is None and e.product.seconds is None and e.product.held is None
    assert e.gather.seconds > 0 and e.gather.held == e.gather.allocated
    assert (e.product.allocated, e.product.flops) == (needed, 2 * 100 * 1000 * 4)
    assert e.refused == f"it would allocate {needed:,} bytes (0.0 GiB), more than limit={needed - 1:,}"
    assert str(e).splitlines()[-1] == f"  product not run: {e.refused}"
    assert f"{needed:,}" in str(e) and "-" in str(e).splitlines()[-3]


def test_beyond_the_limit_nothing_of_that_size_is_made():
    W, ids = np.ones((100_000, 2), np.float32), np.zeros(100_000, int)  # one-hot rows: 40 GB
    tracemalloc.start()
    try:
        assert te.explain_lookup(W, ids).refused
        assert tracemalloc.get_traced_memory()[1] < 2e7
    finally:
        tracemalloc.stop()


def test_where_the_two_differ_it_says_so():
    W = np.ones((3, 2))
    W[2, 0] = np.inf  # the gather never reads this row; the product multiplies it by zero
    e = te.explain_lookup(W, [0, 1])
    assert e.equal is False and str(e).endswith("NOT EQUAL")


@pytest.mark.parametrize("table, ids, kind, what", [
    (np.ones(3), [0], ValueError, r"table of floats \(V, D\), got float64 \(3,\)"),
    (np.ones((3, 2), int), [0], ValueError, r"got int64 \(3, 2\)"),
    (np.ones((3, 2)), [0, 3], IndexError, r"id 3 at position \(1,\) is outside the table: 3 rows"),
    (np.ones((3, 2)), [0.5], TypeError, "ids are integers")])
def test_what_it_refuses(table, ids, kind, what):
    with pytest.raises(kind, match=what):
        te.explain_lookup(table, ids)


# ---------------------------------------------------------------------------- param_count


def test_the_arithmetic_of_gpt_3():
    count = te.param_count(vocab_size=50257, embed_dim=12288, max_seq_len=2048)
    assert count == {"token": 617_558_016, "position": 25_165_824} and count.total == 642_723_840
    assert f"{count.share(175e9):.3%}" == "0.367%"
    assert str(count).splitlines()[-1].split() == ["total", "642,723,840"]
    whole = te.param_count(vocab_size=50257, embed_dim=12288, max_seq_len=2048, num_layers=96, num_heads=96)
    assert whole.total == 174_604_259_328 and list(whole) == ["token", "position", "blocks", "norm"]


def test_published_totals():
    sizes = {"vocab_size": 50257, "max_seq_len": 1024}
    for layers, D, total in ((12, 768, 124_439_808), (24, 1024, 354_823_168), (36, 1280, 774_030_080),
                             (48, 1600, 1_557_611_200)):  # GPT-2, as its released weights have them
        count = te.param_count(**sizes, embed_dim=D, num_layers=layers, num_heads=D // 64 if D != 1600 else 25)
        assert count.total == total
        untied = te.param_count(**sizes, embed_dim=D, num_layers=layers, tied=False)
        assert untied.total - total == untied["head"] == 50257 * D


def test_nothing_is_allocated():
    te.param_count(vocab_size=2, embed_dim=2)
    tracemalloc.start()
    try:
        te.param_count(vocab_size=50257, embed_dim=12288, max_seq_len=2048, num_layers=96, num_heads=96)
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()


@given(V=st.integers(1, 9), D=st.integers(1, 5), T=st.integers(1, 7))
def test_a_configuration_and_its_module_have_one_count(V, D, T):
    module = nn.GPTEmbedding(V, D, T)
    assert te.param_count(module).total == te.param_count(vocab_size=V, embed_dim=D, max_seq_len=T).total
    assert list(te.param_count(module)) == ["token.weight", "position.table.weight"]


def test_one_block_and_its_module_have_one_count():
    D, M = 6, 15
    block = nn.ModuleList([nn.LayerNorm(D), nn.Linear(D, 3 * D), nn.Linear(D, D), nn.LayerNorm(D), nn.Linear(D, M),
                           nn.Linear(M, D)])
    sizes = te.param_count(vocab_size=9, embed_dim=D, num_layers=3, num_heads=2, mlp_ratio=2.5)
    assert sizes == {"token": 54, "blocks": 3 * te.param_count(block).total, "norm": 12}


def test_a_tied_parameter_of_a_module_counts_once():
    model = nn.ModuleList([nn.Embedding(9, 4), nn.Linear(4, 9, bias=False)])
    assert te.param_count(model).total == 72
    model[1].weight = model[0].weight
    assert te.param_count(model).total == 36


@pytest.mark.parametrize("arguments, sizes, kind, what", [
    ((), {}, TypeError, "needs vocab_size"), ((), {"vocab_size": 3}, TypeError, "needs vocab_size"),
    (({"vocab_size": 3},), {}, TypeError, "takes a Module, or a configuration by name .* not dict"),
    ((nn.Linear(1, 1),), {"vocab_size": 3}, TypeError, "not Linear and both"),
    ((), {"vocab_size": 0, "embed_dim": 4}, ValueError, "vocab_size=0"),
    ((), {"vocab_size": 5, "embed_dim": 4, "num_heads": 3}, ValueError, r"num_heads=3 \(divides embed_dim\)"),
    ((), {"vocab_size": 5, "embed_dim": 4, "num_layers": -1}, ValueError, "num_layers=-1")])
def test_what_param_count_refuses(arguments, sizes, kind, what):
    with pytest.raises(kind, match=what):
        te.param_count(*arguments, **sizes)
