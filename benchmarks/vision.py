"""Pictures: training steps of a small CNN and a small ViT, and ResNet-18, beside torch eager on two threads.

1. A training step of a CNN of three layers, 32 pictures of 3 x 32 x 32: forward, backward, AdamW.
2. The same for a ViT: 64 patches of 4 x 4, 4 blocks of width 64 and 4 heads (torch.nn.TransformerEncoderLayer).
3. A forward pass of ResNet-18, 8 pictures of 3 x 224 x 224, in eval mode, without a gradient.
4. Memory: how much of the largest resident size of a process that trains the CNN for 30 steps came after model and data
   were made.

A model is defined once, for both frameworks: the layers have the same names and arguments. Both have the same weights,
and their losses or outputs are held against each other before anything is timed. Medians, the minimum in brackets. In
the last table "reach" is to be kept under, "aim" is hoped for.

    python benchmarks/vision.py            a minute
    python benchmarks/vision.py --quick    seconds
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import common
import numpy as np
from language_model import resident

import tinyembed as te

torch = common.optional("torch")
GOALS = {"CNN": (1.5, 1.0), "ViT": (0.9, 0.6), "ResNet-18": (1.5, 1.0), "memory": (1.5, 1.0)}
LR = 1e-3


def cnn(nn: Any) -> Any:
    """Three convolutions, each at half the size of the one before."""
    layers: list[Any] = []
    for C, D in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(C, D, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 4 * 4, 10))


def vit(nn: Any) -> Any:
    """Patches as tokens, positions that are learned, four blocks, the mean of all tokens."""
    D, H, parameter = 64, 4, np.random.default_rng(1).normal(0, 0.02, (1, 64, 64)).astype(np.float32)

    class ViT(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, D, 4, stride=4)
            self.position = nn.Parameter(parameter if nn is te.nn else torch.from_numpy(parameter))
            self.blocks = nn.ModuleList([te.nn.TransformerBlock(D, H) if nn is te.nn else nn.TransformerEncoderLayer(
                D, H, 4 * D, 0.0, "gelu", batch_first=True, norm_first=True) for _ in range(4)])
            self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, 10)

        def forward(self, x: Any) -> Any:
            x = self.patches(x).reshape(len(x), D, 64)  # (B, D, T)
            x = (x.transpose(0, 2, 1) if nn is te.nn else x.transpose(1, 2)) + self.position
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x).mean(1))

    return ViT()


def resnet18(nn: Any) -> Any:
    """He et al. 2016, as torchvision has it."""

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, C: int, D: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(C, D, 3, stride, 1, bias=False), nn.BatchNorm2d(D), nn.ReLU(),
                                      nn.Conv2d(D, D, 3, 1, 1, bias=False), nn.BatchNorm2d(D))
            self.way = nn.Sequential(*([nn.Conv2d(C, D, 1, stride, bias=False), nn.BatchNorm2d(D)] if C != D else []))
            self.relu = nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.relu(self.body(x) + self.way(x))

    blocks = [Block(C, D, stride) for C, D, stride in (
        (64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2),
        (512, 512, 1))]
    return nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
                         *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def twin(ours: Any, make: Any) -> Any:
    """torch's model with the weights of ours."""
    theirs = make(torch.nn)
    state = {name.replace("attention.", "self_attn.").replace("mlp.", ""): torch.tensor(value)
             for name, value in ours.state_dict().items()}
    missing = theirs.load_state_dict(state, strict=False)
    if missing.unexpected_keys or any("num_batches" not in name for name in missing.missing_keys):
        raise SystemExit(f"the two models have other parameters: {missing}")
    return theirs


def pictures(n: int, size: int) -> Any:
    return np.random.default_rng(0).standard_normal((n, 3, size, size), np.float32)


