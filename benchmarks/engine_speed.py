"""The engines side by side: arrays, files of three sizes, texts, conversion, decoders.

    python benchmarks/engine_speed.py arrays files texts conversion decoders
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/engine_speed.py arrays --precision float32

All ways of a table run in one process, in turn, so that ratios hold on a machine whose
speed drifts. Rates are those of the quickest of `--repeat` runs, by the clock and by
the time that the processor spent on this process, which is what counts where other
programs run. The raw loop is PyTorch's as people write it well: channels last,
inference mode, bfloat16 where the hardware has it. `ONEDNN_MAX_CPU_ISA` masks
instructions in PyTorch and in OpenVINO, as on a machine without them; bfloat16 has to
be left out then, since neither notices that it is masked.
"""

import argparse
import io
import os
import platform
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from arguments import count
from embedding_speed import raw_timm, save_jpegs
from PIL import Image
from sklearn.datasets import load_sample_images

from modal_pretrain import TimmEncoder
from modal_pretrain.backbones.create import create_backbone
from modal_pretrain.backbones.device import resolve_precision
from modal_pretrain.embedding import engine, openvino
from modal_pretrain.images.accept import as_images
from modal_pretrain.images.batches import load_batches

CPU = torch.device("cpu")


def race(title, n, ways, repeat):
    """Print rows a second of each way, and their ratio to the first.

    Returns the seconds of a row, by the clock and of the processor, of each way.
    """
    for way in ways.values():
        way()
    clock = {name: [] for name in ways}
    spent = {name: [] for name in ways}
    for _ in range(repeat):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            way()
            clock[name].append(time.perf_counter() - wall)
            spent[name].append(time.process_time() - cpu)
    first = next(iter(ways))
    print(
        f"\n{title}\n\n| way | rows/s | of the first | rows/s of CPU | of the first |"
    )
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in ways:
        wall, cpu = min(clock[name]), min(spent[name])
        ratios = f"{min(clock[first]) / wall:.2f} | {n / cpu:,.0f}"
        print(
            f"| {name} | {n / wall:,.0f} | {ratios} | {min(spent[first]) / cpu:.2f} |"
        )
    return {name: (min(clock[name]) / n, min(spent[name]) / n) for name in ways}


def encoder(size, kind, precision, **params):
    made = TimmEncoder(
        image_size=size, precision=precision, engine=kind, cache=None, **params
    )
    return made.fit(np.zeros((1, size, size, 3), np.uint8))


