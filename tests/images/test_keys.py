"""Keys of rows by content."""

import os
import pickle
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from xxhash import xxh3_128_digest

from modal_pretrain.images.accept import ImageLoadError, as_images
from tests import processes
from tests.images.cases import (
    KINDS,
    N,
    as_paths,
)

TIME = 10**18


def test_keys_are_16_bytes_and_differ(X, kind, tmp_path):
    keys = as_images(KINDS[kind](X, tmp_path)).row_keys()
    assert len(keys) == N == len(set(keys))
    assert {len(key) for key in keys} == {16}


def test_keys_do_not_depend_on_the_container(X, tmp_path):
    expected = as_images(X).row_keys()
    for kind in (
        "uint8 Fortran order", "memory-mapped", "tensor", "list of arrays",
        "list of tensors", "object array of arrays", "nested lists",
        "object array, n-dimensional",
    ):  # fmt: skip
        assert as_images(KINDS[kind](X, tmp_path)).row_keys() == expected, kind
    paths = as_paths(X, tmp_path)
    expected = as_images(paths).row_keys()
    assert as_images(np.array([str(p) for p in paths])).row_keys() == expected


def test_keys_of_strided_views(X):
    keys = as_images(X).row_keys()
    assert as_images(X[::2]).row_keys() == keys[::2]
    assert as_images(X[::-1]).row_keys() == keys[::-1]
    flipped = X[:, :, ::-1]
    assert as_images(flipped).row_keys() == as_images(flipped.copy()).row_keys()
    assert not set(as_images(flipped).row_keys()) & set(keys)


def test_shape_and_type_are_part_of_the_key():
    zeros = np.zeros((1, 12, 12, 3), np.uint8)
    variants = [
        zeros,
        zeros.reshape(1, 6, 24, 3),
        zeros.reshape(1, 9, 12, 4),
        zeros.reshape(1, 36, 12, 1),
        zeros.reshape(1, 36, 12),
        np.zeros((1, 18, 12, 1), np.uint16),
        np.zeros((1, 3, 6, 6), np.float32),
        np.zeros((1, 3, 6, 6), np.float64),
        [Image.new("RGB", (12, 12))],
        [Image.new("L", (12, 36))],
    ]
    assert len({as_images(variant).row_keys()[0] for variant in variants}) == 10


def test_everything_that_shows_is_part_of_a_pillow_key():
    palette = Image.new("P", (4, 4))
    palette.putpalette([1, 2, 3])
    other = palette.copy()
    other.putpalette([1, 2, 4])
    clear = palette.copy()
    clear.info["transparency"] = 0
    alpha = Image.new("P", (4, 4))
    alpha.putpalette([1, 2, 3, 4] * 3, "RGBA")
    opaque = Image.new("P", (4, 4))
    opaque.putpalette([1, 2, 3, 4] * 3, "RGB")
    turned = Image.new("RGB", (4, 4))
    turned.getexif()[0x0112] = 6
    images = [palette, other, clear, Image.new("RGB", (4, 4)), turned, alpha, opaque]
    images += [Image.new("RGB", (2, 8)), Image.new("L", (4, 4)), Image.new("1", (4, 4))]
    keys = as_images(images).row_keys()
    assert len(set(keys)) == len(images)
    assert as_images([image.copy() for image in images[:4]]).row_keys() == keys[:4]


def test_path_keys_follow_the_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    (tmp_path / "b.png").write_bytes(path.read_bytes())
    source = as_images([str(path)])
    key = source.row_keys()
    assert source.row_keys() == key
    monkeypatch.chdir(tmp_path)
    assert as_images(["a.png"]).row_keys() == key
    assert as_images(["./a.png"]).row_keys() == key
    assert as_images(["b.png"]).row_keys() != key
    Image.new("RGB", (4, 4), "red").save(path)
    assert source.row_keys() != key


def rewritten(path):
    time.sleep(0.05)  # within one tick of the clock nothing tells them apart
    path.write_bytes(path.read_bytes()[::-1])


def moved_over(path):
    other = path.with_name("other.png")
    other.write_bytes(path.read_bytes()[::-1])
    os.utime(other, ns=(TIME, TIME))
    os.replace(other, path)


def led_elsewhere(path):
    other = path.with_name("other.png")
    other.write_bytes(path.read_bytes()[::-1])
    os.utime(other, ns=(TIME, TIME))
    path.unlink()
    path.symlink_to(other)


