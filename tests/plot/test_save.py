import os

import numpy as np
import pytest
from PIL import Image

from verax import plot


def picture():
    return plot.confusion_matrix(np.array([[3, 1], [0, 2]]))


def test_each_figure_becomes_a_png_of_300_dots_per_inch(tmp_path):
    paths = plot.save_figures({"one": picture(), "two.3": picture().figure}, tmp_path / "new" / "folder")
    assert paths == [tmp_path / "new" / "folder" / "one.png", tmp_path / "new" / "folder" / "two.3.png"]
    assert sorted(os.listdir(tmp_path / "new" / "folder")) == ["one.png", "two.3.png"]
    with Image.open(paths[0]) as image:
        assert image.size[0] == 1080 and image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_mode & 0o777 == 0o644


def test_a_figure_that_cannot_be_drawn_leaves_nothing_behind(tmp_path):
    broken = picture()
    broken.set_xlabel("$\\frac{1$")
    with pytest.raises(ValueError, match="frac"):
        plot.save_figures({"good": picture(), "broken": broken}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_cannot_be_replaced_leaves_no_half_file(tmp_path):
    (tmp_path / "one.png").mkdir()
    with pytest.raises(OSError):
        plot.save_figures({"one": picture()}, tmp_path)
    assert os.listdir(tmp_path) == ["one.png"]


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "with space"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="a figure's name must be letters, digits"):
        plot.save_figures({name: picture()}, tmp_path)