def arrays(args):
    backbone = create_backbone().to(memory_format=torch.channels_last)
    for size, n in ((96, args.n), (224, max(args.n // 4, 8))):
        rng = np.random.default_rng(0)
        X = rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
        for precision in args.precision or dict.fromkeys((default(), "float32")):
            dtype = getattr(torch, precision)
            ways = {"raw loop": lambda X=X, d=dtype: raw_timm(backbone, X, d, CPU)}
            for kind in ("torch", "openvino"):
                made = encoder(size, kind, precision)
                ways[kind] = lambda made=made, X=X: made.transform(X)
            found = [way() for way in ways.values()]
            gap = np.abs(found[0] - found[2]).max() / np.abs(found[0]).max()
            title = (
                f"{n} arrays of {size} px, {precision}; OpenVINO differs by {gap:.1e}"
            )
            race(title, n, ways, args.repeat)


def default():
    return str(resolve_precision("auto", CPU)).removeprefix("torch.")


def photographs(folder, long_side, n):
    """Files of real photographs, brought to a size."""
    small = load_sample_images().images
    large = []
    for k in range(n):
        image = Image.fromarray(np.roll(small[k % 2], 37 * k, axis=1))
        ratio = long_side / image.width
        size = (long_side, round(image.height * ratio))
        large.append(np.asarray(image.resize(size, Image.Resampling.BICUBIC)))
    return save_jpegs(large, folder)


def files(args):
    # Of the smaller ones enough for many batches: decoding hides behind the last one.
    for long_side, size, n in ((4243, 224, 12), (500, 224, 512), (96, 96, 8 * args.n)):
        with tempfile.TemporaryDirectory() as folder:
            paths = photographs(folder, long_side, n)
            title = (
                f"{n} JPEG files, {long_side} pixels wide, at {size} px, {default()}"
            )
            overlap(race(title, n, ways_with_files(paths, size), args.repeat))


def overlap(taken):
    """Print what decoding and the engine reach together, and what they could.

    Work adds up: with d and e seconds of the processor a file, c cores do no more than
    c / (d + e) files a second, and the engine alone t / e on its t threads.
    """
    (decoding, d), (network, e) = taken["decoding alone"], taken["OpenVINO alone"]
    together, both = taken["OpenVINO, scaled"]
    cores, threads = len(os.sched_getaffinity(0)), torch.get_num_threads()
    at_best = min(1, cores / (d + e) / min(cores / d, threads / e))
    reached = max(decoding, network) / together
    print(
        f"\nOf the slower alone: {reached:.2f} by the clock; at best {at_best:.2f}, "
        f"on {cores} cores with {threads} threads of the engine. "
        f"Processor's time, of that of both alone: {both / (d + e):.2f}."
    )


def ways_with_files(paths, size):
    whole = encoder(size, "torch", default(), scaled_decoding=False)
    quick = encoder(size, "openvino", default())
    preparation = engine.preparation(quick._encoder(), "openvino")
    source = as_images(paths).scaled(True)
    X = np.concatenate([b.numpy() for b in load_batches(source, preparation, 64)])
    return {
        "PyTorch, decoded whole": lambda: whole.transform(paths),
        "OpenVINO, scaled": lambda: quick.transform(paths),
        "decoding alone": lambda: list(load_batches(source, preparation, 64)),
        "OpenVINO alone": lambda: quick.transform(X),
    }


def texts(args):
    from text_speed import plain
    from transformers import AutoModel, AutoTokenizer

    from modal_pretrain import TextEncoder
    from modal_pretrain.datasets import make_reviews
    from modal_pretrain.text.hugging_face import PACKAGED_TEXT_WEIGHTS

    rng = np.random.default_rng(0)
    reviews = make_reviews(400, random_state=0).subset("train").X.tolist()
    some = [" ".join(rng.choice(reviews, rng.integers(1, 12))) for _ in range(args.n)]
    folder = PACKAGED_TEXT_WEIGHTS["all-MiniLM-L6-v2"].path().parent
    tokens = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    dtype = getattr(torch, default())
    ways = {"transformers": lambda: plain(model, tokens, some, dtype, CPU, 64)}
    for kind in ("torch", "openvino"):
        made = TextEncoder(engine=kind, cache=None).fit(some)
        ways[kind] = lambda made=made: made.transform(some)
    words = np.mean([len(text.split()) for text in some])
    race(f"{args.n} texts of {words:.0f} words, {default()}", args.n, ways, args.repeat)


def conversion(args):
    print("\n| backbone | conversion | read from disk |\n| --- | ---: | ---: |")
    for size in (96, 224):
        with tempfile.TemporaryDirectory() as folder:
            taken = []
            for _ in range(2):
                engine._SETTLED.clear()
                openvino._NETWORKS.clear()
                made = TimmEncoder(image_size=size, engine="openvino", cache=folder)
                start, spent = time.perf_counter(), time.process_time()
                made._encoder().network()
                spent = time.process_time() - spent
                taken.append(
                    f"{time.perf_counter() - start:.1f} s ({spent:.1f} of CPU)"
                )
            print(f"| EfficientNet-Lite0, {size} px | {' | '.join(taken)} |")


def decoders(args):
    import simplejpeg

    with tempfile.TemporaryDirectory() as folder:
        for long_side in (4243, 500):
            (path,) = photographs(folder, long_side, 1)
            data = Path(path).read_bytes()

            def pillow(least=None, data=data):
                image = Image.open(io.BytesIO(data))
                if least is not None:
                    image.draft(None, least)
                np.asarray(image)

            least = (3 * 299, 3 * 224)
            scaled = {"min_width": least[0], "min_height": least[1]}
            ways = {
                "Pillow": pillow,
                "Pillow, draft": lambda p=pillow, least=least: p(least),
                "simplejpeg": lambda d=data: simplejpeg.decode_jpeg(d),
                "simplejpeg, scaled": lambda d=data, s=scaled: simplejpeg.decode_jpeg(
                    d, min_factor=1, **s
                ),
            }
            race(f"One JPEG file, {long_side} pixels wide", 1, ways, 3 * args.repeat)


TABLES = {
    "arrays": arrays,
    "files": files,
    "texts": texts,
    "conversion": conversion,
    "decoders": decoders,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="+", choices=TABLES)
    parser.add_argument(
        "--n", type=count, default=256, help="pictures of 96 px, or texts"
    )
    parser.add_argument("--repeat", type=count, default=5)
    parser.add_argument("--precision", nargs="*", help="of arrays")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", module="openvino")
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    masked = os.environ.get("ONEDNN_MAX_CPU_ISA", "all instructions")
    print(
        f"{processor()}, {torch.get_num_threads()} threads, {masked}, torch "
        f"{torch.__version__}, {openvino.version()}, {load}"
    )
    for what in args.what:
        TABLES[what](args)


def processor():
    known = Path("/proc/cpuinfo")
    if known.exists():
        for line in known.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or "CPU"


if __name__ == "__main__":
    main()
