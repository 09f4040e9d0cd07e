"""The downloadable datasets: contents, URLs and checksums.

Checksums are SHA-256 wherever one is known. Those of Fashion-MNIST are in Keras' `datasets/fashion_mnist.py`; those of
MNIST, KMNIST and CIFAR in torchvision's prototype datasets or the packages of other languages (MLDatasets.jl, gomlx,
torchvision-ruby), which agree with one another. Of EMNIST only torchvision's MD5 is known. CIFAR comes as its binary
archives: the Python ones are pickles.
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Remote:
    """A file to download: its name, bytes, checksum ("sha256:…" or "md5:…"), and the folders that have it, in order."""

    name: str
    size: int
    checksum: str
    mirrors: tuple[str, ...]


@dataclass(frozen=True)
class Idx:
    """Each split as two gzipped idx files, images and labels: downloaded as they are, or members of one zip file.

    `upright` is False where rows and columns of the images have changed places.
    """

    members: Mapping[str, tuple[str, str]]
    upright: bool = True


@dataclass(frozen=True)
class Records:
    """Each split as members of one tar file, each so many records: `label_bytes` bytes, the last of which is the class,
    then one plane of bytes for each channel.
    """

    members: Mapping[str, tuple[str, ...]]
    label_bytes: int


@dataclass(frozen=True)
class Known:
    """A dataset that can be downloaded. `input_shape` is (H, W, C); `samples` has the number of images by split."""

    name: str
    about: str
    home: str
    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    samples: Mapping[str, int]
    files: tuple[Remote, ...]
    contents: Idx | Records

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(file.size for file in self.files)


def _like_mnist(
    name: str,
    about: str,
    home: str,
    *,
    classes: tuple[str, ...],
    mirrors: tuple[str, ...],
    files: dict[str, tuple[int, str]],
) -> Known:
    """A drop-in replacement for MNIST: the same files and numbers of images."""
    members = {
        split: (f"{prefix}-images-idx3-ubyte.gz", f"{prefix}-labels-idx1-ubyte.gz")
        for split, prefix in (("train", "train"), ("test", "t10k"))
    }
    remotes = tuple(
        Remote(f"{file}-ubyte.gz", size, f"sha256:{digest}", mirrors) for file, (size, digest) in files.items()
    )
    return Known(name, about, home, (28, 28, 1), classes, {"train": 60_000, "test": 10_000}, remotes, Idx(members))


def _cifar(name: str, classes: tuple[str, ...], file: tuple[str, int, str], records: Records) -> Known:
    mirrors = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
    return Known(
        name,
        f"color photographs of {len(classes)} classes",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        (32, 32, 3),
        classes,
        {"train": 50_000, "test": 10_000},
        (Remote(file[0], file[1], f"sha256:{file[2]}", mirrors),),
        records,
    )


MNIST = _like_mnist(
    "mnist",
    "handwritten digits",
    "http://yann.lecun.com/exdb/mnist/",
    classes=tuple(string.digits),
    mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    files={
        "train-images-idx3": (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        "train-labels-idx1": (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        "t10k-images-idx3": (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        "t10k-labels-idx1": (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    },
)
FASHION_MNIST = _like_mnist(
    "fashion_mnist",
    "images of clothes, a drop-in replacement for MNIST",
    "https://github.com/zalandoresearch/fashion-mnist",
    classes=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    mirrors=(
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    files={
        "train-images-idx3": (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        "train-labels-idx1": (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        "t10k-images-idx3": (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        "t10k-labels-idx1": (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    },
)
KMNIST = _like_mnist(
    "kmnist",
    "ten cursive Japanese characters (Kuzushiji), a drop-in replacement for MNIST",
    "https://github.com/rois-codh/kmnist",
    classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    mirrors=("https://codh.rois.ac.jp/kmnist/dataset/kmnist/", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"),
    files={
        "train-images-idx3": (18_165_135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
        "train-labels-idx1": (29_497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
        "t10k-images-idx3": (3_041_136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
        "t10k-labels-idx1": (5_120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
    },
)
EMNIST = Known(
    "emnist",
    "handwritten digits and letters (balanced split)",
    "https://www.nist.gov/itl/products-and-services/emnist-dataset",
    (28, 28, 1),
    # Of the letters whose two cases look alike there is one class, called by the upper case.
    (*string.digits, *string.ascii_uppercase, *"abdefghnqrt"),
    {"train": 112_800, "test": 18_800},
    (
        Remote(
            "gzip.zip",
            561_753_746,
            "md5:58c8d27c78d21e728a6bc7b3cc06412e",
            ("https://biometrics.nist.gov/cs_links/EMNIST/", "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/"),
        ),
    ),
    Idx(
        {
            split: (
                f"gzip/emnist-balanced-{split}-images-idx3-ubyte.gz",
                f"gzip/emnist-balanced-{split}-labels-idx1-ubyte.gz",
            )
            for split in ("train", "test")
        },
        upright=False,
    ),
)
CIFAR10 = _cifar(
    "cifar10",
    ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ("cifar-10-binary.tar.gz", 170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
    Records(
        {
            "train": tuple(f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)),
            "test": ("cifar-10-batches-bin/test_batch.bin",),
        },
        label_bytes=1,
    ),
)
CIFAR100_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
CIFAR100 = _cifar(
    "cifar100",
    tuple(CIFAR100_CLASSES.split()),
    ("cifar-100-binary.tar.gz", 168_513_733, "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"),
    Records({"train": ("cifar-100-binary/train.bin",), "test": ("cifar-100-binary/test.bin",)}, label_bytes=2),
)
KNOWN = {known.name: known for known in (MNIST, FASHION_MNIST, KMNIST, EMNIST, CIFAR10, CIFAR100)}
"""The datasets by name."""
