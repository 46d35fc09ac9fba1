import numpy as np
import pytest
from PIL import Image

from duogen.data.decode import UnreadableError, decoded

WHITE, GREEN = (255, 255, 255), (10, 200, 30)
GREY = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
COLOUR = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)


@pytest.fixture
def saved(tmp_path):
    def save(image, name="x.png", **options):
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return save


def luma(colour):
    """ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B."""
    return colour.astype(float) @ [0.299, 0.587, 0.114]


@pytest.mark.parametrize("name", ["x.png", "x.bmp", "x.webp"])
def test_colour_is_kept_to_the_bit(saved, name):
    options = {"lossless": True} if name == "x.webp" else {}
    found = decoded(saved(Image.fromarray(COLOUR), name, **options), (3, 4, 6), WHITE)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, COLOUR.transpose(2, 0, 1))


def test_jpeg_is_near(saved):
    smooth = np.broadcast_to(np.arange(16, dtype=np.uint8)[:, None, None] * 12, (16, 24, 3))
    found = decoded(saved(Image.fromarray(np.ascontiguousarray(smooth)), "x.jpg", quality=95), (3, 16, 24), WHITE)
    assert np.abs(found.astype(int) - smooth.transpose(2, 0, 1)).max() < 10


def test_grey_is_kept_to_the_bit_and_repeated_for_colour(saved):
    path = saved(Image.fromarray(GREY))
    np.testing.assert_array_equal(decoded(path, (1, 4, 6), WHITE)[0], GREY)
    np.testing.assert_array_equal(decoded(path, (3, 4, 6), WHITE), np.stack([GREY] * 3))


def test_colour_becomes_grey_by_luma(saved):
    found = decoded(saved(Image.fromarray(COLOUR)), (1, 4, 6), WHITE)
    assert np.abs(found[0] - luma(COLOUR)).max() < 1


def test_one_bit_is_black_and_white(saved):
    bits = GREY > 100
    found = decoded(saved(Image.fromarray(bits)), (1, 4, 6), WHITE)
    np.testing.assert_array_equal(found[0], 255 * bits)


@pytest.mark.parametrize("name", ["x.png", "x.gif"])
def test_palette_gives_its_colours(saved, name):
    image = Image.fromarray((GREY % 3).astype(np.uint8), "P")
    palette = np.array([[1, 2, 3], [40, 50, 60], [200, 150, 100]], np.uint8)
    image.putpalette(palette.tobytes())
    found = decoded(saved(image, name), (3, 4, 6), WHITE)
    np.testing.assert_array_equal(found, palette[GREY % 3].transpose(2, 0, 1))


def test_a_transparent_palette_entry_shows_the_background(saved):
    image = Image.fromarray((GREY % 3).astype(np.uint8), "P")
    image.putpalette(bytes([1, 2, 3, 40, 50, 60, 200, 150, 100]))
    found = decoded(saved(image, transparency=1), (3, 4, 6), GREEN)
    assert found[:, 0, 1].tolist() == list(GREEN)
    assert found[:, 0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_is_laid_over_the_background(saved, channels):
    alpha = np.repeat(np.array([[0, 51, 102, 204, 230, 255]], np.uint8), 4, 0)
    found = decoded(saved(Image.fromarray(np.dstack([COLOUR, alpha]))), (channels, 4, 6), GREEN)
    share = alpha[..., None] / 255
    over = share * COLOUR + (1 - share) * np.array(GREEN)
    expected = over if channels == 3 else luma(over)[..., None]
    assert np.abs(found.transpose(1, 2, 0) - expected).max() <= 1.5
    if channels == 3:
        assert found[:, 2, 0].tolist() == list(GREEN)


def test_grey_with_alpha_and_a_transparent_grey(saved):
    alpha = np.where(GREY > 100, 255, 0).astype(np.uint8)
    image = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)])
    expected = np.where(GREY > 100, GREY, 77)
    np.testing.assert_array_equal(decoded(saved(image), (1, 4, 6), (77, 77, 77))[0], expected)
    found = decoded(saved(Image.fromarray(GREY), transparency=50), (1, 4, 6), (77, 77, 77))
    np.testing.assert_array_equal(found[0], np.where(GREY == 50, 77, GREY))


