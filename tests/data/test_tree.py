import hashlib
import os
from unicodedata import normalize

import numpy as np
import pytest

from duogen.data import tree as trees
from duogen.data.tree import ImageFile, checksum_of, class_names, cuts, encoded, image_files, printable
from duogen.errors import UserError


@pytest.fixture
def tree(tmp_path):
    """A folder with the named files, each holding its own name."""

    def plant(*names):
        for name in names:
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(name))
        return tmp_path / "root"

    return plant


def named(files):
    return sorted(file.name for file in files)


def test_images_are_known_by_their_suffix_and_nothing_hidden_is_taken(tree):
    wanted = ["a/1.png", "a/2.JPG", "a/deep/3.jpeg", "b/4.webp", "b/5.bmp", "b/6.Gif"]
    others = ["a/notes.txt", "b/Thumbs.db", "a/.hidden.png", ".git/x.png", "a/._1.png", "b/png"]
    assert named(image_files(tree(*wanted, *others))) == wanted


def test_files_are_in_the_order_of_their_positions(tree):
    files = image_files(tree(*[f"{index}.png" for index in range(50)]))
    positions = [file.position for file in files]
    assert positions == sorted(positions)
    assert named(files) != [file.name for file in files]


def test_position_is_a_hash_of_the_name_alone(tmp_path):
    one, other = ImageFile(tmp_path / "x", "katzen/ä.png"), ImageFile(tmp_path / "y", "katzen/ä.png")
    digest = hashlib.sha256("katzen/ä.png".encode()).hexdigest()
    assert one.position == other.position == int(digest[:12], 16) / 16**12


def test_classes_are_the_first_folders_with_images(tree):
    root = tree("zebra/a.png", "ähre/b.png", "猫/deep/c.png", "Apfel/d.png", "empty/readme.txt")
    files = image_files(root)
    assert class_names(files) == ["Apfel", "zebra", "ähre", "猫"]
    assert {file.name: file.group for file in files}["猫/deep/c.png"] == "猫"


def test_without_sub_folders_there_are_no_classes(tree):
    files = image_files(tree("a.png", "b.png"))
    assert class_names(files) == []
    assert {file.group for file in files} == {None}


def test_names_are_the_same_however_the_system_spells_them(tree):
    files = image_files(tree(normalize("NFD", "käse/ö.png")))
    assert [file.name for file in files] == [normalize("NFC", "käse/ö.png")]
    assert files[0].path.exists()


def test_names_that_are_no_text_are_taken_and_can_be_printed(tree):
    name = os.fsdecode(b"a/\xff\xfe.png")
    files = image_files(tree(name))
    assert [file.name for file in files] == [name]
    assert 0 <= files[0].position < 1
    assert printable(name).encode()


def test_links_are_followed_and_circles_end(tree, tmp_path):
    root = tree("a/1.png")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "2.png").write_bytes(b"2")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "back").symlink_to(root)
    assert named(image_files(root)) == ["a/1.png", "b/2.png"]
    assert len(list(trees.walked(root))) == 2


def test_images_beside_sub_folders_are_refused_by_name(tree):
    with pytest.raises(UserError, match=r"beside its sub-folders: stray\.png"):
        image_files(tree("a/1.png", "stray.png"))


def test_folders_that_are_none_or_empty_are_refused(tree, tmp_path):
    root = tree("readme.txt")
    for path, problem in ((root, "holds no image"), (root / "readme.txt", "is a file"), (tmp_path / "no", "not there")):
        with pytest.raises(UserError, match=problem):
            image_files(path)


def test_cuts_are_where_the_shares_end():
    positions = sorted(np.random.default_rng(0).random(2000))
    first, second = cuts(positions, 0.1, 0.25)
    assert positions[first - 1] < 0.1 <= positions[first]
    assert positions[second - 1] < 0.35 <= positions[second]


def test_a_new_file_moves_no_other():
    positions = sorted(np.random.default_rng(1).random(200))
    more = sorted([*positions, 0.05, 0.15, 0.5])

    def split_of(rising):
        first, second = cuts(rising, 0.1, 0.1)
        return {x: (index >= first) + (index >= second) for index, x in enumerate(rising)}

    before, after = split_of(positions), split_of(more)
    assert all(after[x] == split for x, split in before.items())


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([0.5, 0.6, 0.7], (1, 2)),
        ([0.5, 0.6, 0.7, 0.8], (1, 2)),
        ([0.01, 0.02, 0.03], (1, 2)),
        ([0.01, 0.02, 0.03, 0.11], (2, 3)),
        ([0.11, 0.12, 0.13, 0.14], (1, 3)),
        ([0.01, 0.11, 0.5], (1, 2)),
    ],
)
def test_no_split_is_empty(positions, expected):
    assert cuts(positions, 0.1, 0.1) == expected


def test_checksum_covers_names_and_contents(tree, tmp_path):
    root = tree("a/1.png", "b/2.png")
    lines = sorted(f"{hashlib.sha256(name.encode()).hexdigest()} {name}\n" for name in ("a/1.png", "b/2.png"))
    whole = checksum_of(image_files(root), tmp_path / "book.json")
    assert whole == hashlib.sha256("".join(lines).encode()).hexdigest()
    (root / "b").rename(root / "c")
    assert checksum_of(image_files(root), tmp_path / "book.json") != whole
    (root / "c").rename(root / "b")
    assert checksum_of(image_files(root), tmp_path / "book.json") == whole
    (root / "b" / "2.png").write_bytes(b"longer than before")
    assert checksum_of(image_files(root), tmp_path / "book.json") != whole


def test_what_the_book_knows_is_not_read_again(tree, tmp_path, monkeypatch):
    root, read = tree("a/1.png", "b/2.png"), []
    monkeypatch.setattr("duogen.data.tree.sha256_of", lambda path: read.append(path.name) or "d")
    for _ in range(2):
        checksum_of(image_files(root), tmp_path / "book.json")
    assert sorted(read) == ["1.png", "2.png"]
    state = (root / "a" / "1.png").stat()
    os.utime(root / "a" / "1.png", ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    checksum_of(image_files(root), tmp_path / "book.json")
    assert sorted(read) == ["1.png", "1.png", "2.png"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b'{"a": 1}', b'{"a": [1, 2]}', b"\xff\xfe"])
def test_a_damaged_book_is_written_anew(tree, tmp_path, content):
    files, book = image_files(tree("1.png")), tmp_path / "book.json"
    book.write_bytes(content)
    assert trees.remembered(book) == {}
    found = checksum_of(files, book)
    assert list(trees.remembered(book)) == [str(files[0].path)]
    assert checksum_of(files, book) == found
