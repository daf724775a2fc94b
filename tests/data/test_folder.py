import io

import numpy as np
import pytest
from PIL import Image

from color_s4l import data
from color_s4l.errors import InputError


def plain(color, size=(8, 8), mode="RGB"):
    return Image.new(mode, size, color)


def put(root, path, image, **options):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    image.save(root / path, **options)


@pytest.fixture
def root(tmp_path):
    """Classes cat and dog with one red and one blue training and test image."""
    for part in ("train", "test"):
        put(tmp_path, f"{part}/cat/a.png", plain("red"))
        put(tmp_path, f"{part}/dog/a.png", plain("blue"))
    return tmp_path


def load(root, image_size=8):
    return data.load("folder", str(root), image_size)


def one(root, image, name="b.png", **options):
    """What becomes of one more training image of the first class."""
    put(root, f"train/cat/{name}", image, **options)
    return load(root).images[1]


def test_reads_classes_in_order(root):
    dataset = load(root)
    assert dataset.classes == ("cat", "dog")
    assert dataset.images[:, 0, 0].tolist() == [[255, 0, 0], [0, 0, 255]]
    assert dataset.labels.tolist() == dataset.test_labels.tolist() == [0, 1]
    assert load(root, None).images.shape == (2, 32, 32, 3)


def test_unlabeled_images_come_last_without_label(root):
    put(root, "unlabeled/z.png", plain("white"))
    put(root, "unlabeled/deep/er/y.png", plain("black"))
    dataset = load(root)
    assert dataset.labels.tolist() == [0, 1, -1, -1]
    assert dataset.images[2:, 0, 0, 0].tolist() == [0, 255]


@pytest.mark.parametrize(
    "name", ["b.PNG", "b.JpG", "b.jpeg", "b.webp", "b.BMP", "b.gif"]
)
def test_reads_every_kind_in_either_case(root, name):
    color = one(root, plain((0, 128, 0)), name)[4, 4]
    # JPEG and WebP lose a little.
    assert np.abs(color.astype(int) - [0, 128, 0]).max() <= 3


def test_order_is_sorted_and_deterministic(root):
    for level in (30, 10, 20):
        put(root, f"train/cat/sub/{level}.png", plain((level,) * 3))
    first, second = load(root), load(root)
    assert first.images[:, 0, 0, 0].tolist() == [255, 10, 20, 30, 0]
    assert (first.images == second.images).all()


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
def test_converts_grey_alpha_palette_and_16_bits(root, image, color):
    assert one(root, image)[3, 3].tolist() == list(color)


def test_converts_cmyk_and_transparent_palettes(root):
    # No cyan, all magenta and yellow, no black: red.
    red = one(root, plain((0, 255, 255, 0), mode="CMYK"), "b.jpg", quality=100)
    assert np.abs(red[4, 4].astype(int) - [255, 0, 0]).max() <= 3
    palette = plain(0, mode="P")
    palette.putpalette([0, 0, 0])
    assert one(root, palette, "ab.png", transparency=0)[4, 4].tolist() == [255] * 3


def test_first_frame_of_an_animation(root):
    frames = [plain("lime"), plain("blue")]
    frame = one(root, frames[0], "b.gif", save_all=True, append_images=frames[1:])
    assert frame[4, 4].tolist() == [0, 255, 0]


def test_honours_exif_rotation(root):
    image = plain("black")
    image.paste("white", (0, 0, 8, 4))  # the upper half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    turned = one(root, image, "b.png", exif=exif)
    assert turned[:, 7, 0].tolist() == [255] * 8
    assert turned[:, 0, 0].tolist() == [0] * 8


def test_crops_to_the_middle_square(root):
    image = plain("black", (24, 8))
    image.paste("white", (8, 0, 16, 8))
    assert (one(root, image) == 255).all()


def test_unreadable_files_are_named_counted_and_skipped(root, capsys, monkeypatch):
    encoded = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(encoded, "PNG")
    (root / "train/cat/cut.png").write_bytes(encoded.getvalue()[:5000])
    (root / "train/cat/empty.jpg").write_bytes(b"")
    (root / "test/dog/text.gif").write_text("no image")
    put(root, "unlabeled/huge.png", plain("red", (400, 400)))
    put(root, "unlabeled/vast.png", plain("red", (600, 600)))
    # Warns above this many pixels, raises above twice as many.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    dataset = load(root)
    assert dataset.labels.tolist() == [0, 1]
    said = capsys.readouterr().err
    for name in ("cut.png", "empty.jpg", "text.gif", "huge.png", "vast.png"):
        assert sum(name in line for line in said.splitlines()) == 1
    assert said.splitlines()[-1].endswith(
        "skipped 5 of 9 files that cannot be decoded."
    )


def test_other_files_are_passed_over_with_a_count(root, capsys):
    (root / "train/cat/notes.txt").write_text("")
    (root / "train/cat/.DS_Store").write_text("")
    put(root, "train/stray.png", plain("red"))
    assert len(load(root).images) == 2
    said = capsys.readouterr().err
    assert "train/cat: passed over what is no image: 1 .txt\n" in said
    assert "passed over 1 images outside of a class's folder" in said
    assert "DS_Store" not in said


def test_refuses_a_test_class_that_train_has_not(root):
    put(root, "test/cow/a.png", plain("red"))
    with pytest.raises(InputError, match=r"not: cow\. train has: cat, dog"):
        load(root)


def test_a_class_may_lack_test_images(root):
    put(root, "train/cow/a.png", plain("red"))
    assert load(root).classes == ("cat", "cow", "dog")
    assert load(root).test_labels.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("folders", "text"),
    [
        ([], "no folder .*/train. Expected DIR/train/<class>"),
        (["train"], "no folder .*/test"),
        (["train", "test"], "/train holds no folders of classes"),
        (["train/cat", "test"], "/test holds no folders of classes"),
        (["train/cat", "test/cat"], "/train holds no image that can be read.*.gif"),
    ],
)
def test_refuses_empty_trees(tmp_path, folders, text):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(InputError, match=text) as raised:
        load(tmp_path)
    assert "\n" not in str(raised.value)


def test_home_directory_is_understood(root, monkeypatch):
    monkeypatch.setenv("HOME", str(root))
    assert len(load("~").images) == 2


def test_refuses_a_missing_directory(tmp_path):
    with pytest.raises(InputError, match="needs --data_dir=DIR"):
        data.load("folder")
    with pytest.raises(InputError, match=r"no folder .*nowhere\."):
        load(tmp_path / "nowhere")
