"""Data sets with a name: digits (shipped inside scikit-learn), MNIST and Fashion-MNIST (on disk, or downloaded)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import urllib.request
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from verax.data._batch import Examples
from verax.data._idx import idx_contents
from verax.data._reader import Contents, Reader, as_leaf
from verax.data._source import Source
from verax.data._steps import scale_uint8
from verax.findings import InputError

_DIGIT_NAMES = tuple(map(str, range(10)))
_FASHION_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_TIMEOUT_SECONDS = 30.0


def digits() -> Source:
    """Returns 1,797 handwritten digits, 8x8 pixels of 0..16, ten classes; no file and no network is needed.

    They come from scikit-learn (UCI "Optical Recognition of Handwritten Digits", Alpaydin and Kaynak 1998) as uint8
    images, and are brought to `[0, 1]` for the network by a step of preprocessing, which `.preprocess(...)` replaces.
    """
    return Source("digits", Digits(), steps=(scale_uint8(16),))


def mnist() -> Source:
    """Returns MNIST: 60,000 + 10,000 handwritten digits, 28x28 uint8, ten classes (LeCun, Cortes, Burges 1998).

    The four files are looked for in the folder that the environment variable `VERAX_DATA` names (and in `mnist` below
    it), then in Verax's cache, and else downloaded into the cache. Their SHA-256 is checked. The network sees `[0, 1]`,
    by a step of preprocessing that `.preprocess(...)` replaces.
    """
    return Source("mnist", MNIST, steps=(scale_uint8(),))


def fashion_mnist() -> Source:
    """Returns Fashion-MNIST: 60,000 + 10,000 pictures of clothes, 28x28 uint8, ten classes (Xiao et al. 2017).

    Found, downloaded and prepared as `mnist`; its folder is `fashion_mnist`.
    """
    return Source("fashion_mnist", FASHION_MNIST, steps=(scale_uint8(),))


@dataclass(frozen=True)
class Digits(Reader):
    """The digits of scikit-learn, which never change."""

    def stamp(self) -> Hashable:
        return "digits"

    def read(self) -> Contents:
        from sklearn.datasets import load_digits

        loaded = load_digits()
        images = as_leaf(np.asarray(loaded.images).astype(np.uint8))
        return Contents(
            {"train": Examples(images, as_leaf(np.asarray(loaded.target, np.int32)))},
            _DIGIT_NAMES,
            kind="image",
            target="digit",
        )


@dataclass(frozen=True)
class KnownFiles(Reader):
    """Four IDX files with known contents.

    Attributes:
      folder: the folder they are in, below `VERAX_DATA` or the cache.
      url: the address of the folder they are downloaded from.
      digests: file name and SHA-256: train images, train labels, test images, test labels.
      classes: names of the classes.
    """

    folder: str
    url: str
    digests: tuple[tuple[str, str], ...]
    classes: tuple[str, ...]

    def stamp(self) -> Hashable:
        return os.environ.get("VERAX_DATA"), str(self.cache())  # contents are known by their digests

    def read(self) -> Contents:
        files = {name: self.found(name, digest) for name, digest in self.digests}
        missing = [name for name, path in files.items() if path is None]
        return idx_contents([path or self.download(name, missing) for name, path in files.items()], self.classes)

    def cache(self) -> Path:
        """Returns the folder that downloads go to."""
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "verax" / "data" / self.folder

    def found(self, name: str, digest: str) -> Path | None:
        """Returns where a file is on disk, or None.

        Raises:
          InputError: if it is in a folder of this data set but has other contents.
        """
        given = os.environ.get("VERAX_DATA")
        own = [Path(given).expanduser() / self.folder] if given else []
        for path in [folder / name for folder in [*own, self.cache()]]:
            if path.is_file():
                if (found := _sha256(path)) != digest:
                    raise InputError(
                        f"{path} must have SHA-256 {digest}, found {found} ({path.stat().st_size:,} bytes). Delete it "
                        "or put the right file there."
                    )
                return path
        # Directly in VERAX_DATA such a file may belong to the sister set, whose files have the same names.
        path = Path(given).expanduser() / name if given else None
        return path if path is not None and path.is_file() and _sha256(path) == digest else None

    def download(self, name: str, missing: Sequence[str]) -> Path:
        """Returns where a file is in the cache, after putting it there, whole or not at all.

        Raises:
          InputError: if it cannot be had, naming all missing files and the folder to put them into.
        """
        cache, digest = self.cache(), dict(self.digests)[name]
        try:
            with urllib.request.urlopen(self.url + name, timeout=_TIMEOUT_SECONDS) as response:
                content = response.read()
        except (OSError, ValueError) as error:  # URLError, timeouts and refused connections are OSErrors
            where = os.environ.get("VERAX_DATA")
            folder = Path(where).expanduser() / self.folder if where else cache
            files = "\n".join(f"  {self.url}{file}" for file in missing)
            raise InputError(
                f"{self.folder} needs {len(missing)} files that are not on this machine, and downloading failed "
                f"({error}). Put these files into {folder}:\n{files}\n"
                f"Or set VERAX_DATA to a folder that has them in {self.folder}/."
            ) from error
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            raise InputError(
                f"{self.url}{name} must have SHA-256 {digest}, but the download ({len(content):,} bytes) has {found}. "
                "Nothing was kept; try again."
            )
        write_atomically(cache / name, content)
        return cache / name


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# The digests are those of the published files (their published MD5 agree).
MNIST = KnownFiles(
    "mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    (
        ("train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        ("train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        ("t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        ("t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ),
    _DIGIT_NAMES,
)
FASHION_MNIST = KnownFiles(
    "fashion_mnist",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    (
        ("train-images-idx3-ubyte.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        ("train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        ("t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        ("t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
    _FASHION_NAMES,
)
