"""Laws of the pictures: a PNG with labels that do not overlap; and a clear word where matplotlib is missing."""

import sys

import numpy as np
import pytest

from tinyembed.vectors import draw
from tinyembed.vectors.picture import fonts_for

rng = np.random.default_rng(0)
POINTS, WORDS = rng.normal(size=(80, 2)), [f"word{i}" for i in range(80)]


def boxes(axes):
    return [text.get_window_extent(axes.figure.canvas.get_renderer()).extents for text in axes.texts]


@pytest.mark.parametrize("groups", [None, [("even", "odd")[i % 2] for i in range(80)]])
def test_labels_do_not_overlap_and_the_first_is_there(tmp_path, groups):
    pytest.importorskip("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(POINTS, WORDS, groups=groups, title="a title", xlabel="x", ylabel="y", axes=axes)
    shown, frame = boxes(axes), axes.get_window_extent().extents
    assert axes.texts[0].get_text() == "word0" and 5 < len(shown) < 80
    for i, a in enumerate(shown):
        assert a[0] >= frame[0] and a[2] <= frame[2] and a[1] >= frame[1] and a[3] <= frame[3]
        assert all(a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3] for b in shown[:i])
    assert (axes.get_legend() is None) == (groups is None) and axes.get_xlabel() == "x"
    assert sum(len(points.get_offsets()) for points in axes.collections) == 80

    for _ in range(2):
        draw(POINTS, WORDS, tmp_path / "a.png", groups=groups)
        data = (tmp_path / "a.png").read_bytes()
        assert data.startswith(b"\x89PNG")
    draw(POINTS, WORDS, tmp_path / "b.png", groups=groups)
    assert (tmp_path / "b.png").read_bytes() == data


def test_a_dozen_groups_can_be_told_apart(tmp_path):
    pytest.importorskip("matplotlib")
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure

    figure = Figure()
    FigureCanvasPdf(figure)
    axes, names = figure.add_subplot(), [f"_{i % 12}" for i in range(80)]
    draw(POINTS, WORDS, groups=names, axes=axes)
    looks = {(tuple(dots.get_facecolor()[0]), dots.get_paths()[0].vertices.tobytes()) for dots in axes.collections}
    assert len(looks) == len(axes.get_legend().get_texts()) == 12
    assert all(dots.get_sizes()[0] > 0 for dots in axes.collections)


def test_one_point_and_equal_points_and_dollar_signs_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    draw([[1.0, 1.0]], ["$alone"], tmp_path / "a.png")
    draw(np.zeros((5, 2)), list("a$b$c"), tmp_path / "a.png", groups=list("xyxyx"))


def test_without_matplotlib_it_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(ImportError, match=r"words\.png takes matplotlib: pip install matplotlib"):
        draw(POINTS, WORDS, "words.png")


@pytest.mark.parametrize(("points", "labels", "options", "reason"), [
    (POINTS, WORDS[:3], {}, "label each"), (np.zeros((0, 2)), [], {}, "label each"),
    (np.full((1, 2), np.nan), ["a"], {}, "label each"), (POINTS, WORDS, {"groups": ["x"]}, "as many groups"),
    (POINTS, WORDS, {"axes": object()}, "or axes"),
])
def test_what_does_not_go_together_is_refused(points, labels, options, reason):
    with pytest.raises(ValueError, match=reason):
        draw(points, labels, "never.png", **options)


def test_a_character_that_the_usual_font_lacks_is_drawn_with_an_installed_one_or_said_to_be_missing(monkeypatch):
    manager = pytest.importorskip("matplotlib.font_manager")
    has, lacks = (manager.findfont(name) for name in ("DejaVu Sans Mono", "STIXSizeOneSym"))
    monkeypatch.setattr(manager, "findSystemFonts", lambda: [lacks, "no font", has])
    import matplotlib

    with matplotlib.rc_context({"font.family": ["STIXSizeOneSym"]}):
        assert fonts_for("") == ["STIXSizeOneSym"]
        assert fonts_for("aλ") == ["STIXSizeOneSym", "DejaVu Sans Mono"]
        with pytest.warns(UserWarning, match="no installed font has 学数, .*Noto Sans CJK"):
            assert fonts_for("a数学") == ["STIXSizeOneSym", "DejaVu Sans Mono"]
