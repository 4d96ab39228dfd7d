"""Step 9: what is in a model file.

A published model is numbers with names. A safetensors file says in its header where the numbers of each name begin
and end, so one row of a table can be read without the rest, and reading is all that happens. Here is such a file,
taken apart by hand; bfloat16, in which most large tables are stored; and what a pickle is: a program, not numbers.
"""

import json
import pickle
import struct
import tempfile

import numpy as np

import tinyembed as te

D = 8
table = np.random.default_rng(0).standard_normal((1000, D)).astype(np.float32)
with tempfile.TemporaryDirectory() as folder:
    path = f"{folder}/model.safetensors"
    te.files.write_safetensors(path, {"wte.weight": table, "small": table, "norm": np.ones(D, np.float32)},
                               {"made by": "step 9"}, dtypes={"small": "BF16"})

    # Eight bytes of length, that many bytes of JSON, and the numbers, end to end.
    data = np.fromfile(path, np.uint8).tobytes()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    for name, entry in header.items():
        print(f"{name:<13}{entry}")
    size = 8 + n + max(entry["data_offsets"][1] for entry in header.values() if "dtype" in entry)
    print(f"8 + {n} + data = {size:,} bytes, all of the file:", size == len(data))

    # Row 42 is 42 rows behind the table's beginning. SafeTensors does this sum on a mapping: the rest stays on disk.
    begin = 8 + n + header["wte.weight"]["data_offsets"][0] + 42 * D * 4
    row = np.frombuffer(data, "<f4", D, begin)
    file = te.files.SafeTensors(path)
    print(f"row 42 is bytes {begin:,} to {begin + D * 4:,}; that is row 42:", np.array_equal(row, table[42]))
    print("SafeTensors reads the same:", np.array_equal(file.rows("wte.weight", [42])[0], row))

    # bfloat16 is the upper half of a float32: as large a range, half the bytes, two to three decimal digits.
    begin = 8 + n + header["small"]["data_offsets"][0] + 42 * D * 2
    first = data[begin:begin + 2]
    print(f"{row[0]:.6f} as float32: {row[:1].tobytes()[::-1].hex(' ')}   as bfloat16: {first[::-1].hex(' ')}")
    wide = struct.unpack("<f", bytes(2) + first)[0]
    print(f"with two bytes of zeros: {wide:.6f}; SafeTensors reads {file.rows('small', 42)[0]:.6f}")
    print("relative error of all numbers below 2^-8, half a step:", (np.abs(file["small"] / table - 1) < 2**-8).all())

    # What it is for: the table of someone's model as a layer here. Frozen, it stays in the file.
    layer = te.load_table(path).to_embedding()
    print(f"{layer} looks it up: {np.array_equal(layer([42]).data[0], row)}")


class Model:
    def __reduce__(self):  # what a pickle says of me: a function to call when it is read, any function, and arguments
        return print, ("  a line that the file had printed; it might as well have deleted yours",)


print("reading a pickle:")
assert pickle.loads(pickle.dumps(Model())) is None
# Next: a table larger than memory: tinyembed.files.sparse_safetensors makes its file, a mapping trains it.
