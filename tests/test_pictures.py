"""Pictures that need no download: letters, digits, a folder of files; and the average over areas that sizes them."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyembed.data import digits_or_letters, letters, picture_folder
from tinyembed.data.letters import FONTS, _glyphs, _placed
from tinyembed.data.pictures import area_average
from tinyembed.files import FormatError


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_an_average_over_areas_keeps_the_mean_and_what_is_even(h, w, size, seed):
    x = np.random.default_rng(seed).normal(size=(2, h, w))
    y = area_average(x, size)
    assert y.shape == (2, size, size)
    np.testing.assert_allclose(y.mean((1, 2)), x.mean((1, 2)), atol=1e-12)
    np.testing.assert_allclose(area_average(np.full((h, w), 0.25), size), 0.25, atol=1e-12)
    slow = np.kron(x, np.ones((size, size))).reshape(2, size, h, size, w).mean((2, 4))  # each pixel cut into size parts
    np.testing.assert_allclose(y, slow, atol=1e-12)


def test_an_average_keeps_the_dtype_and_needs_a_size():
    assert area_average(np.zeros((3, 4, 4), np.float32), 2).dtype == np.float32
    with pytest.raises(ValueError, match="at least 1, not 0"):
        area_average(np.zeros((4, 4)), 0)


# -- letters -----------------------------------------------------------------------------------------------------------


class Still:
    """A generator that draws the middle of each range: nothing is turned or moved."""

    def uniform(self, low, high, shape):
        return np.full(shape, (low + high) / 2)


def test_a_letter_that_is_not_moved_is_its_glyph():
    pytest.importorskip("matplotlib")
    glyphs = _glyphs("AgZ", 64)
    assert glyphs.shape == (len(FONTS), 3, 64, 64) and 0 <= glyphs.min() and glyphs.max() <= 1
    flat = glyphs.reshape(-1, 64, 64)
    assert (flat.sum((1, 2)) > 60).all()  # each font has each letter
    found = _placed(flat, Still(), 32)
    expected = area_average(flat, 32)
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(found, expected)]
    assert min(alike) > 0.93
    filled = np.argwhere((flat > 0.5).any(0))
    np.testing.assert_allclose((filled.min(0) + filled.max(0)) / 2, 32, atol=1.5)  # in the middle


def test_letters_are_what_their_classes_say():
    pytest.importorskip("matplotlib")
    made = letters(900, np.random.default_rng(0), 16, "AHOTX", noise=0.02)
    assert made.pictures.shape == (900, 1, 16, 16) and made.pictures.dtype == np.float32
    assert 0 <= made.pictures.min() and made.pictures.max() <= 1
    assert made.classes == list("AHOTX") and len(made.fonts) == 20 and set(made.styles) == set(range(20))
    x = made.pictures.reshape(900, -1)
    x = np.abs(x - np.median(x, axis=1, keepdims=True))  # the ink, be it dark or light
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    nearest = (x[600:] @ x[:600].T).argmax(1)
    assert (made.y[nearest] == made.y[600:]).mean() > 0.6  # chance: 0.2
    again = letters(900, np.random.default_rng(0), 16, "AHOTX", noise=0.02)
    assert again.pictures.tobytes() == made.pictures.tobytes() and again.y.tobytes() == made.y.tobytes()
    assert letters(0, np.random.default_rng(0)).pictures.shape == (0, 1, 32, 32)


@pytest.mark.parametrize("settings", [{"n": -1}, {"size": 7}, {"noise": -1}, {"noise": np.nan}, {"alphabet": ""},
                                      {"alphabet": "ABA"}])
def test_settings_that_make_no_letters(settings):
    with pytest.raises(ValueError, match="no letter twice"):
        letters(**{"n": 1, "rng": np.random.default_rng(0), **settings})


def test_without_matplotlib_it_is_said_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        letters(1, np.random.default_rng(0), alphabet="#")  # which no other test has drawn


def test_letters_stand_in_for_digits(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    made = digits_or_letters(np.random.default_rng(0), 5, 8)
    assert made.pictures.shape == (5, 1, 8, 8) and "5 drawn letters" in made.about and len(made.classes) == 26


def test_fewer_than_no_digits_are_refused():
    with pytest.raises(ValueError, match="n must be at least 0, not -3"):
        digits_or_letters(np.random.default_rng(0), -3)


def test_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    made = digits_or_letters(np.random.default_rng(0), size=16)
    assert made.pictures.shape == (1797, 1, 16, 16) and made.classes == list("0123456789")
    assert "1,797 handwritten digits" in made.about
    images, y = datasets.load_digits(return_X_y=True)
    small = (area_average(made.pictures, 8) * 16).round().reshape(1797, 64)
    assert sorted(map(tuple, np.column_stack([small, made.y]).tolist())) == \
        sorted(map(tuple, np.column_stack([images, y]).tolist()))


# -- a folder ----------------------------------------------------------------------------------------------------------


def image_of(array, mode):
    from PIL import Image
    image = Image.fromarray(array)
    assert image.mode == mode
    return image


def test_a_folder_of_all_kinds_of_files(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (8, 8, 3), np.uint8)
    grey = rng.integers(0, 256, (8, 8), np.uint8)
    veiled = np.dstack([colour, rng.integers(0, 256, (8, 8), np.uint8)])
    deep = rng.integers(0, 65536, (8, 8), np.uint16)
    wide = np.concatenate([np.zeros((8, 4, 3), np.uint8), colour, np.full((8, 5, 3), 255, np.uint8)], axis=1)
    x, alpha = colour.transpose(2, 0, 1) / 255, veiled[..., 3] / 255
    files = {"b/colour.png": (image_of(colour, "RGB"), x), "b/deep/GREY.PNG": (image_of(grey, "L"), grey / 255),
             "a/veiled.png": (image_of(veiled, "RGBA"), x * alpha + 1 - alpha),
             "a/few.png": (image_of(grey // 128 * 255, "L").convert("1"), grey // 128),
             "a/palette.png": (image_of(grey, "L").convert("P"), grey / 255),
             "a/wide.png": (image_of(wide, "RGB"), x), "beside.png": (image_of(deep, image_mode(deep)), deep / 65535)}
    for name, (image, _) in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / name)
    Image.fromarray(colour).save(tmp_path / "a" / "photo.jpg")
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    made = picture_folder(tmp_path, size=8)
    order = sorted(files, key=lambda name: tmp_path / name)
    assert made.pictures.dtype == np.float32 and made.pictures.shape == (7, 3, 8, 8)
    for name, picture, y in zip(order, made.pictures, made.y):
        np.testing.assert_allclose(picture, np.broadcast_to(files[name][1], (3, 8, 8)), atol=1e-6, err_msg=name)
        assert made.classes[y] == (name.split("/")[0] if "/" in name else tmp_path.name)
    small = picture_folder(tmp_path, size=4)
    np.testing.assert_allclose(small.pictures, made.pictures.reshape(7, 3, 4, 2, 4, 2).mean((3, 5)), atol=1e-6)
    assert len(picture_folder(tmp_path, 8, (".PNG", ".jpg")).y) == 8 and "a (4)" in made.about


def image_mode(array):
    from PIL import Image
    return Image.fromarray(array).mode


def test_files_that_are_refused(tmp_path, monkeypatch):
    Image = pytest.importorskip("PIL.Image")
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        picture_folder(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"no \.png files"):
        picture_folder(tmp_path)
    Image.new("RGB", (4, 4)).save(tmp_path / "good.png")
    whole = (tmp_path / "good.png").read_bytes()
    for broken in (b"", b"no picture", whole[:20], whole[:45], whole.replace(b"IDAT", b"IDAX")):
        (tmp_path / "bad.png").write_bytes(broken)
        with pytest.raises(FormatError, match=r"bad\.png, picture: cannot be read"):
            picture_folder(tmp_path)
    (tmp_path / "bad.png").unlink()
    monkeypatch.setattr("tinyembed.data.pictures.MOST_PIXELS", 15)
    with pytest.raises(FormatError, match=r"good\.png, header: 4 x 4 pixels; at most 15 are read"):
        picture_folder(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        picture_folder(tmp_path)
