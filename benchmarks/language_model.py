"""Training steps, sampling and tokenising of small language models, beside torch eager on two threads.

1. A training step of a GPT: forward, backward, AdamW, in three sizes. torch's is the same model (pre-norm blocks, one
   projection for queries, keys and values, its own scaled_dot_product_attention, tanh-GELU, tied head), starts from the
   same weights, and its first loss is held against ours before anything is timed.
2. The same for an LSTM between a table and a tied head (torch.nn.LSTM). Both once more as two processes take it, each
   with half of the batch and half of the threads (`te.train.launch`), torch as before: both have two cores.
3. Sampling from the second GPT, with the same cache of keys and values: the time for 200 tokens after a prompt.
4. A forward pass of a BERT of MiniLM's shape, 32 sentences of 32 tokens (torch.nn.TransformerEncoder, its fast path);
   and in two processes, each with half of the sentences, which both have all vectors in the end.
5. Memory: the largest resident size of a process that trains the second GPT for 30 steps, and how much of it came after
   the libraries were loaded. The ratio is of what came after.
6. Byte-level BPE: encoding the documentation of this Python, beside the merge loop that everyone writes first.

Medians, the minimum in brackets. The last table has the goals: "reach" is to be kept under (over for the last), "aim"
is hoped for. torch is measured where it is installed.

    python benchmarks/language_model.py            some two minutes
    python benchmarks/language_model.py --quick    seconds
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import common
import numpy as np

import tinyembed as te
from tinyembed.data import python_docs
from tinyembed.models import BERT, GPT, BERTConfig, GPTConfig, LSTMModel
from tinyembed.text import ByteLevelBPE
from tinyembed.text.bpe import BYTE_CHARACTERS
from tinyembed.text.patterns import compiled

torch = common.optional("torch")
F: Any = torch and torch.nn.functional
SIZES = [(2, 4, 64, 32, 32, 65), (4, 4, 128, 64, 12, 65), (6, 6, 384, 256, 4, 10_000)]  # layers, heads, D, T, B, V
GOALS = {"GPT": ((1.0, 0.6), (1.2, 0.9), (1.5, 1.1)), "LSTM": (1.5, 1.0), "generate": (1.0, 1 / 1.5),
         "memory": (1.5, 1.0), "BERT": (1.5, 1.0), "BPE": (5, 20)}
LSTM = (1, 0, 128, 64, 32, 65)  # as SIZES; no heads
LR = 1e-3

if torch:
    class Attention(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, D: int, H: int) -> None:
            super().__init__()
            self.H, self.in_proj, self.out_proj = H, torch.nn.Linear(D, 3 * D), torch.nn.Linear(D, D)

        def forward(self, x: Any, cache: Any = None) -> Any:
            B, T, D = x.shape
            q, k, v = self.in_proj(x).view(B, T, 3, self.H, D // self.H).permute(2, 0, 3, 1, 4)
            if cache is not None:
                keys, values, n = cache
                keys[:, :, n:n + T], values[:, :, n:n + T] = k, v
                k, v = keys[:, :, :n + T], values[:, :, :n + T]
            y = F.scaled_dot_product_attention(q, k, v, is_causal=T > 1)
            return self.out_proj(y.transpose(1, 2).reshape(B, T, D))

    class Block(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, D: int, H: int) -> None:
            super().__init__()
            self.norm1, self.norm2 = torch.nn.LayerNorm(D), torch.nn.LayerNorm(D)
            self.attention = Attention(D, H)
            self.linear1, self.linear2 = torch.nn.Linear(D, 4 * D), torch.nn.Linear(4 * D, D)

        def forward(self, x: Any, cache: Any = None) -> Any:
            x = x + self.attention(self.norm1(x), cache)
            return x + self.linear2(F.gelu(self.linear1(self.norm2(x)), approximate="tanh"))

    class TorchGPT(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, c: GPTConfig) -> None:
            super().__init__()
            self.c = c
            self.token, self.position = (torch.nn.Embedding(n, c.n_embd) for n in (c.vocab_size, c.block_size))
            self.blocks = torch.nn.ModuleList([Block(c.n_embd, c.n_head) for _ in range(c.n_layer)])
            self.norm = torch.nn.LayerNorm(c.n_embd)

        def forward(self, ids: Any, caches: Any = None) -> Any:
            n = caches[0][2] if caches else 0
            x = self.token(ids) + self.position.weight[n:n + ids.shape[1]]
            for i, block in enumerate(self.blocks):
                x = block(x, caches[i] if caches else None)
            return self.norm(x) @ self.token.weight.T

        @torch.no_grad()
        def generate(self, ids: Any, n: int, generator: Any) -> Any:
            c = self.c
            shape = (1, c.n_head, c.block_size, c.n_embd // c.n_head)
            caches, new, out = [[torch.empty(shape), torch.empty(shape), 0] for _ in self.blocks], ids, [ids]
            for _ in range(n):
                logits = self(new, caches)[:, -1]
                for cache in caches:
                    cache[2] += new.shape[1]
                new = torch.multinomial(F.softmax(logits, -1), 1, generator=generator)
                out.append(new)
            return torch.cat(out, 1)

    class TorchLSTM(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, V: int, D: int) -> None:
            super().__init__()
            self.token, self.lstm = torch.nn.Embedding(V, D), torch.nn.LSTM(D, D, batch_first=True)

        def forward(self, ids: Any) -> Any:
            return self.lstm(self.token(ids))[0] @ self.token.weight.T


def build(size: tuple[int, ...]) -> Any:
    n_layer, n_head, D, T, _, V = size
    rng = np.random.default_rng(0)
    return GPT(config(n_layer, n_head, D, T, V), rng=rng) if n_head else LSTMModel(V, D, rng=rng)


def batches_of(size: tuple[int, ...]) -> list[Any]:
    rng, (T, B, V) = np.random.default_rng(0), size[3:]
    return [(rng.integers(V, size=(B, T)), rng.integers(V, size=(B, T))) for _ in range(8)]


def steps_of_group(group: Any, size: tuple[int, ...], repeats: int) -> list[float]:
    """The loss after ten steps, and the seconds of the next ones, that a group of processes takes as `fit` does."""
    model, batches = build(size), batches_of(size)
    adam = te.optim.AdamW(model.parameters(), lr=LR)
    loss, seconds = np.nan, []
    for i in range(-10, repeats):
        batch = batches[i % 8]
        start = time.perf_counter()
        adam.zero_grad()
        part = group.part(batch)
        (model.loss(*part) * (len(part[0]) / len(batch[0]))).backward()
        group.sum_gradients(adam.params)
        adam.step()
        if i >= 0:
            seconds.append(time.perf_counter() - start)
        elif i == -1:
            loss = model.loss(*batches[0]).item()
    return [loss, *seconds]


def config(n_layer: int, n_head: int, D: int, T: int, V: int) -> GPTConfig:
    return GPTConfig(V, T, n_layer, n_head, D)


def twin(model: Any, theirs: Any) -> Any:
    """torch's model with the weights of ours."""
    state = {name.replace("in_proj_", "in_proj.").replace("mlp.", "").replace("position.table", "position"):
             torch.tensor(value) for name, value in model.state_dict().items()}
    theirs.load_state_dict(state)
    return theirs


