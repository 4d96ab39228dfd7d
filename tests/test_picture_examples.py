"""The examples on pictures, quickly, as a new user would run them: on few and small pictures, and with bad flags."""

import importlib.util
import re

import numpy as np
import pytest
from conftest import EXAMPLES


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table(printed):
    """name -> the percentages of its row."""
    rows = re.findall(r"^(\w[\w ]+?) +(?:\d+ +)?([\d.]+)% +(?:([\d.]+)%|-)$", printed, re.MULTILINE)
    return {name: [float(x) for x in found if x] for name, *found in rows}


def test_nearest_pictures_of_shapes(example_here, tmp_path):
    code, printed, errors = example_here("pictures", "--data", "shapes", "--pictures", "400", "--size", "16",
                                         "--channels", "4", "8", "--steps", "3", "--top", "5")
    assert code == 0, errors
    rows = table(printed)
    assert list(rows) == ["chance", "raw pixels", "PCA", "untrained network", "layer 1", "network"]
    assert all(len(found) == 2 and 0 <= min(found) and max(found) <= 100 for found in rows.values())
    assert "100 to judge" in printed and "of 12 new classes: red triangle, " in printed
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "pictures.png").read_bytes().startswith(b"\x89PNG")


def test_a_network_finds_what_pixels_hide(example_here, tmp_path):
    """In each picture of a folder a stripe stands or lies, somewhere, in some brightness."""
    Image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for way in ("lies", "stands"):
        (tmp_path / "stripes" / way).mkdir(parents=True)
        for i in range(120):
            picture = rng.integers(60, 100, (12, 12))
            at, shade = rng.integers(12), rng.choice([0, 255])
            picture[at if way == "lies" else slice(None), at if way == "stands" else slice(None)] = shade
            Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "stripes" / way / f"{i}.png")
    code, printed, errors = example_here("pictures", "--data", "stripes", "--size", "12", "--channels", "8", "16",
                                         "--steps", "60", "--new", "0")
    assert code == 0, errors
    rows = table(printed)
    assert rows["network"][0] > 90 > 75 > max(rows["raw pixels"][0], rows["PCA"][0]), printed
    assert "lies (120), stands (120)" in printed and "of 0 new classes: none" in printed


def test_the_closest_are_others_by_cosine():
    v = np.random.default_rng(0).normal(size=(30, 2, 3))
    found = loaded("pictures").closest(v, 4)
    x = v.reshape(30, -1) - v.reshape(30, -1).mean(0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_array_equal(found, np.argsort(-(x @ x.T) + 9 * np.eye(30), axis=1)[:, :4])


def test_a_frame_leaves_the_picture_whole():
    x = np.random.default_rng(0).random((1, 5, 5))
    tile = loaded("pictures").framed(x, (1.0, 0.0, 0.0))
    assert tile.shape == (20, 20, 3)
    np.testing.assert_array_equal(tile[5:-5:2, 5:-5:2], x[0, :, :, None].repeat(3, 2))
    assert (tile[:2] == 1).all() and (tile[2, 2:-2] == [1, 0, 0]).all()


def test_frozen_or_trained_on_pictures(example_here, tmp_path):
    pytest.importorskip("matplotlib")
    code, printed, errors = example_here("frozen_or_trained", "--task", "pictures", "--pictures", "60", "--steps", "4",
                                         "--channels", "4", "8", "--shares", "50", "100", "--repeats", "1")
    assert code == 0, errors
    assert len(re.findall(r"^ +\d+ .*± .*± .*± ", printed, re.MULTILINE)) == 2 and "30 held out; 13 classes" in printed
    assert (tmp_path / "frozen_or_trained.png").read_bytes().startswith(b"\x89PNG")


def test_the_start_knows_other_letters_and_no_label_of_the_task():
    pytest.importorskip("matplotlib")
    module = loaded("frozen_or_trained")
    assert not set(module.ASKED) & set(module.KNOWN)
    o = module.arguments().parse_args(["--pictures", "40", "--steps", "2", "--channels", "4"])
    task = module.picture_task(o)
    assert not {x.tobytes() for x in task.items} & {x.tobytes() for x in task.test}
    assert (len(task.items), len(task.test)) == (40, 20) and task.classes == list(module.ASKED)
    first, second = (task.encoder(True, np.random.default_rng(seed)) for seed in (0, 1))
    scratch = task.encoder(False, np.random.default_rng(0))
    np.testing.assert_array_equal(first.encode(task.test), second.encode(task.test))
    assert np.abs(first.encode(task.test) - scratch.encode(task.test)).max() > 1e-3


@pytest.mark.parametrize(("name", "flags"), [
    ("pictures", ["--data", "nowhere"]), ("pictures", ["--steps", "0"]), ("pictures", ["--top", "0"]),
    ("pictures", ["--new", "1"]), ("pictures", ["--size", "8"]), ("pictures", ["--channels", "0"]),
    ("pictures", ["--data", "shapes", "--pictures", "12"]), ("pictures", ["--data", "shapes", "--pictures", "-1"]),
    ("frozen_or_trained", ["--task", "pictures", "--pictures", "7"]),
    ("frozen_or_trained", ["--task", "pictures", "--channels", "0"])])
def test_bad_flags_are_refused_before_anything_is_trained(name, flags, example_here):
    code, _, errors = example_here(name, *flags)
    assert code == 2 and "error:" in errors, errors


def test_pictures_explains_every_flag(example_here):
    assert all(action.help for action in loaded("pictures").arguments()._actions)
    code, printed, _ = example_here("pictures", "--help")
    assert code == 0 and "python examples/pictures.py" in printed and "--new" in printed
