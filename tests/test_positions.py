"""Positions: what each kind leaves unchanged, beyond the training length where it says so; and BERT's input."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyembed as te
from tinyembed import nn
from tinyembed.nn.relative import t5_buckets


def rng(seed=0):
    return np.random.default_rng(seed)


ADDED = {  # layers x (…, T, D) -> (…, T, D), width 4
    "learned": lambda: nn.LearnedPositionalEmbedding(40, 4, rng=rng()),
    "sinusoidal": lambda: nn.SinusoidalPositionalEncoding(4),
    "rotary": lambda: nn.RotaryEmbedding(4),
    "rotary, halves": lambda: nn.RotaryEmbedding(4, base=50.0, pairs="halves"),
}
BIASES = {  # layers (Tq, Tk, offset) -> (H, Tq, Tk)
    "distance": lambda **o: nn.RelativePositionBias(3, max_distance=6, **{"rng": rng(), **o}),
    "t5": lambda **o: nn.RelativePositionBias(3, 20, "t5", num_buckets=8, **{"rng": rng(), **o}),
    "t5, causal": lambda **o: nn.RelativePositionBias(3, 20, "t5", num_buckets=8, bidirectional=False,
                                                      **{"rng": rng(), **o}),
    "alibi": lambda **o: nn.ALiBi(3, **{k: v for k, v in o.items() if k == "dtype"}),
    "alibi, causal": lambda **o: nn.ALiBi(3, causal=True, **{k: v for k, v in o.items() if k == "dtype"}),
}
added, biases = pytest.mark.parametrize("name", ADDED), pytest.mark.parametrize("name", BIASES)
lengths, offsets = st.integers(0, 12), st.integers(0, 20)

# -------------------------------------------------------------------- all that take x


@added
def test_gradients(name):
    te.check_gradients(ADDED[name](), rng(1).normal(size=(2, 3, 4)), full=True)
    te.check_gradients(lambda x: ADDED[name]()(x, offset=7), rng(1).normal(size=(3, 4)))


@added
@given(T=lengths, offset=offsets, seed=st.integers(0, 99))
def test_an_offset_is_a_slice(name, T, offset, seed):
    layer, x = ADDED[name](), rng(seed).normal(size=(2, offset + T, 4))
    assert layer(x[:, offset:], offset=offset).data.tobytes() == layer(x).data[:, offset:].tobytes()


@added
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_and_input_are_kept(name, dtype):
    layer, x = ADDED[name](), rng(1).normal(size=(2, 3, 4)).astype(dtype)
    before = x.tobytes()
    y = layer(te.Tensor(x, requires_grad=True))
    y.sum().backward()
    assert x.tobytes() == before
    assert y.dtype == dtype
    assert layer(x[:0]).shape == (0, 3, 4) and layer(x[:, :0]).shape == (2, 0, 4)
    assert layer(np.ones((2, 4), int)).dtype in (np.float32, np.float64)


@added
@pytest.mark.parametrize("shape", [(), (4,), (2, 5), (2, 3, 3)])
def test_another_width_names_the_layer_and_both_shapes(name, shape):
    with pytest.raises(ValueError) as error:
        ADDED[name]()(np.zeros(shape))
    assert str(error.value).endswith(f"takes x (…, T, 4), got {shape}")
    assert str(error.value).startswith(type(ADDED[name]()).__name__)


@added
def test_offsets_are_counts(name):
    with pytest.raises(ValueError, match="-2"):
        ADDED[name]()(np.zeros((3, 4)), offset=-2)
    with pytest.raises(TypeError):
        ADDED[name]()(np.zeros((3, 4)), offset=0.5)


def test_what_is_fixed_is_not_in_parameters():
    for name in ("sinusoidal", "rotary"):
        assert ADDED[name]().parameters() == [] and ADDED[name]().state_dict() == {}
    assert nn.ALiBi(4).parameters() == [] and not nn.ALiBi(4)(3).requires_grad
    assert [n for n, _ in ADDED["learned"]().named_parameters()] == ["table.weight"]
    assert [n for n, _ in BIASES["t5"]().named_parameters()] == ["table.weight"]


@pytest.mark.parametrize("make", [nn.SinusoidalPositionalEncoding, nn.RotaryEmbedding])
@pytest.mark.parametrize("D", [-2, 0, 1, 7])
def test_an_odd_width_is_refused(make, D):
    with pytest.raises(ValueError, match=rf"{make.__name__} needs an even .* not {D}"):
        make(D)


# ------------------------------------------------------------------------- sinusoidal


def PE(start, stop, D):
    return nn.SinusoidalPositionalEncoding(D)(np.zeros((stop - start, D)), offset=start).data


def test_the_table_of_the_original_transformer():
    table = PE(0, 50, 6)
    for t in range(50):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            assert table[t, 2 * i:2 * i + 2] == pytest.approx([math.sin(angle), math.cos(angle)], abs=1e-14)
    # Worked by hand for D = 512: position 0 is 0 1 0 1 …; the first and the last pair of position 1.
    wide = PE(0, 2, 512)
    assert wide[0].tolist() == [0, 1] * 256
    assert wide[1, [0, 1, 510, 511]] == pytest.approx([0.841470985, 0.540302306, 1.0366329e-4, 0.9999999946], abs=1e-9)


@given(t=st.integers(0, 5000), k=st.integers(0, 5000), D=st.sampled_from([2, 8, 30]))
def test_a_shifted_sinusoid_is_a_rotated_one(t, k, D):
    here, there = PE(t, t + 1, D)[0], PE(t + k, t + k + 1, D)[0]
    np.testing.assert_allclose(te.ops.rotate(here, -k).data, there, atol=1e-11)  # the map depends on k alone


@given(t=st.integers(0, 5000), k=st.integers(0, 300))
def test_inner_products_of_sinusoids_depend_on_the_distance_alone(t, k):
    assert PE(t, t + 1, 16)[0] @ PE(t + k, t + k + 1, 16)[0] == pytest.approx(PE(0, 1, 16)[0] @ PE(k, k + 1, 16)[0])


def test_the_shared_table_cannot_be_spoilt():
    layer = nn.SinusoidalPositionalEncoding(4)
    before = layer(np.zeros((3, 4))).data.copy()
    layer(np.zeros((3, 4))).data[:] = 9
    assert np.array_equal(layer(np.zeros((3, 4))).data, before)


# ----------------------------------------------------------------------------- rotary

rotaries = pytest.mark.parametrize("name", ["rotary", "rotary, halves"])


@rotaries
@given(i=st.integers(0, 3000), j=st.integers(0, 3000), shift=st.integers(0, 10**6), seed=st.integers(0, 99))
def test_rotary_scores_depend_on_the_distance_alone(name, i, j, shift, seed):
    layer, (q, k) = ADDED[name](), rng(seed).normal(size=(2, 1, 4))

    def score(i, j):
        return (layer(q, offset=i).data * layer(k, offset=j).data).sum()

    # Angles reach 1e6 radians: an ulp there is 1e-10.
    assert score(i + shift, j + shift) == pytest.approx(score(i, j), abs=1e-8)


@rotaries
@given(offset=st.integers(0, 10**6), seed=st.integers(0, 99))
def test_rotary_keeps_lengths_and_position_0(name, offset, seed):
    layer, x = ADDED[name](), rng(seed).normal(size=(3, 5, 4))
    np.testing.assert_allclose(np.linalg.norm(layer(x, offset=offset).data, axis=-1), np.linalg.norm(x, axis=-1))
    np.testing.assert_array_equal(layer(x).data[:, 0], x[:, 0])


def test_the_two_pairings_are_one_rotation_of_permuted_entries():
    x, order = rng().normal(size=(2, 7, 8)), [0, 2, 4, 6, 1, 3, 5, 7]
    one, two = nn.RotaryEmbedding(8), nn.RotaryEmbedding(8, pairs="halves")
    np.testing.assert_array_equal(two(x[..., order]).data, one(x).data[..., order])


def test_rotary_by_hand():
    y = nn.RotaryEmbedding(4, base=100.0)(np.array([[[9.0] * 4, [1.0, 0.0, 0.0, 1.0]]])).data[0, 1]
    np.testing.assert_allclose(y, [math.cos(1), math.sin(1), -math.sin(0.1), math.cos(0.1)])


def test_rotary_backward_turns_back():
    x, g = te.Tensor(rng().normal(size=(5, 4)), requires_grad=True), rng(1).normal(size=(5, 4))
    nn.RotaryEmbedding(4)(x, offset=3).backward(g)
    np.testing.assert_allclose(x.grad, te.ops.rotate(g, -np.arange(3, 8)).data, atol=1e-15)


def test_rotate_takes_positions_of_its_own_for_each_sequence():
    x, positions = rng().normal(size=(2, 3, 5, 4)), rng(1).integers(0, 99, (2, 1, 5))
    y = te.ops.rotate(x, positions).data
    for b in range(2):
        for h in range(3):
            np.testing.assert_array_equal(y[b, h], te.ops.rotate(x[b, h], positions[b, 0]).data)


@pytest.mark.parametrize("shape, positions, what", [
    ((2, 3), [0, 1], "even D"), ((), 0, "even D"), ((3, 4), [0, 1], r"positions \(2,\) do not broadcast to \(3,\)"),
    ((4,), [0, 1], r"positions \(2,\) do not broadcast to \(\)"), ((1, 4), [0, 1], r"do not broadcast to \(1,\)")])
def test_rotate_says_what_does_not_fit(shape, positions, what):
    with pytest.raises(ValueError, match=what):
        te.ops.rotate(np.zeros(shape), positions)


def test_rotate_refuses_other_pairs_and_positions_that_are_no_integers():
    for make in (lambda: nn.RotaryEmbedding(4, pairs="thirds"), lambda: te.ops.rotate(np.zeros(4), 0, pairs="thirds")):
        with pytest.raises(ValueError, match="'thirds'"):
            make()
    with pytest.raises(TypeError, match=r"0\.5"):
        te.ops.rotate(np.zeros((1, 4)), [0.5])


# ----------------------------------------------------------------------------- biases


@biases
@given(T=lengths, offset=offsets)
def test_an_offset_of_queries_is_a_slice(name, T, offset):
    layer = BIASES[name]()
    whole = layer(offset + T).data
    assert whole.shape == (3, offset + T, offset + T)
    np.testing.assert_array_equal(layer(T, offset=offset).data, whole[:, offset:])
    other = layer(offset + T + 3).data[:, offset:offset + T, :T + 3]
    np.testing.assert_array_equal(layer(T, T + 3, offset).data, other)


@biases
@given(i=st.integers(0, 30), j=st.integers(0, 30), shift=st.integers(0, 900))
def test_a_bias_depends_on_the_distance_alone(name, i, j, shift):
    layer = BIASES[name]()
    here = layer(1, j + 1, offset=i).data[:, 0, j]
    there = layer(1, j + shift + 1, offset=i + shift).data[:, 0, j + shift]
    np.testing.assert_array_equal(here, there)


@biases
def test_a_bias_is_constant_along_diagonals_beyond_the_training_length(name):
    b = BIASES[name]()(150).data  # max_distance is 6 and 20
    np.testing.assert_array_equal(b[:, 1:, 1:], b[:, :-1, :-1])


@pytest.mark.parametrize("name, far", [("distance", 6), ("t5", 20), ("t5, causal", 20)])
def test_all_beyond_max_distance_are_alike(name, far):
    b = BIASES[name]()(150).data[:, 149]  # of the last query
    assert (b[:, :150 - far] == b[:, :1]).all() and (b[:, 147] != b[:, 0]).all()


@biases
def test_dtype_of_a_bias(name):
    for dtype in (np.float32, np.float64):
        assert BIASES[name](dtype=dtype)(3).dtype == dtype


@pytest.mark.parametrize("name", ["distance", "t5", "t5, causal"])
def test_gradients_of_a_learned_bias(name):
    layer = BIASES[name]()
    te.check_gradients(lambda W, layer=layer: with_table(layer, W)(4, 6, 2), layer.table.weight.data, full=True)
    assert te.check_gradients(BIASES[name](), 5, full=False) < 1e-7
    g = rng(2).normal(size=(3, 30, 30)).astype(np.float32)
    layer = BIASES[name]()
    layer(30).backward(g)
    grad = layer.table.weight.grad
    assert isinstance(grad, te.RowGrad)
    np.testing.assert_allclose(grad.to_dense().sum(0), g.sum((1, 2)), rtol=1e-4)


def with_table(layer, W):
    vars(layer.table)["weight"] = W  # a computed table, which assignment refuses
    return layer


def test_a_learned_bias_by_distance_is_symmetric_and_reads_its_row():
    layer = nn.RelativePositionBias(2, max_distance=5)
    b, W = layer(9).data, layer.table.weight.data
    assert W.shape == (6, 2)
    for i in range(9):
        for j in range(9):
            assert b[:, i, j].tolist() == W[min(abs(i - j), 5)].tolist()


def t5(distance, num_buckets, max_distance, bidirectional):
    """T5's bucket of one distance key - query, in whole numbers: no logarithm, no rounding."""
    n, first, d = num_buckets, 0, max(-distance, 0)
    if bidirectional:
        n, d = n // 2, abs(distance)
        first = n if distance > 0 else 0
    exact = n // 2
    if d < exact:
        return first + d
    steps = n - exact  # the k-th begins where (d / exact)^steps reaches (max_distance / exact)^k
    k = max(k for k in range(steps) if d**steps * exact**k >= max_distance**k * exact**steps)
    return first + exact + k


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("num_buckets, max_distance", [(32, 128), (8, 20), (16, 64), (64, 256), (6, 100), (32, 17)])
def test_the_buckets_of_t5(num_buckets, max_distance, bidirectional):
    distances = np.arange(-300, 301)
    found = t5_buckets(distances, num_buckets, max_distance, bidirectional)
    assert found.tolist() == [t5(int(d), num_buckets, max_distance, bidirectional) for d in distances]
    assert found.min() == 0 and found.max() == num_buckets - 1
    assert np.array_equal(found[:300], np.sort(found[:300])[::-1])  # farther never comes nearer


