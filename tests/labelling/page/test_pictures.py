"""Pictures as the page shows them."""

import io
import json

import numpy as np
from PIL import Image


def picture(page, row, size=1280):
    status, headers, content = page.send("GET", f"picture/{size}/{row}")
    return status, headers, content


def test_pictures_are_scaled_and_upright(folder, start, serve):
    big = Image.fromarray(
        np.linspace(0, 255, 4000 * 3000).astype(np.uint8).reshape(3000, 4000)
    ).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    big.save(folder / "000.png.jpg", quality=95, exif=exif)
    small = Image.open(folder / "001.png")
    page = serve(start(folder))
    asked = page.get("api/state?n=81")[1]["questions"]
    rows = {question["name"]: question["row"] for question in asked}
    status, headers, content = picture(page, rows["000.png.jpg"])
    shown = Image.open(io.BytesIO(content))
    assert status == 200 and shown.size == (960, 1280)
    assert headers["content-type"] == "image/jpeg" and len(content) < 300_000
    assert "max-age" in headers["cache-control"]
    tile = Image.open(io.BytesIO(picture(page, rows["000.png.jpg"], 320)[2]))
    assert tile.size == (240, 320)
    # Little ones come pixel by pixel.
    same = Image.open(io.BytesIO(picture(page, rows["001.png"])[2]))
    assert np.array_equal(np.asarray(same), np.asarray(small))


def test_pictures_that_do_not_decode(folder, start, serve, monkeypatch):
    bomb = Image.new("1", (20_000, 10_000))
    bomb.save(folder / "000.png")
    (folder / "001.png").write_bytes(b"<svg onload=alert(1)>")
    data = (folder / "002.png").read_bytes()
    (folder / "002.png").write_bytes(data[: len(data) // 2])
    (folder / "003.png").unlink()
    (folder / "003.png").symlink_to(folder / "absent.png")
    # Before the model comes upon them.
    monkeypatch.setattr("modal_pretrain.labelling.background._BLOCK", 0)
    session = start(folder)
    page = serve(session)
    names = {q["name"]: q["row"] for q in page.get("api/state?n=80")[1]["questions"]}
    bad = [names[f"{k:03}.png"] for k in range(3)]
    for row, words in zip(
        bad, ("suspiciously large", "not a picture", ""), strict=True
    ):
        status, _, content = picture(page, row)
        assert status == 422 and words in json.loads(content)["error"]
    state = page.get("api/state?n=80")[1]
    assert {q["row"] for q in state["questions"]}.isdisjoint(bad)
    assert state["progress"]["unreadable"] == 3


def test_a_picture_that_changed_is_shown_as_it_is(folder, start, serve):
    page = serve(start(folder))

    def asked():
        found = page.get("api/state?n=80")[1]["questions"]
        return {question["name"]: question for question in found}

    before = asked()
    row = before["000.png"]["row"]
    picture(page, row)
    Image.new("RGB", (20, 20), "red").save(folder / "000.png")
    after = asked()
    # The browser keeps pictures, too, under their addresses.
    assert [name for name in after if after[name] != before[name]] == ["000.png"]
    shown = Image.open(io.BytesIO(picture(page, row)[2]))
    assert np.array_equal(np.asarray(shown), np.full((20, 20, 3), [255, 0, 0]))
