"""The course's data sets. The small ones need no network; the large ones are downloaded once and verified.

Images are uint8 tensors (n, channels, height, width), labels int64 tensors (n,). Points are float tensors (n, 2).
`python -m gentools data` lists the sets and where each was found (`lab.download` says where it looks).
"""

import argparse
import gzip
import math
import struct
import tarfile
import zlib
from dataclasses import dataclass
from importlib import resources

import numpy as np
import torch

from gentools.lab.download import DataError, File, fetch, find
from gentools.lab.pictures import images
from gentools.lab.randomness import generator

__all__ = [
    "GRID_STD",
    "RING_STD",
    "DataError",
    "cifar10",
    "command",
    "digits",
    "fashion_mnist",
    "grid",
    "grid_centers",
    "images",
    "mnist",
    "old_faithful",
    "ring",
    "ring_centers",
    "status",
]

GRID_STD = 0.05
RING_STD = 0.02


# Points


def grid_centers():
    """The 25 centers {-4, -2, 0, 2, 4}^2, shape (25, 2)."""
    side = torch.tensor([-4.0, -2.0, 0.0, 2.0, 4.0])
    return torch.cartesian_prod(side, side)


def ring_centers():
    """Eight centers on the circle of radius 2, shape (8, 2); the first is (2, 0), and no two coincide."""
    angle = 2 * math.pi * torch.arange(8) / 8
    return 2 * torch.stack([angle.cos(), angle.sin()], dim=1)


def grid(n, seed):
    """n points from 25 equal Gaussians (`grid_centers`, std 0.05): x float32 (n, 2) and component int64 (n,).

    The set of the ALI paper's toy experiment (Dumoulin et al. 2016, arXiv:1606.00704). ValueError if n < 1.
    """
    return _mixture(n, grid_centers(), GRID_STD, generator(seed, "grid"))


def ring(n, seed):
    """n points from eight equal Gaussians (`ring_centers`, std 0.02): x float32 (n, 2) and component int64 (n,).

    ValueError if n < 1.
    """
    return _mixture(n, ring_centers(), RING_STD, generator(seed, "ring"))


def _mixture(n, centers, std, rng):
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"n must be a whole number of points, at least 1, not {n!r}")
    component = torch.randint(len(centers), (n,), generator=rng)
    return centers[component] + std * torch.randn(n, 2, generator=rng), component


def old_faithful():
    """272 eruptions of the geyser, float64 (272, 2): length and waiting time to the next one, in minutes.

    The table that R calls faithful; the source that R names is Härdle 1991, Smoothing Techniques with Implementation in S.
    """
    text = resources.files("gentools.lab").joinpath("old_faithful.csv").read_text()
    rows = [line for line in text.splitlines() if line[0].isdigit()]
    return torch.from_numpy(np.loadtxt(rows, delimiter=","))


# Images


def digits():
    """1,797 scans of handwritten digits: images uint8 (1797, 1, 8, 8), their 17 gray levels spread over 0..255; labels.

    Alpaydin and Kaynak 1998, UCI repository; the copy inside scikit-learn.
    """
    from sklearn.datasets import load_digits

    scans = load_digits()
    gray = (torch.from_numpy(scans.images) * 255 / 16).round().to(torch.uint8)
    return gray[:, None], torch.from_numpy(scans.target).long()


def mnist(split):
    """Handwritten digits: images uint8 (n, 1, 28, 28), labels (n,); n is 60,000 for "train", 10,000 for "test".

    LeCun, Cortes and Burges 1998. ValueError for another split, DataError if the files cannot be had.
    """
    return _mnist("mnist", split)


def fashion_mnist(split):
    """Pictures of clothes, with MNIST's sizes (see `mnist`). Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747."""
    return _mnist("fashion_mnist", split)


def cifar10(split):
    """Photographs of ten kinds of things: images uint8 (n, 3, 32, 32), labels (n,); n is 50,000 or 10,000.

    Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images. Errors as in `mnist`.
    """
    _check(split)
    names = ["test_batch.bin"] if split == "test" else [f"data_batch_{i}.bin" for i in range(1, 6)]
    return _read_cifar(fetch(SETS["cifar10"].files[0]), names)


def _check(split):
    if split not in ("train", "test"):
        raise ValueError(f'split must be "train" or "test", not {split!r}')


def _mnist(name, split):
    _check(split)
    first = 0 if split == "train" else 2
    pictures, labels = map(fetch, SETS[name].files[first : first + 2])
    n = 60_000 if split == "train" else 10_000
    return _read_idx(pictures, (n, 28, 28))[:, None], _labels(labels, _read_idx(labels, (n,)))


