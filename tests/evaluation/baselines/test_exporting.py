import numpy as np

import small_project
from netchu.evaluation.baselines.exporting import write_images
from netchu.imaging.images import decode
from small_project import as_table


def test_images_are_numbered_and_keep_their_pixels(tmp_path):
    lines = small_project.drawn_lines("test", 3)
    write_images(as_table(lines), tmp_path / "out")
    paths = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in paths] == ["000000.png", "000001.png", "000002.png"]
    for path, line in zip(paths, lines, strict=True):
        np.testing.assert_array_equal(
            decode(path.read_bytes(), "the file"), decode(line.image, "the line")
        )
