"""Drawn shapes: what a caption says is what is to be seen, and a picture has more to it than its caption."""

import colorsys

import numpy as np
import pytest

from tinyembed.data import SHAPE_ATTRIBUTES, drawn_shapes, shape_caption, shape_combinations
from tinyembed.data.drawings import HUES, PLACES, draw


def parts(pictures):
    """Of each picture, which pixels are of the shape: those that have a colour."""
    return np.ptp(pictures, axis=1) > 0.3


def test_the_attributes_are_seen_in_the_pixels():
    rng = np.random.default_rng(0)
    ids = shape_combinations()
    pictures = draw(ids, rng, 48, noise=0.0)
    areas = {}
    for row, picture, inside in zip(ids.tolist(), pictures, parts(pictures)):
        place = (np.argwhere(inside).mean(0) / 48 - 0.5).round(2)
        for seen, cell in zip(place, [*PLACES.values()][row[3]]):
            assert abs(seen - 0.25 * (cell - 1)) < 0.09, shape_caption(row)
        hue = 360 * colorsys.rgb_to_hsv(*picture[:, inside].mean(1).tolist())[0]
        off = np.abs((hue - np.array([*HUES.values()]) + 180) % 360 - 180)
        assert off.argmin() == row[0], shape_caption(row)
        areas.setdefault((row[1], row[2]), []).append(inside.mean())
    for shape in range(len(SHAPE_ATTRIBUTES["shape"])):
        assert max(areas[shape, 0]) < min(areas[shape, 1])  # small and large


def test_shapes_differ_by_more_than_their_turn():
    """How far pixels are from the middle does not depend on the turn; with the area it tells the shapes apart."""
    rng = np.random.default_rng(1)
    ids = np.array([[0, shape, 1, 4] for shape in range(6)]).repeat(30, axis=0)
    found = []
    for inside in parts(draw(ids, rng, 64, noise=0.0)):
        at = np.argwhere(inside)
        far = np.sort(np.linalg.norm(at - at.mean(0), axis=1))
        quantiles = np.quantile(far, [0.02, 0.3, 0.6, 0.9, 1.0])
        found.append([*quantiles[:-1] / quantiles[-1], len(far) / quantiles[-1] ** 2 / np.pi])
    means = np.reshape(found, (6, 30, -1)).mean(1)
    nearest = np.linalg.norm(np.array(found)[:, None] - means, axis=2).argmin(1)
    assert (nearest == ids[:, 1]).mean() > 0.9  # chance: 1 in 6


@pytest.mark.parametrize("held_out", [False, True, None])
def test_combinations_are_held_out_and_each_attribute_is_seen(held_out):
    made = drawn_shapes(2000, np.random.default_rng(2), size=8, held_out=held_out)
    allowed = {tuple(row) for row in shape_combinations(held_out).tolist()}
    drawn = {tuple(row) for row in made.ids.tolist()}
    assert drawn <= allowed and len(drawn) > 0.8 * len(allowed)
    assert made.captions == [shape_caption(row) for row in made.ids]
    for i, words in enumerate(SHAPE_ATTRIBUTES.values()):
        assert {*made.ids[:, i].tolist()} == {*range(len(words))}
    assert made.pictures.shape == (2000, 3, 8, 8) and made.pictures.dtype == np.float32 and made.ids.dtype == np.int64
    assert made.pictures.min() >= 0 and made.pictures.max() <= 1


def test_the_sides_of_the_split_share_no_pair_of_colour_and_shape():
    seen, held = shape_combinations(False), shape_combinations(True)
    assert len(seen) + len(held) == len(shape_combinations()) == 8 * 6 * 2 * 9
    pairs = [{tuple(row) for row in ids[:, :2].tolist()} for ids in (seen, held)]
    assert not pairs[0] & pairs[1] and (len(pairs[0]), len(pairs[1])) == (40, 8)
    captions = {shape_caption(row) for row in shape_combinations().tolist()}
    assert len(captions) == len(shape_combinations())


def test_the_same_state_gives_the_same_pictures_and_each_is_another_one():
    a, b = (drawn_shapes(40, np.random.default_rng(3)) for _ in range(2))
    assert a.pictures.tobytes() == b.pictures.tobytes() and a.captions == b.captions
    ids = np.tile([[3, 2, 0, 7]], (20, 1))
    pictures = draw(ids, np.random.default_rng(4), 32, noise=0.0)
    assert len({picture.tobytes() for picture in pictures}) == 20


@pytest.mark.parametrize("settings", [{"n": -1}, {"size": 7}, {"noise": -0.1}, {"noise": np.nan}, {"noise": np.inf}])
def test_settings_that_make_no_pictures(settings):
    with pytest.raises(ValueError, match="n must be at least 0, size at least 8"):
        drawn_shapes(**{"n": 1, "rng": np.random.default_rng(0), **settings})
    assert drawn_shapes(0, np.random.default_rng(0)).pictures.shape == (0, 3, 32, 32)