def test_the_slopes_of_alibi():
    assert nn.ALiBi(8).slopes.tolist() == [2.0 ** -h for h in range(1, 9)]
    assert nn.ALiBi(1).slopes.tolist() == [2.0 ** -8] and nn.ALiBi(2).slopes.tolist() == [2.0 ** -4, 2.0 ** -8]

    def paper(H):
        """Recursive, as the paper's appendix puts it."""
        if H & (H - 1) == 0:
            return [2 ** (-8 * h / H) for h in range(1, H + 1)]
        P = 2 ** int(math.log2(H))
        return paper(P) + paper(2 * P)[0::2][:H - P]

    for H in range(1, 70):
        np.testing.assert_allclose(nn.ALiBi(H, dtype=np.float64).slopes, paper(H), rtol=1e-14)


@given(Tq=lengths, Tk=lengths, offset=offsets)
def test_alibi_is_minus_slope_times_distance(Tq, Tk, offset):
    b, c = nn.ALiBi(4)(Tq, Tk, offset).data, nn.ALiBi(4, causal=True)(Tq, Tk, offset).data
    for h, i, j in np.ndindex(4, Tq, Tk):
        assert b[h, i, j] == -(2.0 ** (-2 * (h + 1))) * abs(i + offset - j)
        assert c[h, i, j] == (b[h, i, j] if j <= i + offset else -math.inf)