def steps(make: Any, who: str | None = None) -> dict[str, common.Contender]:
    """A training step of each contender, or of `who` alone, on batches of random pictures."""
    te.seed(0)
    model, x, labels = make(te.nn), pictures(32, 32), np.random.default_rng(1).integers(10, size=32)
    adam, losses = te.optim.AdamW(model.parameters(), lr=LR), []

    def ours() -> Any:
        adam.zero_grad()
        loss = te.ops.cross_entropy(model(x), labels)
        loss.backward()
        adam.step()
        return loss

    contenders: dict[str, common.Contender] = {common.OURS: lambda i: ours}
    if torch and who != common.OURS:
        theirs = twin(model, make)
        optimiser = torch.optim.AdamW(theirs.parameters(), lr=LR)
        tx, tl = torch.from_numpy(x), torch.from_numpy(labels)

        def peer() -> Any:
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(theirs(tx), tl)
            loss.backward()
            optimiser.step()
            return loss

        contenders["torch"] = lambda i: peer
        if who is None:
            losses = [[step().item() for _ in range(3)] for step in (ours, peer)]
            if abs(np.subtract(*losses)).max() > 1e-3:
                raise SystemExit(f"the two models do not learn the same: {losses}")
    return contenders


def forward(n: int, size: int) -> dict[str, common.Contender]:
    """ResNet-18 in eval mode, its running means those of three batches."""
    te.seed(0)
    model, x = resnet18(te.nn), pictures(n, size)
    with te.no_grad():
        for i in range(3):
            model(pictures(2, 64) * (1 + i))
    model.eval()

    @te.no_grad()
    def ours() -> Any:
        return model(x)

    contenders: dict[str, common.Contender] = {common.OURS: lambda i: ours}
    if torch:
        theirs, tx = twin(model, resnet18).eval(), torch.from_numpy(x)

        @torch.no_grad()  # type: ignore[untyped-decorator]
        def peer() -> Any:
            return theirs(tx)

        contenders["torch"] = lambda i: peer
        one, other = ours().data, peer().numpy()
        if abs(one - other).max() > 1e-3 * abs(other).max():
            raise SystemExit("the two ResNets are not the same")
    return contenders


def memory(who: str) -> None:
    """Train the CNN for a while; print how far the resident size has grown, in MiB."""
    if torch:
        torch.set_num_threads(2)
    work = steps(cnn, who)[who]
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    for i in range(30):
        work(i)()
    print(json.dumps(resident("VmHWM") - before))


def main() -> None:
    if sys.argv[1:2] == ["--memory"]:
        return memory(sys.argv[2])
    o = common.parser(__doc__, 2).parse_args()
    common.describe(o.threads, ("torch",))
    repeats, (n, size) = o.repeats or (3 if o.quick else 21), (2, 64) if o.quick else (8, 224)
    rows = {"CNN, 32 x 3 x 32 x 32: step": common.timed(steps(cnn), repeats),
            "ViT, 64 patches, 4 layers, D 64, B 32: step": common.timed(steps(vit), repeats),
            f"ResNet-18, {n} x 3 x {size} x {size}: forward": common.timed(forward(n, size), min(repeats, 9))}
    common.table("ms, median (min)", rows)

    goals = [["against the reaches", "ours", "torch", "ratio", "reach", "aim"]]
    for name, (measure, row) in zip(GOALS, rows.items()):
        ours, theirs = (statistics.median(row.get(who, [np.nan])) * 1e3 for who in (common.OURS, "torch"))
        goals.append([measure, f"{ours:.3g} ms", f"{theirs:.3g} ms", f"{ours / theirs:.2f}",
                      *map("{:g}".format, GOALS[name])])
    grown = {who: json.loads(subprocess.run([sys.executable, __file__, "--memory", who], stdout=subprocess.PIPE,
                                            check=True).stdout) for who in (common.OURS, *(["torch"] if torch else []))}
    theirs = grown.get("torch", np.nan)
    goals.append(["memory of training the CNN", f"{grown[common.OURS]:.1f} MiB", f"{theirs:.1f} MiB",
                  f"{grown[common.OURS] / theirs:.2f}", *map("{:g}".format, GOALS["memory"])])
    common.markdown(goals)
    if o.quick:
        print("\nThe goals are for the full sizes.")


if __name__ == "__main__":
    main()
