"""The reader's own pictures as one uint8 tensor: from a folder, a zip file or an npz file.

Nothing is unpacked to disk, so there is nothing to clean up. An archive from the internet is not trusted: its list of
contents is checked before anything is read, and sizes are checked before anything is decompressed.
"""

import io
import math
import os
import stat
import struct
import warnings
import zipfile
import zlib
from collections import Counter
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from gentools.lab.download import DataError, data_folder
from gentools.lab.files import spelled_out

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
UNREAD = (".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".psd", ".dng", ".cr2", ".nef", ".arw")  # counted and said
LITTER = ("__MACOSX", "@eaDir")  # what macOS and storage servers add; Jupyter's .ipynb_checkpoints is hidden
TURNS = ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # the decoders that PIL may use
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")  # 8 bits or fewer
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, NotImplementedError)  # in a zip
MAX_PIXELS = 50_000_000  # of one picture
MAX_BYTES = 4 * 2**30  # of all pictures together, decompressed


def images(path, size=None, key=None):
    """Pictures as a uint8 tensor (n, c, h, w), c = 1 if all are gray, otherwise 3, in the order of their names.

    Pictures are as a viewer shows them: turned as their EXIF says, transparent ones laid over white. One with a palette
    of grays is gray.

    path: a folder (with its subfolders, linked ones too, each once) or a .zip of pictures, or an .npz with a uint8 array
        (n, h, w), (n, h, w, c) or (n, c, h, w). Other files and all that is hidden, at any depth, is passed over; a
        warning counts pictures of kinds that cannot be read (such as .heic). A relative path that does not exist is
        looked for in the folder named by GENTOOLS_DATA.
    size: crop each picture at its center to a square and resize it to size x size. Without it all must have one size.
    key: the array to take from an .npz that holds several.

    Warns if every pixel is 0 or 1, as in a mask that was not spread over 0 to 255.
    Raises FileNotFoundError, ValueError for an argument that makes no sense, and DataError for contents that are
    damaged, mixed in size, too large, or not pictures.
    """
    if size is not None and not (isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= MAX_PIXELS**0.5):
        raise ValueError(f"size must be a whole number of pixels such as 64, not {size!r}")
    spelled_out(path=path)
    path = located(Path(path))
    kind = path.suffix.lower()
    if key is not None and kind != ".npz":
        raise ValueError(f"key names an array of an .npz file; {path} is none")
    if path.is_dir():
        files = ((file.relative_to(path).as_posix(), file.open) for file in _files(path))
        return _noticed(path, _stack(path, files, size))
    if kind == ".zip":
        with _archive(path) as archive:  # a member is read whole, for only its end shows whether its sum is right
            files = ((m.filename, lambda _, m=m: io.BytesIO(archive.read(m))) for m in archive.infolist())
            return _noticed(path, _stack(path, files, size))
    if kind == ".npz":
        return _noticed(path, _resize(path, _array(path, key), size))
    raise ValueError(f"{path} is neither a folder nor a .zip or .npz file")


def _files(folder):
    """Every file below a folder that is not hidden, links followed: each folder once, under its own name if it has one."""
    seen, waiting, found = set(), [folder], []
    while waiting:
        place = waiting.pop(0)
        if (real := os.path.realpath(place)) in seen:
            continue
        seen.add(real)
        for entry in sorted(place.iterdir()):
            if _hidden(entry.name):
                continue
            if entry.is_dir():
                waiting.insert(len(waiting) if entry.is_symlink() else 0, entry)  # linked ones last
            elif entry.is_file():
                found.append(entry)
    return found


def _hidden(name):
    """Whether any part of a path is hidden or litter; archives made on Windows may separate the parts by backslashes."""
    parts = name.replace("\\", "/").split("/")
    return any((part.startswith(".") and part != ".") or part in LITTER for part in parts)


def _noticed(path, pictures):
    if pictures.max() == 1:
        warnings.warn(
            f"every pixel in {path} is 0 or 1 of 255, so all look black; if these are masks, multiply them by 255",
            stacklevel=3,
        )
    return pictures