def test_a_causal_alibi_hides_later_keys_from_softmax():
    weights = te.ops.softmax(te.Tensor(np.ones((2, 5, 5))) + nn.ALiBi(2, causal=True)(5)).data
    assert (np.triu(weights, 1) == 0).all()
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)


@biases
def test_numbers_of_queries_and_keys_are_checked(name):
    for arguments in [(-1,), (2, -1), (2, None, -1)]:
        with pytest.raises(ValueError, match=f"{type(BIASES[name]()).__name__}.*-1"):
            BIASES[name]()(*arguments)


@pytest.mark.parametrize("make, what", [
    (lambda: nn.ALiBi(0), "a head at least"), (lambda: nn.RelativePositionBias(0), "num_heads >= 1"),
    (lambda: nn.RelativePositionBias(2, -1), "max_distance >= 0"),
    (lambda: nn.RelativePositionBias(2, 8, "T5"), "'T5'"),
    (lambda: nn.RelativePositionBias(2, 8, "t5"), "beyond the 8 exact"),
    (lambda: nn.RelativePositionBias(2, 128, "t5", num_buckets=2), "even num_buckets"),
    (lambda: nn.RelativePositionBias(2, 128, "t5", num_buckets=9), "even num_buckets")])
def test_a_bias_that_cannot_be_is_refused(make, what):
    with pytest.raises(ValueError, match=what):
        make()


