"""The committed records: one archive per study, unpacked where they are read.

    tar -xzf benchmarks/results/roadwater.tar.gz -C results     # to look at them
    python benchmarks/records.py results/roadwater              # to commit them

The second line packs the folder that `modal-pretrain bench` was given as ``--out`` into
``benchmarks/results/roadwater.tar.gz``, without reports and pictures. The same records
give the same archive: names in order, no times, no owners.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from arguments import existing_folder

RESULTS = Path(__file__).parent / "results"
KINDS = ("config.json", "data.json", "probes.json", "records", "timings", "runs")


def studies() -> list[str]:
    """List the studies whose records are here."""
    found = RESULTS.glob("*.tar.gz")
    return sorted(path.name.removesuffix(".tar.gz") for path in found)


@contextlib.contextmanager
def unpacked(study: str) -> Iterator[Path]:
    """Unpack a study into a folder that is gone afterwards.

    Parameters
    ----------
    study : str

    Yields
    ------
    Path
        The folder of records, as `modal-pretrain report` takes it.
    """
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(RESULTS / f"{study}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder) / study


def pack(folder: Path) -> bytes:
    """Return the archive of a study's folder.

    Parameters
    ----------
    folder : Path
        Its name is the study's; it holds a folder for each configuration.

    Returns
    -------
    bytes
    """
    kept = [
        path for kind in KINDS for path in folder.glob(f"*/{kind}") if path.is_file()
    ]
    kept += [path for kind in KINDS for path in folder.glob(f"*/{kind}/*")]
    if not kept:
        raise SystemExit(f"{folder} holds no records.")
    packed = io.BytesIO()
    # Without a name and a time in gzip's header, which would differ from run to run.
    with (
        gzip.GzipFile("", "wb", mtime=0, fileobj=packed) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for path in sorted(kept, key=lambda path: path.as_posix()):
            content = path.read_bytes()
            name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
            member = tarfile.TarInfo(name)  # no owner, no time
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "folder", type=existing_folder, help="what bench was given as --out"
    )
    folder = parser.parse_args().folder.resolve()
    target = RESULTS / f"{folder.name}.tar.gz"
    target.write_bytes(pack(folder))
    print(target)


if __name__ == "__main__":
    main()