def steps(size: tuple[int, ...]) -> dict[str, common.Contender]:
    """A training step of each, on batches of random ids; both learn on as they are timed."""
    model, batches = build(size), batches_of(size)
    adam = te.optim.AdamW(model.parameters(), lr=LR)
    losses = {common.OURS: model.loss(*batches[0]).item()}

    def ours(i: int) -> Any:
        def work() -> Any:
            adam.zero_grad()
            loss = model.loss(*batches[i % 8])
            loss.backward()
            adam.step()
            return loss
        return work

    contenders: dict[str, common.Contender] = {common.OURS: ours}
    if torch:
        theirs = twin(model, TorchGPT(model.config) if size[1] else TorchLSTM(size[5], size[2]))
        optimiser = torch.optim.AdamW(theirs.parameters(), lr=LR)
        pairs = [tuple(map(torch.from_numpy, batch)) for batch in batches]

        def loss_of(ids: Any, targets: Any) -> Any:
            return F.cross_entropy(theirs(ids).flatten(0, 1), targets.flatten())

        def peer(i: int) -> Any:
            def work() -> Any:
                optimiser.zero_grad()
                loss = loss_of(*pairs[i % 8])
                loss.backward()
                optimiser.step()
                return loss
            return work

        contenders["torch"] = peer
        losses["torch"] = loss_of(*pairs[0]).item()
        if abs(losses["torch"] - losses[common.OURS]) > 1e-4:
            raise SystemExit(f"the two models are not the same: {losses}")
    return contenders


