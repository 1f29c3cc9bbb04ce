"""Strangers' YAML and NumPy files and lists of names: read as data, and nothing in them is run."""

from __future__ import annotations

import io
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from voxswap_families.importing.source import Fields, SourceFile
from voxswap_registry.errors import ImportSourceError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# The longest of KAN-TTS's own has 5 KB.
MAX_YAML_BYTES: Final = 256 << 10
MAX_ARRAY_BYTES: Final = 64 << 10
_MAX_ALIASES: Final = 16
_MAX_LEVELS: Final = 64
_MAX_NAME: Final = 64
_AGAIN: Final = "fetch the file again from where it came"


def parse_yaml(file: SourceFile) -> Fields:
    """The object in ``file``. Raises `ImportSourceError` for tags, and whatever else is no data."""
    import yaml

    try:
        # An alias may stand for a list of aliases, and so on: a few lines that are endless. And
        # levels take time with their square.
        aliases = levels = 0
        for event in yaml.parse(bytes(file.data), Loader=yaml.SafeLoader):
            aliases += isinstance(event, yaml.AliasEvent)
            levels += isinstance(event, yaml.CollectionStartEvent)
            levels -= isinstance(event, yaml.CollectionEndEvent)
            if aliases > _MAX_ALIASES:
                raise ValueError(f"more than {_MAX_ALIASES} aliases")
            if levels > _MAX_LEVELS:
                raise ValueError(f"more than {_MAX_LEVELS} levels")
        raw = yaml.safe_load(bytes(file.data))
    except yaml.constructor.ConstructorError as error:
        raise ImportSourceError(
            f"{file.path} is refused: {_where(error)}{error.problem}. Configurations are plain "
            "data; a tag such as !!python/object asks for code to be run, which nothing here "
            f"does. Take it out, or {_AGAIN}"
        ) from error
    except yaml.MarkedYAMLError as error:
        raise ImportSourceError(
            f"{file.path} is no YAML: {_where(error)}{error.problem or error.context}; {_AGAIN}"
        ) from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        told = str(error).strip().split("\n", 1)[0][:200]
        raise ImportSourceError(
            f"{file.path} is no YAML that is read ({told}); {_AGAIN}"
        ) from error
    if not isinstance(raw, dict):
        raise ImportSourceError(
            f"{file.path} holds a {type(raw).__name__}; expected the configuration of a model; "
            f"{_AGAIN}"
        )
    return Fields(raw, str(file.path))


def _where(error: Any) -> str:
    mark = error.problem_mark
    return f"line {mark.line + 1}: " if mark is not None else ""


def read_array(file: SourceFile, *, size: int) -> npt.NDArray[np.float32]:
    """The ``size`` finite numbers in a ``.npy``, whatever their shape. Raises `ImportSourceError`.

    What its header claims is believed only as far as the file goes.
    """
    import numpy as np

    stream = io.BytesIO(file.data)
    try:
        version = np.lib.format.read_magic(stream)
        if version[0] not in {1, 2}:
            raise ValueError(f"format {version} is not read")
        header = (
            np.lib.format.read_array_header_1_0
            if version[0] == 1
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = header(stream)
    except (ValueError, EOFError, SyntaxError, RecursionError) as error:
        told = str(error).strip().split("\n", 1)[0][:200]
        raise ImportSourceError(f"{file.path} is no NumPy array ({told}); {_AGAIN}") from error
    if dtype.kind != "f" or dtype.itemsize < 4:
        raise ImportSourceError(
            f"{file.path} holds {dtype}, where float32 or float64 belongs; {_AGAIN}"
        )
    count, data = math.prod(shape), stream.read()
    if count != size or len(data) != count * dtype.itemsize:
        raise ImportSourceError(
            f"{file.path} has the shape {list(shape)} in {len(data)} bytes, where {size} numbers "
            f"belong; {_AGAIN}"
        )
    values = np.frombuffer(data, dtype).astype(np.float32)
    if not np.isfinite(values).all():
        raise ImportSourceError(f"{file.path} holds NaN or infinity; {_AGAIN}")
    return values


def read_names(data: bytes, *, where: str) -> tuple[str, ...]:
    """The lines of a list: names of a table's rows, each once. Raises `ImportSourceError`."""
    try:
        names = [line.strip("\r") for line in data.decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        raise ImportSourceError(
            f"{where} is no text in UTF-8 ({error.reason} at byte {error.start}); fetch it again"
        ) from error
    while names and not names[-1]:
        names.pop()
    for number, name in enumerate(names, 1):
        if not 0 < len(name) <= _MAX_NAME or not name.isprintable() or name != name.strip():
            raise ImportSourceError(
                f"{where}: line {number} is {name!r:.40}, which is no name; the file must be the "
                "one the voice was trained with"
            )
    if not names:
        raise ImportSourceError(f"{where} is empty; fetch it again")
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise ImportSourceError(
            f"{where} has {min(repeated)!r:.40} twice; the file must be the one the voice was "
            "trained with"
        )
    return tuple(names)