@pytest.mark.parametrize("change", [rewritten, moved_over, led_elsewhere])
@pytest.mark.parametrize("container", [list, np.array])
def test_path_keys_notice_a_file_of_equal_size_and_time(tmp_path, change, container):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    os.utime(path, ns=(TIME, TIME))
    source = as_images(container([str(path)]))
    before = source.row_keys(), path.stat().st_size
    change(path)
    os.utime(path, ns=(TIME, TIME))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before[1], TIME)
    assert source.row_keys() != before[0]


def test_path_keys_are_those_that_caches_on_disk_hold(tmp_path, monkeypatch):
    path = tmp_path / "sub" / "a.png"
    path.parent.mkdir()
    Image.new("RGB", (4, 4)).save(path)
    status = os.stat(path)
    fields = status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
    key = xxh3_128_digest(f"file{fields}\0{path}".encode())
    monkeypatch.chdir(path.parent)
    for spelling in (
        path, str(path), "a.png", "./a.png", "../sub/a.png", f"{tmp_path}//sub/./a.png",
    ):  # fmt: skip
        assert as_images([spelling]).row_keys() == [key], spelling
        assert as_images(np.array([spelling], object)).row_keys() == [key], spelling
        assert as_images(np.array([str(spelling)])).row_keys() == [key], spelling


def test_relative_paths_follow_the_working_directory(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "a.png")
    source = as_images(["a.png"])
    for name in ("one", "two", "one"):
        monkeypatch.chdir(tmp_path / name)
        expected = as_images([str(tmp_path / name / "a.png")]).row_keys()
        assert source.row_keys() == expected


def test_a_file_is_looked_at_once_and_the_working_directory_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"{i}.png" for i in range(20)]
    for name in names:
        Image.new("RGB", (4, 4)).save(name)
    source = as_images(names)
    calls = Counter()

    def counted(name):
        function = getattr(os, name)

        def call(*args, **keywords):
            calls[name] += 1
            return function(*args, **keywords)

        monkeypatch.setattr(os, name, call)

    counted("stat")
    counted("getcwd")
    source.row_keys()
    monkeypatch.undo()
    assert calls == {"stat": 20, "getcwd": 1}


def test_many_paths_keep_their_order_and_their_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr("modal_pretrain.images.files._SOME", 3)
    paths = [str(tmp_path / f"{i}.png") for i in range(8)]
    for path in paths:
        Image.new("RGB", (4, 4)).save(path)
    keys = [as_images([path]).row_keys()[0] for path in paths]
    source = as_images(np.array(paths))
    assert source.row_keys() == as_images(paths).row_keys() == keys
    order = [7, 0, 0, 5, 3, 1, 2]
    assert source.take(order).row_keys() == [keys[i] for i in order]
    os.remove(paths[5])
    with pytest.raises(ImageLoadError, match=r"X\[5\] \('.*5\.png'\): no such file"):
        source.take(order).row_keys()


def test_key_of_a_missing_file(tmp_path):
    with pytest.raises(ImageLoadError, match=r"X\[1\] \('.*no\.png'\): no such file"):
        as_images([tmp_path, tmp_path / "no.png"][1:] * 2).take([1]).row_keys()


def test_keys_are_the_same_in_another_process():
    code = (
        "import numpy as np; from PIL import Image\n"
        "from modal_pretrain.images.accept import as_images\n"
        "X = np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3)\n"
        "pil = [Image.fromarray(x) for x in X]\n"
        "print([k.hex() for k in as_images(X).row_keys() + as_images(pil).row_keys()])"
    )
    said = processes.run(code)
    X = np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3)
    keys = (
        as_images(X).row_keys() + as_images([Image.fromarray(x) for x in X]).row_keys()
    )
    assert said.strip() == str([key.hex() for key in keys])


def test_hashing_is_fast():
    X = np.zeros((3000, 96, 96, 3), np.uint8)
    source = as_images(X)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        source.row_keys()
        seconds.append(time.perf_counter() - start)
    # 6 ms on a quiet machine; the margin is for busy ones.
    assert min(seconds) < 0.1


@pytest.mark.skipif(os.name == "nt", reason="there '..' is resolved in the text")
def test_pickled_paths_lead_where_they_led(tmp_path):
    (tmp_path / "disk" / "data").mkdir(parents=True)
    (tmp_path / "data").symlink_to(tmp_path / "disk" / "data")
    Image.new("RGB", (4, 4), "red").save(tmp_path / "disk" / "a.png")
    Image.new("RGB", (4, 4), "blue").save(tmp_path / "a.png")
    source = as_images([f"{tmp_path}/data/../a.png"])
    other = pickle.loads(pickle.dumps(source))
    assert (other.load(0) == source.load(0)).all()