def generation(n: int) -> dict[str, common.Contender]:
    model = GPT(config(*SIZES[1][:3], 256, 65)).eval()
    prompt = np.arange(10)
    contenders: dict[str, common.Contender] = {common.OURS: lambda i: lambda: model.generate(prompt, n, seed=i)}
    if torch:
        theirs, generator = twin(model, TorchGPT(model.config)), torch.Generator()
        contenders["torch"] = lambda i: lambda: theirs.generate(torch.from_numpy(prompt)[None], n, generator)
    return contenders


def mini_lm(sentences: int) -> tuple[BERT, Any]:
    rng, c = np.random.default_rng(0), BERTConfig(30522, 384, 6, 12, 1536)
    return BERT(c, rng=rng).eval(), rng.integers(c.vocab_size, size=(sentences, 32))


@te.no_grad()
def bert_of_group(group: Any, sentences: int, repeats: int) -> list[Any]:
    """The seconds that a group of processes takes for the vectors of all sentences, which all of them have then."""
    model, ids = mini_lm(sentences)
    seconds: list[Any] = []
    for _ in range(5 + repeats):
        start = time.perf_counter()
        y = group.all_gather(model(*group.part(ids)).data)
        seconds.append(time.perf_counter() - start)
    return [y, *seconds[5:]]


def bert(sentences: int) -> dict[str, common.Contender]:
    model, ids = mini_lm(sentences)

    @te.no_grad()
    def forward() -> Any:
        return model(ids)

    contenders: dict[str, common.Contender] = {common.OURS: lambda i: forward}
    if torch:
        layer = torch.nn.TransformerEncoderLayer(384, 12, 1536, activation="gelu", batch_first=True,
                                                 layer_norm_eps=1e-12)
        encoder = torch.nn.TransformerEncoder(layer, 6, enable_nested_tensor=False).eval()
        state = {name.removeprefix("blocks.").replace("attention.", "self_attn.").replace("mlp.", ""): value
                 for name, value in model.state_dict().items() if name.startswith("blocks.")}
        encoder.layers.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
        tables = [torch.tensor(t.weight.data) for t in (model.embed.token, model.embed.position.table,
                                                        model.embed.segment)]
        numbers = torch.from_numpy(ids)

        @torch.no_grad()  # type: ignore[untyped-decorator]
        def peer() -> Any:
            x = F.embedding(numbers, tables[0]) + tables[1][:32] + tables[2][0]
            return encoder(F.layer_norm(x, (384,), eps=1e-12))

        if abs(peer().numpy() - forward().data).max() > 1e-3:
            raise SystemExit("the two BERTs are not the same")
        contenders["torch"] = lambda i: peer
    return contenders


def memory(contender: str) -> None:
    """Train the second GPT for a while; print the largest resident size, and the size before, in MiB."""
    work = steps(SIZES[1])[contender]
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    for i in range(30):
        work(i)()
    print(json.dumps([resident("VmHWM"), before]))


def resident(name: str) -> float:
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))


def plain_bpe(tokenizer: ByteLevelBPE, text: str) -> list[str]:
    """The merge loop everyone writes first: in each word the pair of lowest rank, joined, until there is none."""
    out: list[str] = []
    rank = {pair: i for i, pair in enumerate(tokenizer.merges)}
    for word in compiled("gpt2").findall(text):
        parts = [BYTE_CHARACTERS[b] for b in word.encode()]
        while len(parts) > 1:
            ranks = [rank.get((a, b), np.inf) for a, b in itertools.pairwise(parts)]
            best = min(ranks)
            if best == np.inf:
                break
            i = ranks.index(best)
            parts = [*parts[:i], parts[i] + parts[i + 1], *parts[i + 2:]]
        out += parts
    return out


