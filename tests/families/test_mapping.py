"""The reader of safetensors files: right about sound ones, unmoved by hostile ones."""

from __future__ import annotations

import json
import random
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.examples import examples
from tests.families.files import mapped
from voxswap_registry.errors import EngineError

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def written(folder: Path, header: object, data: bytes = b"", *, align: int = 8) -> Path:
    """A file with ``header``, padded as safetensors does, and ``data``."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % align)
    path = folder / "model"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(shape: object, begin: object, end: object, dtype: object = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mapped")


@examples(60)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
        st.tuples(
            st.sampled_from(sorted(_DTYPES)), st.lists(st.integers(0, 4), max_size=4), st.integers()
        ),
        max_size=6,
    )
)
def test_it_reads_what_safetensors_writes(
    folder: Path, drawn: dict[str, tuple[str, list[int], int]]
) -> None:
    tensors = {}
    for name, (dtype, shape, seed) in drawn.items():
        generator = torch.Generator().manual_seed(seed % 2**32)
        tensors[name] = torch.randn(shape, generator=generator).to(_DTYPES[dtype])
    path = folder / "sound"
    save_file(tensors, path, metadata={"format": "pt"})
    found = mapped(path)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert found[name].is_contiguous()
        assert torch.equal(found[name], tensor)


def test_the_tensors_are_views_of_one_map_that_lives_as_long_as_one_of_them(folder: Path) -> None:
    path = folder / "views"
    save_file({"a": torch.ones(4), "b": torch.zeros(4), "c": torch.ones(2).half()}, path)
    found = mapped(path)
    assert found["a"].untyped_storage().data_ptr() == found["c"].untyped_storage().data_ptr()
    path.unlink()  # as the cache does when it evicts
    kept = found["a"]
    storage = weakref.ref(found["b"])
    del found
    assert storage() is None
    assert torch.equal(kept, torch.ones(4))


def test_what_is_written_to_a_tensor_never_reaches_the_file(folder: Path) -> None:
    path = folder / "private"
    save_file({"a": torch.ones(4)}, path)
    before = path.read_bytes()
    path.chmod(0o444)
    mapped(path)["a"].fill_(7)
    assert path.read_bytes() == before
    assert torch.equal(mapped(path)["a"], torch.ones(4))


FLOATS = np.arange(4, dtype=np.float32).tobytes()
GOOD = entry([4], 0, 16)
HUGE = 10**30
HOSTILE: dict[str, object] = {
    "not an object": [GOOD],
    "nested far too deep": b"[" * 200_000,
    "not UTF-8": b'{"\xff": 1}',
    "half a surrogate pair as an offset": {"a": entry([4], "\ud800", 16)},
    "not JSON": b"{",
    "nothing at all": b"",
    "an integer of 5,000 digits": b'{"a": ' + b"9" * 5_000 + b"}",
    "no entry": {"a": 1},
    "an entry that is a list": {"a": [1, 2]},
    "an entry that is null": {"a": None},
    "no dtype": {"a": {"shape": [4], "data_offsets": [0, 16]}},
    "no shape": {"a": {"dtype": "F32", "data_offsets": [0, 16]}},
    "no offsets": {"a": {"dtype": "F32", "shape": [4]}},
    "an unknown dtype": {"a": entry([4], 0, 16, "I64")},
    "a dtype that is a list": {"a": entry([4], 0, 16, ["F32"])},
    "three offsets": {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8, 16]}},
    "one offset": {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0]}},
    "offsets that are a text": {"a": {"dtype": "F32", "shape": [4], "data_offsets": "ab"}},
    "a shape that is a number": {"a": entry(4, 0, 16)},
    "a shape that is a text": {"a": entry("4", 0, 4)},
    "a shape that is an empty text": {"a": entry("", 0, 4)},
    "a shape that is an object": {"a": entry({"4": 4}, 0, 16)},
    "a shape that is an empty object": {"a": entry({}, 0, 4)},
    "true for a length": {"a": entry([True], 0, 4)},
    "false for an offset": {"a": entry([1], False, 4)},
    "a fraction for a length": {"a": entry([4.0], 0, 16)},
    "a fraction for an offset": {"a": entry([4], 0.0, 16)},
    "infinity for an offset": b'{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 1e999]}}',
    "a negative length": {"a": entry([-4], 0, -16)},
    "two negative lengths": {"a": entry([-2, -2], 0, 16)},
    "a negative offset": {"a": entry([4], -16, 0)},
    "an end before its begin": {"a": entry([0], 4, 0)},
    "more than the file has": {"a": entry([5], 0, 20)},
    "wholly beyond the file": {"a": entry([4], 16, 32)},
    "an empty tensor beyond the file": {"a": entry([0], 20, 20)},
    "far beyond the file": {"a": entry([4], HUGE, HUGE + 16)},
    "fewer bytes than its shape": {"a": entry([4], 0, 12)},
    "more bytes than its shape": {"a": entry([3], 0, 16)},
    "a shape that overflows": {"a": entry([HUGE, HUGE], 0, 16)},
    "a shape that overflows to its size": {"a": entry([2**62, 4], 0, 2**66)},
    "nothing, in a shape that overflows": {"a": entry([0, HUGE], 0, 0)},
    "nothing, in a shape whose strides overflow": {"a": entry([0, 2**62, 2**62], 0, 0)},
    "a place that is not aligned": {"a": entry([3], 2, 14)},
    "ten thousand dimensions": {"a": entry([1] * 10_000, 0, 4)},
}


@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_what_is_no_safetensors_file_is_the_files_fault(tmp_path: Path, what: str) -> None:
    path = written(tmp_path, HOSTILE[what], FLOATS)
    with pytest.raises(
        EngineError,
        match=r"(?s)^the model component sha256:\w{64}: not a readable safetensors file .{0,400}$",
    ):
        mapped(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x00" * 8,
        (2).to_bytes(8, "little") + b"{}"[:1],
        (1 << 20).to_bytes(8, "little") + b'{"a": {}}',
        (2**63).to_bytes(8, "little") + b"{}",
        (16 << 20).to_bytes(8, "little"),
        (16 << 20 | 1).to_bytes(8, "little") + b"{}",
        b"\xff" * 64,
    ],
)
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model"
    path.write_bytes(data)
    with pytest.raises(EngineError, match="model"):
        mapped(path)


def test_every_truncation_of_a_sound_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model"
    save_file({"a": torch.ones(4), "b": torch.ones(2, 2)}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(EngineError):
            mapped(path)


def test_damage_anywhere_is_an_error_or_other_numbers_and_nothing_worse(tmp_path: Path) -> None:
    """The digest is checked beside the reading, so any bytes whatever may be read."""
    path = tmp_path / "model"
    save_file({"a": torch.ones(4), "b": torch.ones(2, 2), "c": torch.ones(3).half()}, path)
    whole = path.read_bytes()
    chance = random.Random(4)
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            found = mapped(path)
        except EngineError:
            continue
        for tensor in found.values():
            assert tensor.numel() * tensor.element_size() <= len(whole)
            tensor.clone()


def test_names_and_metadata_may_be_anything(tmp_path: Path) -> None:
    header: dict[str, Any] = {"": GOOD, "__metadata__": {"a": "b"}}
    assert mapped(written(tmp_path, header, FLOATS)).keys() == {""}
    header = {"a\0b": GOOD, "__metadata__": HUGE}
    assert mapped(written(tmp_path, header, FLOATS)).keys() == {"a\0b"}


@pytest.mark.parametrize(
    "header",
    [
        {"a": GOOD, "b": GOOD},
        {"a": GOOD, "b": entry([2], 8, 16)},
        {"a": entry([3], 4, 16)},
        {"a": entry([3], 0, 12)},
        {"a": entry([1], 0, 4), "b": entry([2], 8, 16)},
        {},
    ],
    ids=["the same place", "one inside another", "a hole before", "after", "between", "nothing"],
)
def test_tensors_share_no_bytes_and_leave_none_out(tmp_path: Path, header: object) -> None:
    """Or a small file could ask for much: a device gets a block of the sum of all tensors."""
    with pytest.raises(EngineError):
        mapped(written(tmp_path, header, FLOATS))
