"""What decoding makes of pictures, beside the number that goes up when it changes."""

import io

import numpy as np
from PIL import Image, TiffImagePlugin
from xxhash import xxh3_64_hexdigest

from modal_pretrain.embedding.encoder import _VERSIONS
from modal_pretrain.images.accept import as_images

# If this fails, embeddings that are kept on disk are those of other pixels: raise the
# number in `_VERSIONS`, and write it here with the hash that came.
NUMBER, PIXELS = "3", "2eb167c00b3f5448"
RAMP = np.arange(6 * 8, dtype=np.int64).reshape(6, 8)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(image, **tags):
    names = {"photometric": 262, "orientation": 274}
    ifd = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in tags.items():
        ifd[names[name]] = value
    return encoded(image, "TIFF", tiffinfo=ifd)


def files():
    grey = Image.fromarray((RAMP * 5).astype(np.uint8))
    deep = Image.fromarray((RAMP * 1300).astype(np.uint16))
    real = Image.fromarray((RAMP / 47).astype(np.float32))
    rgb = Image.merge("RGB", (grey, grey.transpose(0), grey.transpose(1)))
    clear = rgb.copy()
    clear.putalpha(grey)
    palette = Image.fromarray((RAMP % 16).astype(np.uint8)).convert("P")
    palette.putpalette([value * 5 for value in range(48)])
    turned = Image.Exif()
    turned[274] = 6
    return [
        *(encoded(each, "PNG") for each in (grey, deep, rgb, clear, palette)),
        encoded(clear.convert("LA"), "PNG"),
        encoded(grey.convert("1"), "PNG"),
        encoded(rgb, "PNG", exif=turned),
        encoded(rgb, "PNG", transparency=rgb.getpixel((3, 2))),
        encoded(grey, "PNG", transparency=40),
        encoded(palette, "PNG", transparency=3),
        encoded(palette, "PNG", transparency=bytes(range(0, 256, 16))),
        encoded(palette, "GIF", transparency=3),
        *(tiff(each) for each in (deep, real, rgb.convert("CMYK"))),
        *(tiff(each, photometric=0) for each in (grey, deep, real)),
        *(tiff(each, orientation=6) for each in (rgb, deep)),
    ]


def test_number_goes_up_with_what_decoding_makes(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(len(files()))]
    for path, content in zip(paths, files(), strict=True):
        path.write_bytes(content)
    deep, real = (RAMP * 1300).astype(np.uint16), (RAMP / 47).astype(np.float32)
    rgba = np.stack([RAMP * 5, RAMP, RAMP * 2, RAMP * 5], axis=-1).astype(np.uint8)
    opened = [Image.open(io.BytesIO(content)) for content in files()]
    sources = [paths, opened, deep[None], real[None, None]]
    made = [
        as_images(X).load(row) for X in [*sources, rgba[None]] for row in range(len(X))
    ]
    pixels = xxh3_64_hexdigest(np.concatenate([each.ravel() for each in made]))
    assert (_VERSIONS.split()[0], pixels) == (NUMBER, PIXELS)