# ------------------------------------------------------------------------- BERT's input


def bert(**options):
    return nn.BERTEmbedding(9, 4, 6, dropout=0.0, **{"rng": rng(), **options})


def test_bert_embedding_is_its_formula():
    layer = bert(dtype=np.float64, std=1.0)
    ids, segments = rng(1).integers(9, size=(2, 5)), np.array([[0, 0, 0, 1, 1], [0, 1, 1, 1, 1]])
    x = layer.token.weight.data[ids] + layer.position.table.weight.data[:5] + layer.segment.weight.data[segments]
    z = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    np.testing.assert_allclose(layer(ids, segments).data, z, rtol=1e-11)
    assert [n for n, _ in layer.named_parameters()] == ["token.weight", "position.table.weight", "segment.weight",
                                                        "norm.weight", "norm.bias"]
    assert np.array_equal(layer(ids).data, layer(ids, np.zeros_like(ids)).data)
    assert np.array_equal(layer(ids, te.Tensor(segments[0])).data, layer(te.Tensor(ids), segments[[0, 0]]).data)
    assert layer(ids[0]).shape == (5, 4) and layer(ids[:0]).shape == (0, 5, 4)


def test_gradients_of_bert_embedding():
    ids, segments = np.array([[1, 1, 3], [3, 0, 1]]), np.array([[0, 0, 1], [0, 1, 1]])
    te.check_gradients(bert(std=1.0), ids, segments, full=True)
    te.check_gradients(bert(std=1.0), ids)
    layer = bert()
    (layer(ids, segments) ** 2).sum().backward()
    for table in (layer.token, layer.position.table, layer.segment):
        assert isinstance(table.weight.grad, te.RowGrad)