def _labels(path, labels):
    if labels.max() > 9:
        raise DataError(f"{path} holds the label {int(labels.max())}; ten classes are numbered 0 to 9")
    return labels.long()


def _read_idx(path, shape):
    """A gzipped IDX file of bytes that must have this shape. At most one byte too many is ever decompressed."""
    header = struct.pack(f">{1 + len(shape)}I", 0x0800 + len(shape), *shape)
    length = len(header) + math.prod(shape)
    try:
        with gzip.open(path) as stream:
            raw = stream.read(length + 1)  # reading to the end also checks gzip's own sum
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file ({error}); delete it and download it again") from error
    if len(raw) != length or not raw.startswith(header):
        raise DataError(f"{path} is not an IDX file of shape {shape}; delete it and download it again")
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8, offset=len(header)).reshape(shape)


def _read_cifar(path, names, rows=10_000):
    """CIFAR-10's binary batches, read inside the archive: each row is a label and 3 x 32 x 32 bytes."""
    batches = []
    try:
        with tarfile.open(path, "r:gz") as archive:
            for name in names:
                member = archive.getmember(f"cifar-10-batches-bin/{name}")
                if not member.isreg() or member.size != rows * 3073:
                    raise DataError(f"{path}: {name} is not a file of {rows} pictures")
                batches.append(np.frombuffer(archive.extractfile(member).read(), np.uint8).reshape(rows, 3073))
    except (tarfile.TarError, OSError, EOFError, KeyError, zlib.error) as error:
        raise DataError(
            f"{path} is not the CIFAR-10 binary archive ({error}); delete it and download it again"
        ) from error
    table = torch.from_numpy(np.concatenate(batches))
    return table[:, 1:].reshape(-1, 3, 32, 32), _labels(path, table[:, 0])


# Where the large sets come from. The digests of MNIST and Fashion-MNIST were computed from files that have the published
# md5 sums; that of CIFAR-10 is TensorFlow Datasets' (its page gives only the md5 c32a1d4ab5d03f1284b67883e8d87530).


@dataclass(frozen=True)
class Set:
    what: str
    files: tuple[File, ...] = ()
    home: str = ""  # what holds it when no file is needed


def _idx_files(folder, mirrors, *pins):
    names = [f"{split}-{kind}-ubyte.gz" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    return tuple(File(f"{folder}/{name}", *pin, mirrors) for name, pin in zip(names, pins, strict=True))


MNIST = _idx_files(
    "mnist",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://raw.githubusercontent.com/fgnt/mnist/master/",
    ),
    (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
)
FASHION_MNIST = _idx_files(
    "fashion-mnist",
    (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/dataset/fashion-mnist/",
    ),
    (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
)
CIFAR10 = File(
    "cifar10/cifar-10-binary.tar.gz",
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    (
        "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
        "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/",
        "https://www.cs.toronto.edu/~kriz/",  # the author's page, slow since June 2026
    ),
)
SETS = {
    "digits": Set("1,797 gray images 8x8", home="embedded (scikit-learn)"),
    "grid, ring": Set("points from 25 or 8 Gaussians", home="generated"),
    "old_faithful": Set("272 eruptions", home="embedded"),
    "mnist": Set("70,000 gray images 28x28", MNIST),
    "fashion_mnist": Set("70,000 gray images 28x28", FASHION_MNIST),
    "cifar10": Set("60,000 color images 32x32", (CIFAR10,)),
}


def status(name):
    """Where a data set is: embedded, generated, GENTOOLS_DATA, cache, "not yet", or "wrong bytes"."""
    if not SETS[name].files:
        return SETS[name].home
    try:
        places = {place[0] if (place := find(file)) else "not yet" for file in SETS[name].files}
    except DataError as error:
        return "wrong bytes: " + str(error).splitlines()[0]
    return "not yet" if "not yet" in places else " and ".join(sorted(places))


def command(argv):
    """`python -m gentools data`: list the data sets and where each was found. `data fetch NAME ...` downloads. 0 if well."""
    large = [name for name in SETS if SETS[name].files]
    parser = argparse.ArgumentParser(prog="python -m gentools data", description="List or download the data sets.")
    actions = parser.add_subparsers(dest="action")
    actions.add_parser("fetch", help="download data sets").add_argument("name", nargs="+", choices=large)
    args = parser.parse_args(argv)
    for name in SETS if args.action is None else args.name:
        try:
            for file in SETS[name].files if args.action else ():
                fetch(file)
        except DataError as error:
            print(f"{name}: {error}")
            return 1
        size = sum(file.size for file in SETS[name].files) / 1e6
        print(f"{name:14} {SETS[name].what:30} {f'{size:.0f} MB' if size else '':>7}  {status(name)}")
    return 0