def main() -> None:
    if sys.argv[1:2] == ["--memory"]:
        return memory(sys.argv[2])
    o = common.parser(__doc__, 2).parse_args()
    common.describe(o.threads, ("torch",))
    repeats = o.repeats or (3 if o.quick else 21)
    rows, goals = {}, [["against the reaches", "ours", "torch", "ratio", "reach", "aim"]]

    def against(name: str, measured: dict[str, list[float]], reach: float, aim: float) -> None:
        rows[name] = measured
        ours, theirs = (statistics.median(measured.get(who, [np.nan])) * 1e3 for who in (common.OURS, "torch"))
        goals.append([name, f"{ours:.3g} ms", f"{theirs:.3g} ms", f"{ours / theirs:.2f}", f"{reach:.2g}", f"{aim:.2g}"])

    for size, (reach, aim) in [*zip(SIZES[:2] if o.quick else SIZES, GOALS["GPT"]), (LSTM, GOALS["LSTM"])]:
        n_layer, n_head, D, T, B, V = size
        name = f"{f'GPT {n_layer} layers, {n_head} heads' if n_head else 'LSTM'}, D {D}, T {T}, B {B}, V {V:,}: step"
        measured = common.timed(steps(size), repeats)
        loss, *two = te.train.launch(steps_of_group, 2, size, repeats)
        if abs(loss - te.train.launch(steps_of_group, 1, size, 0)[0]) > 1e-3:
            raise SystemExit("two processes have trained another model than one")
        against(name, measured, reach, aim)
        against(name + ", two processes", {**measured, common.OURS: two}, reach, aim)
    n = 20 if o.quick else 200
    against(f"generate {n} tokens", common.timed(generation(n), 3 if o.quick else 9), *GOALS["generate"])
    sentences, name = 4 if o.quick else 32, "BERT, MiniLM's shape: forward"
    measured = common.timed(bert(sentences), repeats)
    y, *two = te.train.launch(bert_of_group, 2, sentences, repeats)
    if abs(y - te.train.launch(bert_of_group, 1, sentences, 0)[0]).max() > 1e-4:
        raise SystemExit("the processes have other vectors")
    against(name, measured, *GOALS["BERT"])
    against(name + ", two processes", {**measured, common.OURS: two}, *GOALS["BERT"])
    common.table("ms, median (min)", rows)

    sizes = {}
    for who in [common.OURS, *(["torch"] if torch else [])]:
        out = subprocess.run([sys.executable, __file__, "--memory", who], stdout=subprocess.PIPE, check=True).stdout
        sizes[who] = json.loads(out)
    grown = {who: peak - before for who, (peak, before) in sizes.items()}
    theirs = grown.get("torch", np.nan)
    goals.append(["memory of training, second size", f"{grown[common.OURS]:.1f} MiB", f"{theirs:.1f} MiB",
                  f"{grown[common.OURS] / theirs:.2f}", *map("{:g}".format, GOALS["memory"])])
    print("\nlargest resident size, MiB: " + ", ".join(f"{who} {peak:.0f}" for who, (peak, _) in sizes.items())
          + " (both libraries loaded)")

    text = "\n".join(python_docs())[:200_000 if o.quick else 2_000_000]
    trained = ByteLevelBPE.train([text[:500_000]], vocab_size=1000 if o.quick else 4000)
    few = text[:50_000 if o.quick else 200_000]
    if [trained.tokens[i] for i in trained.encode(few)] != plain_bpe(trained, few):
        raise SystemExit("the two encoders do not agree")
    took: dict[str, list[float]] = {common.OURS: [], "the loop": []}
    for i, name in common.turns(list(took), 1 if o.quick else 3):
        fresh = ByteLevelBPE(trained.tokens, trained.merges)  # it has seen no word yet
        start = time.perf_counter()
        if name == common.OURS:
            fresh.encode(text)
        else:
            plain_bpe(trained, few)
        if i >= 0:
            took[name].append(time.perf_counter() - start)
    rates = [len(t.encode()) / 1e6 / statistics.median(took[who])
             for t, who in ((text, common.OURS), (few, "the loop"))]
    goals.append(["BPE encode, over a plain loop", f"{rates[0]:.2f} MB/s", f"{rates[1]:.2f} MB/s (the loop)",
                  f"{rates[0] / rates[1]:.1f}", *map("{:g}".format, GOALS["BPE"])])
    common.markdown(goals)
    if o.quick:
        print("\nThe goals are for the full sizes.")


if __name__ == "__main__":
    main()