def test_bert_starts_as_published_and_drops_in_training_alone():
    layer = nn.BERTEmbedding(300, 64)
    assert layer.position.max_seq_len == 512 and layer.segment.num_embeddings == 2
    assert layer.norm.eps == 1e-12 and layer.dropout.p == 0.1
    for table in (layer.token, layer.position.table, layer.segment):
        assert table.weight.data.std() == pytest.approx(0.02, rel=0.2)
    x = layer(rng().integers(300, size=(8, 50))).data
    assert (x == 0).mean() == pytest.approx(0.1, abs=0.02)
    y = layer.eval()([[1, 2, 3]]).data
    assert y.tobytes() == layer([[1, 2, 3]]).data.tobytes() and (y != 0).all()


@pytest.mark.parametrize("arguments, kind, what", [
    (([[0, 9]],), IndexError, r"id 9 at position \(0, 1\) is outside the token table: 9 rows"),
    (([[0, 1]], [[0, 2]]), IndexError, r"id 2 at position \(0, 1\) is outside the segment table: 2 rows"),
    (([[0, 1]], [[0.0, 1.0]]), TypeError, "ids are integers"),
    (([[0, 1]], [[0, 1, 1]]), ValueError, r"shape of ids, \(1, 2\), got \(1, 3\)"),
    (([[0, 1]], 0), ValueError, r"shape of ids, \(1, 2\), got \(\)"),
    (([[0] * 7],), ValueError, "7 positions from 0 on do not fit"), ((3,), ValueError, "a sequence of ids")])
