"""Step 20: a convolution is a lookup of patches.

A picture is a table too: a row for each pixel. Each window of it looks up its pixels, and gets a patch; one product
with the kernel, the same for all windows, is a convolution. So its gradient is what a lookup's always is: what came
back to each pixel, added up. And what a kernel has learned in one corner, it knows in all of them.
"""

import numpy as np

import tinyembed as te

# By hand. A picture of 4 x 4 pixels, read line by line, is a table of 16 rows; a window of 2 x 2 is four ids.
rng = np.random.default_rng(0)
picture = te.Tensor(rng.normal(size=(16, 1)), requires_grad=True)
kernel = rng.normal(size=(2, 2))
corner = np.arange(16).reshape(4, 4)[:3, :3]  # the upper left pixel of each window
ids = corner.reshape(9, 1) + np.array([0, 1, 4, 5])  # (windows, pixels)
print("the first window, and the last, look up", ids[0], "and", ids[8])
patches = te.ops.embedding(picture, ids).reshape(9, 4)
y = patches @ kernel.reshape(4)

x = te.Tensor(picture.data.reshape(1, 1, 4, 4), requires_grad=True)
z = te.ops.conv2d(x, kernel.reshape(1, 1, 2, 2))
print("the product of patches and kernel is conv2d:", np.allclose(y.data, z.data.reshape(9)))

# Its gradient. A pixel in the middle was looked up by four windows, one in a corner by one; each sends something back.
y.sum().backward()
z.sum().backward()
print("how often each pixel was looked up:")
print(np.bincount(ids.reshape(-1)).reshape(4, 4))
print("rows that the lookup sends back:", len(picture.grad.ids), "for", picture.shape[0], "pixels")
print("added up, they are conv2d's gradient:", np.allclose(picture.grad.to_dense().reshape(4, 4), x.grad[0, 0]))


# What it is good for. Bars of three pixels, lying or standing; one model sees them in the left half alone.
def bars(n, first, last):
    """n pictures of 8 x 12 with noise and a bar in the columns from first to last, and whether it stands"""
    x, standing = rng.normal(0, 0.2, (n, 1, 8, 12)).astype(np.float32), rng.integers(2, size=n)
    for i, (row, column) in enumerate(zip(rng.integers(6, size=n), rng.integers(first, last - 1, size=n))):
        x[i, 0, row:row + 1 + 2 * standing[i], column:column + 3 - 2 * standing[i]] += 1
    return x, standing


left, right = bars(400, 0, 5), bars(400, 6, 11)
nn, own = te.nn, np.random.default_rng(1)
models = {"one number for each pixel": nn.Sequential(nn.Flatten(), nn.Linear(96, 2, rng=own)),
          "kernels, and the maximum of each": nn.Sequential(
              nn.Conv2d(1, 4, 3, rng=own), nn.ReLU(), nn.MaxPool2d((6, 10)), nn.Flatten(), nn.Linear(4, 2, rng=own))}
print()
for name, model in models.items():
    te.train.fit(model, te.data.Batches(left, 50, rng), te.optim.Adam(model.parameters(), lr=0.02), epochs=40,
                 loss=lambda model, x, y: te.ops.cross_entropy(model(x), y), progress=False)
    hits = [np.mean(model(x).data.argmax(1) == y) for x, y in (left, right)]
    print(f"{name:<33} {te.param_count(model).total:>3} parameters; share of bars told right: "
          f"on the left {hits[0]:.1f}, on the right {hits[1]:.1f}")
# Next: two pictures of one thing, or a picture and its caption, as two vectors that are to be near each other.
