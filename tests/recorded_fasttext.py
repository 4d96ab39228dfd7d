"""Two small models that Facebook's own tool made, and what it says is in them; so the tests need no fastText.

    pip install fasttext-wheel==0.9.2
    python tests/recorded_fasttext.py        prints MODELS anew, as JSON, the file in base64

Numbers are as the tool's Python module gives them: rows of the input and output matrix as float32, counts from
get_words and get_labels. SETTINGS is what it was asked for, with its defaults for the rest.
"""

import base64
import json
import pathlib
import tempfile

TEXT = "the cat sat on the mat naïve\xa0word the cat\nthe dog sat 🙂 🙂 on the log\n"
LABELLED = "__label__good the cat sat\n__label__bad the dog sat\n__label__good sat\n"
SETTINGS = {
    "unsupervised": {"dim": 2, "ws": 4, "epoch": 3, "minCount": 1, "neg": 6, "wordNgrams": 1, "loss": "ns",
                     "model": "sg", "bucket": 7, "minn": 2, "maxn": 3, "lrUpdateRate": 100, "t": 1e-3},
    "supervised": {"dim": 2, "ws": 5, "epoch": 2, "minCount": 1, "neg": 5, "wordNgrams": 2, "loss": "softmax",
                   "model": "sup", "bucket": 5, "minn": 0, "maxn": 0, "lrUpdateRate": 100, "t": 1e-4},
}


def record():
    """What MODELS holds, made with the tool."""
    import fasttext
    models = {}
    with tempfile.TemporaryDirectory() as folder:
        text, path = pathlib.Path(folder, "text"), str(pathlib.Path(folder, "model.bin"))
        for name, content in ("unsupervised", TEXT), ("supervised", LABELLED):
            text.write_text(20 * content, "utf-8")  # two threads: with one, version 0.9.2 leaves rows zero
            options = {key: value for key, value in SETTINGS[name].items() if key != "model"}
            if name == "unsupervised":
                model = fasttext.train_unsupervised(str(text), model="skipgram", thread=2, verbose=0, **options)
            else:
                model = fasttext.train_supervised(str(text), thread=2, verbose=0, **options)
            model.save_model(path)
            words, counts = model.get_words(include_freq=True)
            labels, label_counts = model.get_labels(include_freq=True) if name == "supervised" else ([], [])
            models[name] = {
                "file": base64.b64encode(pathlib.Path(path).read_bytes()).decode(), "words": words,
                "counts": list(map(int, counts)), "labels": labels, "label_counts": list(map(int, label_counts)),
                "input": model.get_input_matrix().tolist(), "output": model.get_output_matrix().tolist()}
    return models


MODELS = {
    "unsupervised": {
        "file": base64.b64decode(
            "uhZPLwwAAAACAAAABAAAAAMAAAABAAAABgAAAAEAAAACAAAAAgAAAAcAAAACAAAAAwAAAGQAAAD8qfHSTWJQPwoAAAAKAAAAAAAA"
            "AHwBAAAAAAAA//////////90aGUAZAAAAAAAAAAAY2F0ACgAAAAAAAAAAHNhdAAoAAAAAAAAAABvbgAoAAAAAAAAAAA8L3M+ACgA"
            "AAAAAAAAAPCfmYIAKAAAAAAAAAAAbWF0ABQAAAAAAAAAAG5hw692ZcKgd29yZAAUAAAAAAAAAABkb2cAFAAAAAAAAAAAbG9nABQA"
            "AAAAAAAAAAARAAAAAAAAAAIAAAAAAAAAU4nVvn2lxz6lLZ++hazUvix0xz4+45++/sZgumDykLrqkZa6BaFyuoit/LpEroe6pKw4"
            "ul/23Lmikba6LxLWuTkLrLqzeje6I3YyurIvoLlcvT2828W5u4TiWruiPSy7XCCavBlKVbwg8JK8m4IyvCqS8bvMFkO7gTKRvCT5"
            "U7xgyW688hr1uwAKAAAAAAAAAAIAAAAAAAAAaK5PPENPkzrUhgM8+ysROosYULvI/QU8Zwi0OyoLebtRDqw7aZRgOytprzsjnF07"
            "3uNROk2NiDuZn0Q7w03fO0pYijvg21A6OGYLOwUF0Ds="),
        "words": ["the", "cat", "sat", "on", "</s>", "🙂", "mat", "naïve\xa0word", "dog", "log"],
        "counts": [100, 40, 40, 40, 40, 40, 20, 20, 20, 20],
        "labels": [],
        "label_counts": [],
        "input": [
            [-0.417063326, 0.38993445], [-0.310895115, -0.41537872], [0.389558196, -0.312280595],
            [-0.000857457402, -0.00110585615], [-0.00114875776, -0.000925556116], [-0.00192777906, -0.00103516178],
            [-0.000704476843, -0.000421452307], [-0.00139289, -0.000408308086], [-0.00131259032, -0.00069991796],
            [-0.000680776488, -0.000305531139], [-0.0115807913, -0.00566933816], [-0.0033399174, -0.00262818532],
            [-0.0188142583, -0.0130181545], [-0.0179367661, -0.0108953966], [-0.00737216044, -0.00297682267],
            [-0.0177242775, -0.0129378177], [-0.0145743787, -0.00748001877],
        ],
        "output": [
            [0.012675859, 0.00112388318], [0.008027751, 0.000553786464], [-0.003175291, 0.00817818195],
            [0.0054941657, -0.00380010391], [0.00525073009, 0.00342681468], [0.00535311317, 0.00338149886],
            [0.000800667214, 0.00416723499], [0.00300023542, 0.00681468984], [0.00422195066, 0.000796733424],
            [0.00212706439, 0.00634825462],
        ],
    },
    "supervised": {
        "file": base64.b64decode(
            "uhZPLwwAAAACAAAABQAAAAIAAAABAAAABQAAAAIAAAADAAAAAwAAAAUAAAAAAAAAAAAAAGQAAAAtQxzr4jYaPwcAAAAFAAAAAgAA"
            "AAQBAAAAAAAA//////////9zYXQAPAAAAAAAAAAAPC9zPgA8AAAAAAAAAAB0aGUAKAAAAAAAAAAAY2F0ABQAAAAAAAAAAGRvZwAU"
            "AAAAAAAAAABfX2xhYmVsX19nb29kACgAAAAAAAAAAV9fbGFiZWxfX2JhZAAUAAAAAAAAAAEACgAAAAAAAAACAAAAAAAAAO9VAr/r"
            "//U+71UCv+v/9T466Pc7K/Tpu/OtTL3AKEE996prPURnXr0AAAAAAAAAADro9zsr9Om7AAAAAAAAAADzrUy9wChBPSz/Fb3qjQ09"
            "AAIAAAAAAAAAAgAAAAAAAADpFJ6+Ki+VPugUnj4qL5W+"),
        "words": ["sat", "</s>", "the", "cat", "dog"],
        "counts": [60, 60, 40, 20, 20],
        "labels": ["__label__good", "__label__bad"],
        "label_counts": [40, 20],
        "input": [
            [-0.509123743, 0.480468124], [-0.509123743, 0.480468124], [0.00756552536, -0.00713970279],
            [-0.0499705784, 0.0471580029], [0.0575360917, -0.0542977005], [0, 0],
            [0.00756552536, -0.00713970279], [0, 0], [-0.0499705784, 0.0471580029],
            [-0.036620304, 0.0345591679],
        ],
        "output": [
            [-0.308753282, 0.291375458], [0.308753252, -0.291375458],
        ],
    },
}

if __name__ == "__main__":
    print(json.dumps(record(), indent=1))