def located(path):
    """An existing path: as it is, or below the folder named by GENTOOLS_DATA. Raises FileNotFoundError."""
    folder = data_folder()
    places = [path, folder / path] if folder else [path]
    for place in places:
        if place.exists():
            return place
    raise FileNotFoundError(f"there is no file or folder {' or '.join(map(str, places))}")


@contextmanager
def _archive(path):
    """An open zip file with a harmless list of contents."""
    with open(path, "rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                _check_list(path, archive.infolist())
                yield archive
        except DAMAGE as error:
            stream.seek(0)
            page = stream.read(512).lstrip().startswith(b"<")
            what = "is a web page (a quota or sign-in notice?), not an archive" if page else f"is damaged ({error})"
            raise DataError(f"{path} {what}; download it again") from error


def _check_list(path, members):
    for member in members:
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or name[1:2] == ":" or ".." in PurePosixPath(name).parts:
            raise DataError(f"{path} holds {member.filename!r}, a path that leads out of the archive; refused")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(f"{path} holds {member.filename!r}, a symbolic link; refused")
    if (total := sum(member.file_size for member in members)) > MAX_BYTES:
        raise DataError(f"{path} would unpack to {total:,} bytes; the limit is {MAX_BYTES:,}")


def _stack(path, files, size):
    """One tensor from pairs of a name and a function that opens that file."""
    shown = [(name, opened) for name, opened in files if not _hidden(name)]
    files = sorted(((n, opened) for n, opened in shown if n.lower().endswith(SUFFIXES)), key=lambda file: file[0])
    other = Counter(kind for n, _ in shown for kind in UNREAD if n.lower().endswith(kind))
    unread = ", ".join(f"{n} {kind}" for kind, n in other.items())
    if not files:
        raise DataError(
            f"{path} holds no pictures (files ending in {', '.join(SUFFIXES)})"
            + (f", only kinds that cannot be read here: {unread}; convert them to PNG or JPEG" if unread else "")
        )
    if unread:
        warnings.warn(f"{path}: passed over {unread}, which cannot be read here; convert to PNG or JPEG", stacklevel=3)
    pictures = []
    for name, opened in files:
        picture = _decode(f"{name} in {path}", opened, size)
        if size is None and pictures and picture.shape[:2] != pictures[0].shape[:2]:
            (h, w), (h0, w0) = picture.shape[:2], pictures[0].shape[:2]
            raise DataError(f"{path}: {name} is {w}x{h}, {files[0][0]} is {w0}x{h0}; give size= to make them equal")
        pictures.append(picture)
        _check_total(path, len(pictures) * pictures[0].nbytes)
    return _pile(path, pictures)


def _check_total(path, total):
    if total > MAX_BYTES:
        raise DataError(f"the pictures in {path} take more than {MAX_BYTES:,} bytes; use fewer, or a smaller size=")


def _pile(path, pictures):
    """Arrays (h, w) and (h, w, 3) as one tensor (n, c, h, w); gray ones among colored ones get three equal channels."""
    channels = 3 if any(picture.ndim == 3 for picture in pictures) else 1
    shape = (len(pictures), channels, *pictures[0].shape[:2])
    _check_total(path, math.prod(shape))
    pile = np.empty(shape, np.uint8)
    for row, picture in zip(pile, pictures):
        row[:] = picture if picture.ndim == 2 else picture.transpose(2, 0, 1)
    return torch.from_numpy(pile)


def _decode(where, opened, size):
    """One picture as an array (h, w) or (h, w, 3); the size is known, and checked, before a pixel is decoded."""
    from PIL import Image

    try:
        with warnings.catch_warnings(), opened("rb") as stream:
            warnings.simplefilter("ignore")  # decoders' remarks name no file, and our own limit is the lower one
            with Image.open(stream, formats=FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise DataError(f"{where} has {picture.width}x{picture.height} pixels; the limit is {MAX_PIXELS:,}")
                if picture.format == "TIFF" and picture.n_frames > 1:
                    raise DataError(f"{where} holds {picture.n_frames} pictures; save each as a file of its own")
                if picture.mode not in MODES:
                    raise DataError(f"{where} has pixels of kind {picture.mode!r}; convert it to 8 bits per channel")
                picture = _as_seen(picture)
                return np.asarray(picture if size is None else _fit(picture, size))
    except (DataError, zipfile.BadZipFile):
        raise
    except Exception as error:  # decoders fail in many ways: OSError, SyntaxError, struct.error, zlib.error, ...
        raise DataError(f"{where} cannot be read as a picture ({error}); replace or remove it") from error


def _as_seen(picture):
    """The picture in mode "L" or "RGB" as a viewer shows it: upright, without palette, over white where transparent."""
    from PIL import Image

    picture.load()  # first: TIFF files are turned while they load
    try:
        turn = picture.getexif().get(0x0112, 1)  # EXIF 2.32, tag Orientation: 1 upright, 2 to 8 the TURNS
    except Exception:  # a damaged EXIF block says nothing, and viewers show such a picture as it is stored
        turn = 1
    if turn in range(2, 9):
        picture = picture.transpose(Image.Transpose[TURNS[turn - 2]])
    gray = picture.mode in ("1", "L", "LA")
    palette = picture.mode in ("P", "PA")
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    if palette:
        red, green, blue = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
        gray = np.array_equal(red, green) and np.array_equal(red, blue)
    return picture.convert("L" if gray else "RGB")


def _fit(picture, size):
    from PIL import Image, ImageOps

    return ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)


def _array(path, key):
    """The image array of an npz file, as stored. Types and shapes are read first; pickles are never loaded."""
    with _archive(path) as archive:
        found = {m.filename.removesuffix(".npy"): _header(archive, m) for m in archive.infolist()}
        good = [name for name, (shape, kind) in found.items() if kind == np.uint8 and _is_images(shape)]
        listing = ", ".join(f"{name} {kind} {shape}" for name, (shape, kind) in found.items())
        if not good or (key is not None and key not in good):
            named = "" if key is None else f" named {key!r}"
            raise DataError(
                f"{path} holds no uint8 array of pictures{named}; it holds: {listing or 'nothing'}. "
                "Pictures are uint8 of shape (n, h, w), (n, h, w, c) or (n, c, h, w), with w above 4 in the first; one "
                "alone is array[None]; "
                "floats in [0, 1] become such by (255 * x).round().astype('uint8')"
            )
        if key is None and len(good) > 1:
            raise DataError(f"{path} holds {len(good)} arrays of pictures; give key=, one of: {', '.join(good)}")
        try:
            with archive.open((key or good[0]) + ".npy") as stream:
                return np.lib.format.read_array(stream, allow_pickle=False)
        except ValueError as error:
            raise DataError(f"{path}: the array {key or good[0]} is damaged ({error})") from error


def _header(archive, member):
    """Shape and dtype of an array in an npz file; DataError if it is none or claims more than its file holds."""
    try:
        with archive.open(member) as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, kind = read(stream)
    except (ValueError, RuntimeError) as error:  # no array; encrypted, or packed in a way that zipfile cannot read
        raise DataError(f"{archive.filename}: {member.filename} is not a numpy array ({error})") from error
    if not kind.hasobject and math.prod(shape) * kind.itemsize > member.file_size:
        raise DataError(f"{archive.filename}: {member.filename} claims the shape {shape}, but its data is shorter")
    return shape, kind


def _is_images(shape):
    gray, colored = len(shape) == 3, len(shape) == 4  # (h, w, 3) is one picture, and not h of them
    fits = (gray and (shape[-1] > 4 or shape[1] <= 4)) or (colored and (shape[-1] in (1, 3) or shape[1] in (1, 3)))
    return fits and min(shape) > 0


def _resize(path, array, size):
    """An array of pictures as a tensor (n, c, h, w), cropped and resized if a size is given."""
    if array.ndim == 3:
        array = array[..., None]
    elif array.shape[-1] not in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if size is None or array.shape[1:3] == (size, size):
        return torch.from_numpy(array.transpose(0, 3, 1, 2).copy())
    from PIL import Image

    squeezed = array[..., 0] if array.shape[-1] == 1 else array
    _check_total(path, len(array) * array.shape[-1] * size * size)
    return _pile(path, [np.asarray(_fit(Image.fromarray(picture), size)) for picture in squeezed])
