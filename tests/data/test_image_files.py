"""Image files of every kind, written by Pillow, become the image that one sees."""

import os

import numpy as np
import pytest
from PIL import Image

from color_s4l.data import image_files


def plain(color, size=(8, 8), mode="RGB"):
    return Image.new(mode, size, color)


@pytest.fixture
def one(tmp_path, put):
    """A function: writes an image to a file and reads it again."""

    def read(image, name="b.png", size=8, resize="crop", **options):
        path = put(name, image, **options)
        assert image_files.find(tmp_path) == [path]
        images = np.empty((1, size, size, 3), np.uint8)
        assert image_files.load_many([path], images, resize) == [""]
        path.unlink()
        return images[0]

    return read


@pytest.mark.parametrize(
    "name", ["b.PNG", "b.JpG", "b.jpeg", "b.webp", "b.BMP", "b.gif"]
)
def test_reads_every_kind_in_either_case(one, name):
    color = one(plain((0, 128, 0)), name)[4, 4]
    # JPEG and WebP lose a little.
    assert np.abs(color.astype(int) - [0, 128, 0]).max() <= 3


@pytest.mark.parametrize(
    ("image", "color"),
    [
        (plain(90, mode="L"), (90, 90, 90)),
        (plain(1, mode="1"), (255, 255, 255)),
        (plain((10, 20, 30)).quantize(2), (10, 20, 30)),
        # Alpha over white: 0.2 * 0 + 0.8 * 255 = 204 where the image is black.
        (plain((0, 0, 0, 51), mode="RGBA"), (204, 204, 204)),
        (plain((0, 51), mode="LA"), (204, 204, 204)),
        # 16 bits: 25700 / 257 = 100.
        (Image.fromarray(np.full((8, 8), 25700, np.uint16)), (100, 100, 100)),
        (Image.fromarray(np.full((8, 8), 65535, np.uint16)), (255, 255, 255)),
    ],
)
def test_converts_grey_alpha_palette_and_16_bits(one, image, color):
    assert one(image)[3, 3].tolist() == list(color)


def test_converts_cmyk_transparent_palettes_and_animations(one):
    # No cyan, all magenta and yellow, no black: red.
    red = one(plain((0, 255, 255, 0), mode="CMYK"), "b.jpg", quality=100)
    assert np.abs(red[4, 4].astype(int) - [255, 0, 0]).max() <= 3
    palette = plain(0, mode="P")
    palette.putpalette([0, 0, 0])
    assert one(palette, transparency=0)[4, 4].tolist() == [255] * 3
    first = one(plain("lime"), "b.gif", save_all=True, append_images=[plain("blue")])
    assert first[4, 4].tolist() == [0, 255, 0]


def test_applies_exif_rotation(one):
    image = plain("black")
    image.paste("white", (0, 0, 8, 4))  # the upper half
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    turned = one(image, exif=exif)
    assert turned[:, 7, 0].tolist() == [255] * 8
    assert turned[:, 0, 0].tolist() == [0] * 8


def test_crops_to_the_centre_square(one):
    image = plain("black", (24, 8))
    image.paste("white", (8, 0, 16, 8))
    assert (one(image) == 255).all()


def test_pads_to_a_square_with_the_mean_colour(one):
    wide = plain((200, 100, 0), (16, 8))
    assert (one(wide, resize="pad") == [200, 100, 0]).all()
    striped = plain("black", (4, 16))
    striped.paste((90, 90, 90), (0, 0, 4, 8))
    image = one(striped, size=16, resize="pad")
    # 4 of 16 columns are the image: its upper half 90, the lower black, the bars 45.
    assert image[2, 6:10, 0].tolist() == [90] * 4
    assert image[13, 6:10, 0].tolist() == [0] * 4
    assert (image[:, [0, 5, 10, 15]] == 45).all()


def test_large_jpegs_are_decoded_smaller_and_look_the_same(one):
    ramp = np.linspace(0, 255, 1600).astype(np.uint8)
    photograph = Image.fromarray(np.stack([np.tile(ramp, (1200, 1))] * 3, axis=-1))
    exact = one(photograph, size=32).astype(int)
    # Steps of 6 grey levels a pixel, from about 32 to 223 in the centre square.
    assert exact[0, 0, 0] < 40 < 210 < exact[0, -1, 0]
    small = one(photograph, "b.jpg", size=32, quality=95)
    assert np.abs(small - exact).max() <= 3


def test_the_decoder_is_not_chosen_by_the_name(one):
    assert one(plain("white"), "b.png", format="JPEG").min() >= 252


def test_only_files_are_found(tmp_path):
    (tmp_path / "a.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png" / "b.png").touch()
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "c.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "none")
    found = [str(path.relative_to(tmp_path)) for path in image_files.find(tmp_path)]
    assert found == ["a.png", "c.png", "folder.png/b.png"]


def test_many_files_are_found_in_order(tmp_path):
    names = []
    for folder in range(50):
        (tmp_path / f"{folder:03d}").mkdir()
        for number in range(100):
            names.append(f"{folder:03d}/{number}.JPG")
            (tmp_path / names[-1]).touch()
    found = image_files.find(tmp_path)
    expected = sorted(names, key=lambda name: name.split("/"))
    assert [path.relative_to(tmp_path).as_posix() for path in found] == expected
