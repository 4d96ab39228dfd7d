"""Laws of decay_groups: every parameter once, and which of them decay."""

import numpy as np
import pytest

from tinyembed import nn
from tinyembed.models import BERT, GPT, BERTConfig, Bigram, GPTConfig, LSTMModel, NeuralNGram
from tinyembed.optim import SGD, AdamW, decay_groups


def gpt(**options):
    return GPT(GPTConfig(11, 6, 2, 2, 8, **options))


MODELS = {
    "GPT": gpt, "GPT, untied": lambda: gpt(tied=False), "GPT, rotary": lambda: gpt(position="rotary", gated=True),
    "BERT": lambda: BERT(BERTConfig(11, 8, 2, 2, 16)), "Bigram": lambda: Bigram(5),
    "LSTMModel": lambda: LSTMModel(11, 4), "NeuralNGram": lambda: NeuralNGram(11, 4, 2, 3),
    "bag": lambda: nn.Sequential(nn.EmbeddingBag(5, 2), nn.RMSNorm(2), nn.Linear(2, 1)),
    "relative": lambda: nn.TransformerBlock(8, 2, position=nn.RelativePositionBias(2)),
    "Linear": lambda: nn.Linear(2, 1),
    "bias only": lambda: nn.LayerNorm(3),
}
every_model = pytest.mark.parametrize("name", MODELS)


def names(model, group):
    of = {id(p): name for name, p in model.named_parameters()}
    return [of[id(p)] for p in group["params"]]


@every_model
def test_every_parameter_is_in_one_group(name):
    model = MODELS[name]()
    decayed, rest = decay_groups(model, 0.3)
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.3, 0.0)
    assert sorted(names(model, decayed) + names(model, rest)) == sorted(n for n, _ in model.named_parameters())


@every_model
def test_matrices_of_layers_decay_and_tables_norms_and_biases_do_not(name):
    model = MODELS[name]()
    decayed = names(model, decay_groups(model)[0])
    tables = ("token.weight", "table.weight", "segment.weight") + ("0.weight",) * (name == "bag")
    wanted = [n for n, p in model.named_parameters() if p.ndim > 1 and not n.endswith(tables)]
    assert decayed == wanted and not any("norm" in n or "bias" in n for n in decayed)


def test_a_tied_head_is_a_table_and_an_untied_one_is_not():
    for tied in (True, False):
        model = gpt(tied=tied)
        assert ("head.weight" in names(model, decay_groups(model)[0])) == (not tied)
        assert "token.weight" in names(model, decay_groups(model)[1])


def test_a_layer_that_shares_a_table_does_not_make_it_decay():
    table, head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
    head.weight = table.weight
    for parts in ((table, head), (head, table)):
        decayed, rest = decay_groups(nn.Sequential(*parts))
        assert decayed["params"] == [] and len(rest["params"]) == 1


@every_model
def test_without_gradients_only_the_first_group_shrinks(name):
    model = MODELS[name]()
    for p in model.parameters():
        p.data = np.ones_like(p.data)
    groups = decay_groups(model, 0.5)
    optimizer = AdamW(groups, lr=0.1)
    for p in model.parameters():
        p.grad = np.zeros_like(p.data)
    optimizer.step()
    for group, wanted in zip(groups, (0.95, 1.0)):
        assert all(np.allclose(p.data, wanted, rtol=1e-6) for p in group["params"])
    SGD(decay_groups(model), lr=0.1)