def test_sixteen_bits_become_eight_by_a_linear_scale(saved):
    deep = np.array([[0, 128, 129, 257, 385, 386], [32767, 32768, 65407, 65406, 65535, 2570]] * 2, np.uint16)
    found = decoded(saved(Image.fromarray(deep)), (1, 4, 6), WHITE)
    np.testing.assert_array_equal(found[0], np.floor(deep / 257 + 0.5))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed(saved, orientation):
    # What the camera stored, by the standard's words for row 0 and column 0 of the stored picture.
    upright = COLOUR
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1], 8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decoded(saved(Image.fromarray(np.ascontiguousarray(stored)), exif=exif), (3, 4, 6), WHITE)
    np.testing.assert_array_equal(found, upright.transpose(2, 0, 1))


@pytest.mark.parametrize("name", ["x.gif", "x.webp", "x.png"])
def test_the_first_picture_of_an_animation_counts(saved, name):
    frames = [Image.fromarray(np.full((4, 6, 3), level, np.uint8)) for level in (40, 200)]
    options = {"lossless": True} if name == "x.webp" else {}
    path = saved(frames[0], name, save_all=True, append_images=frames[1:], **options)
    assert np.abs(decoded(path, (3, 4, 6), WHITE).astype(int) - 40).max() <= 2


def test_cmyk_is_turned_into_colour(saved):
    path = saved(Image.new("CMYK", (6, 4), (0, 255, 255, 0)), "x.jpg", quality=100)
    assert np.abs(decoded(path, (3, 4, 6), WHITE)[:, 2, 2] - np.array([255.0, 0, 0])).max() < 12


@pytest.mark.parametrize(
    ("size", "target", "box"),
    [
        ((20, 10), (5, 5), (5, 0, 15, 10)),
        ((10, 21), (5, 5), (0, 5.5, 10, 15.5)),
        ((30, 20), (10, 5), (10, 0, 20, 20)),
        ((12, 30), (4, 8), (0, 12, 12, 18)),
        ((3, 2), (8, 8), (0.5, 0, 2.5, 2)),
    ],
)
def test_the_largest_centred_part_with_the_proportions_is_resized(saved, size, target, box):
    width, height = size
    values = np.random.default_rng(1).integers(0, 256, (height, width), np.uint8)
    found = decoded(saved(Image.fromarray(values)), (1, *target), WHITE)
    expected = Image.fromarray(values).resize(target[::-1], Image.Resampling.LANCZOS, box=box)
    assert (box[2] - box[0]) / (box[3] - box[1]) == pytest.approx(target[1] / target[0])
    np.testing.assert_array_equal(found[0], expected)


@pytest.mark.parametrize("side", [29, 58, 116, 123, 225])
@pytest.mark.parametrize("across", [True, False])
def test_a_side_whose_quotient_rounds_up_is_read_to_its_edge(saved, side, across):
    assert 28 * (side / 28) > side
    values = np.random.default_rng(2).integers(0, 256, (side, side + 7), np.uint8)
    values = values if across else values.T
    found = decoded(saved(Image.fromarray(values)), (1, 28, 28), WHITE)
    box = (3.5, 0, side + 3.5, side) if across else (0, 3.5, side, side + 3.5)
    expected = Image.fromarray(values).resize((28, 28), Image.Resampling.LANCZOS, box=box)
    np.testing.assert_array_equal(found[0], expected)


def test_reducing_does_not_alias(saved):
    fine = np.indices((64, 64)).sum(0) % 2 * 255
    found = decoded(saved(Image.fromarray(fine.astype(np.uint8))), (1, 8, 8), WHITE)
    assert np.abs(found.astype(int) - 127).max() < 12


def test_an_extreme_strip_costs_no_memory(saved):
    found = decoded(saved(Image.new("L", (50_000, 1), 90)), (1, 64, 64), WHITE)
    assert found.shape == (1, 64, 64)
    assert (found == 90).all()


def broken(path):
    whole = path.read_bytes()
    return {
        "empty": b"",
        "text": b"no image at all",
        "cut": whole[: len(whole) // 2],
        "header only": whole[:24],
        "damaged": whole[:60] + bytes(20) + whole[80:],
        "another format": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\nshowpage\n",
    }


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "header only", "damaged", "another format"])
def test_what_is_no_whole_image_is_unreadable(saved, kind):
    path = saved(Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)))
    path.write_bytes(broken(path)[kind])
    with pytest.raises(UnreadableError):
        decoded(path, (3, 4, 6), WHITE)