def test_what_bert_embedding_refuses(arguments, kind, what):
    with pytest.raises(kind, match=what):
        bert()(*arguments)


@pytest.mark.parametrize("make", [lambda **o: nn.BERTEmbedding(9, 4, 6, **o), BIASES["distance"], BIASES["t5"]])
def test_the_same_seed_gives_the_same_bytes(make):
    def drawn(**options):
        return b"".join(p.data.tobytes() for p in make(**options).parameters())

    made = []
    for seed in (5, 5, 6):
        te.seed(seed)
        made.append([drawn(rng=None), drawn(rng=None)])
    assert made[0] == made[1] != made[2] and made[0][0] != made[0][1]
    assert drawn(rng=rng(1)) == drawn(rng=rng(1)) != drawn(rng=rng(2))


# --------------------------------------------------------- without positions, order is invisible

TOKEN = nn.Embedding(20, 8, rng=rng(), dtype=np.float64)


def pooled(ids, *layers):
    x = TOKEN(ids)
    for layer in layers:
        x = layer(x)
    return x.data.mean(0)


@given(ids=st.lists(st.integers(0, 19), min_size=2, max_size=12), seed=st.integers(0, 99))
def test_a_permuted_sentence_pools_to_the_same_vector_without_positions_or_with_added_ones(ids, seed):
    shuffled = rng(seed).permutation(ids)
    np.testing.assert_allclose(pooled(shuffled), pooled(ids), atol=1e-15)
    # Also a LayerNorm: it treats each token by itself.
    np.testing.assert_allclose(pooled(shuffled, nn.LayerNorm(8, dtype=np.float64)),
                               pooled(ids, nn.LayerNorm(8, dtype=np.float64)), atol=1e-14)
    # Added positions alone do not help: mean(token + position) = mean(token) + mean(position), and the second is the
    # same for every order. Something has to act on the sum that is not linear.
    for position in (nn.LearnedPositionalEmbedding(12, 8, std=1.0), nn.SinusoidalPositionalEncoding(8)):
        np.testing.assert_allclose(pooled(shuffled, position), pooled(ids, position), atol=1e-14)


@pytest.mark.parametrize("position", [nn.LearnedPositionalEmbedding(12, 8, std=1.0, rng=rng(3)),
                                      nn.SinusoidalPositionalEncoding(8)], ids=["learned", "sinusoidal"])
@given(ids=st.lists(st.integers(0, 19), min_size=2, max_size=12, unique=True), seed=st.integers(0, 99))
def test_and_to_another_once_positions_pass_through_a_layer_norm(position, ids, seed):
    shuffled = rng(seed).permutation(ids)
    norm = nn.LayerNorm(8, dtype=np.float64)
    apart = np.abs(pooled(shuffled, position, norm) - pooled(ids, position, norm)).max()
    assert apart < 1e-14 if shuffled.tolist() == ids else apart > 1e-4


def test_rotary_makes_attention_see_order():
    ids, rotary = [3, 7, 7, 1, 12], nn.RotaryEmbedding(8)

    def attended(ids, turn):
        x = TOKEN(ids)
        return (te.ops.softmax(turn(x) @ turn(x).T) @ x).data.mean(0)

    np.testing.assert_allclose(attended(ids[::-1], lambda x: x), attended(ids, lambda x: x), atol=1e-14)
    # Scores depend on j - i, so a mere reversal turns the score of (i, j) the other way round.
    assert np.abs(attended([7, 3, 1, 12, 7], rotary) - attended(ids, rotary)).max() > 1e-3
