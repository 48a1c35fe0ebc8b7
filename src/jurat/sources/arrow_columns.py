"""Converts Arrow columns to Python values, after validation and within limits."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute
import pyarrow.types as types

from jurat.sources.protocol import MOST_TEXT, OmittedText
from jurat.sources.table_rows import TableRows
from jurat.text import reason

_QUICK = 1 << 24
"""Bytes of the texts of a column that are turned into Python values at once."""
_ROWS, _ROWS_A_BYTE = 1 << 20, 100
_compute: Any = pyarrow.compute
"""It makes its functions when it is imported, so that no stub has them."""
_TEXT_AS_BYTES = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}


def too_many(rows: int, size: int) -> str | None:
    """Why a file, or a part of one, is not read that has more rows than anyone means; None if it is read.

    A row that is like the one before takes next to nothing: a few bytes may stand for billions of rows.
    """
    if rows <= _ROWS or rows <= _ROWS_A_BYTE * size:
        return None
    return f"it has {rows:,} rows in {size:,} bytes"


def damage_of(columns: Sequence[Any]) -> str | None:
    """The damage of arrays, in one line; None if they are valid.

    The offsets, lengths and indices in a file are whatever someone wrote there: reading a value by them may
    end the process, or return memory outside the file.
    """
    for column in columns:
        try:
            column.validate(full=True)
        except (pa.ArrowException, ValueError) as error:
            if not _is_sound_but_for_encoding(column):
                return reason(error)
    return None


def _is_sound_but_for_encoding(array: Any) -> bool:
    """Whether the only fault is text that is not UTF-8, which is kept as surrogate escapes."""
    try:
        if isinstance(array, pa.DictionaryArray):
            array.indices.validate(full=True)
            array = pa.DictionaryArray.from_arrays(array.indices, _bytes_for_texts(array.dictionary))
        else:
            array = _bytes_for_texts(array)
        array.validate(full=True)
    except (pa.ArrowException, ValueError, NotImplementedError):
        return False
    return True


def _bytes_for_texts(array: Any) -> Any:
    """The array with texts as bytes."""
    return array.view(_without_encoding(array.type))


def _without_encoding(kind: Any) -> Any:
    """The type with texts as bytes. Raises NotImplementedError for types without such a form."""
    if kind in _TEXT_AS_BYTES:
        return _TEXT_AS_BYTES[kind]
    if types.is_list(kind) or types.is_large_list(kind):
        make = pa.list_ if types.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_without_encoding(kind.value_type)))
    if types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        return pa.struct([field.with_type(_without_encoding(field.type)) for field in fields])
    if types.is_primitive(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        return kind
    raise NotImplementedError(str(kind))


def rows_of(batch: Any, most: int, column: str) -> Iterator[dict[str, Any]]:
    """The rows of a batch that is sound, one at a time.

    Args:
        most: bytes of a cell of the images' column; of the others `MOST_TEXT`.
        column: the images'. A value that is too long is a `OmittedText`.
    """
    names: list[str] = batch.schema.names
    columns = [
        _values(array, most if name == column else MOST_TEXT)
        for name, array in zip(names, batch.columns, strict=True)
    ]
    if not columns:
        yield from ({} for _ in range(batch.num_rows))
        return
    for row in zip(*columns, strict=True):
        yield dict(zip(names, row, strict=True))


def _values(array: Any, most: int) -> Iterator[Any]:
    small = _small(array, most)
    if small is not None:
        try:
            return iter(cast("list[Any]", small.to_pylist()))
        except (ValueError, OverflowError):  # one cell, which is not to cost the others
            pass
    return (_value_within(cell, most) for cell in array)


def _small(array: Any, most: int) -> Any:
    """The array without dictionaries, if no cell of it is too long; None where each has to be looked at."""
    if types.is_dictionary(array.type):
        if not is_text(array.type.value_type):
            return None
        lengths = _compute.take(_compute.binary_length(array.dictionary), array.indices)
        return array.dictionary_decode() if _are_small(lengths, most) else None
    if is_text(array.type):
        return array if _are_small(_compute.binary_length(array), most) else None
    return array if _is_plain(array.type) and array.nbytes <= most else None


def _are_small(lengths: Any, most: int) -> bool:
    longest, total = _compute.max(lengths).as_py() or 0, _compute.sum(lengths).as_py() or 0
    return longest <= most and total <= _QUICK


def is_text(kind: Any) -> bool:
    """Whether an Arrow type holds texts or bytes, of any length."""
    tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(test(kind) for test in tests)


def _value_within(cell: Any, most: int) -> Any:
    size = _size(cell)
    return OmittedText.of(size, "bytes") if size > most else value_of(cell)


def _is_plain(kind: Any) -> bool:
    """Whether values take about as many bytes in Python as in the column (no dictionaries or repeats)."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return False
    return all(_is_plain(kind.field(at).type) for at in range(kind.num_fields))


def _size(cell: Any) -> int:
    """Approximate size of a cell's value in bytes."""
    if not cell.is_valid:
        return 0
    if isinstance(cell, pa.DictionaryScalar | pa.ExtensionScalar):
        return _size(cell.value)
    if isinstance(cell, pa.StructScalar):
        return sum(_size(part) for part in cell.values())
    if isinstance(cell, pa.ListScalar):  # and its kin
        return 0 if cell.values is None else _size_of_array(cell.values)
    if hasattr(cell, "as_buffer"):
        buffer = cell.as_buffer()
        return 0 if buffer is None else int(buffer.size)
    return 16 if types.is_primitive(cell.type) else 64


def _size_of_array(array: Any) -> int:
    if _is_plain(array.type):
        return int(array.nbytes)
    return sum(_size(cell) for cell in array[:MOST_TEXT])


def value_of(cell: Any) -> Any:
    """What a cell holds; None where Python has no such value: a date after the year 9999, say.

    Bytes of a text that are not UTF-8 are kept, as in names of files. Lists of unsigned bytes are bytes.
    """
    try:
        if cell.is_valid and _is_bytes_list(cell.type) and not cell.values.null_count:
            return cell.values.to_numpy(zero_copy_only=False).tobytes()
        return cell.as_py()
    except UnicodeDecodeError:
        text = cell.value if types.is_dictionary(cell.type) else cell
        return os.fsdecode(text.as_buffer().to_pybytes()) if text.type in _TEXT_AS_BYTES else None
    except (ValueError, OverflowError):
        return None


def bytes_of(rows: TableRows, cell: Any, number: int) -> bytes:
    """The bytes of a cell that may be a struct of bytes and path; ImageError where there are none."""
    _, _, opener = rows.opener(cell, number, "")
    return opener()


def declared_images(schema: Any) -> Sequence[str]:
    """Columns that the metadata of `datasets` says are images, videos, or lists of them."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = told["info"]["features"].items()
        return [name for name, kind in features if _is_declared(kind) and name in schema.names]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _is_declared(kind: Any) -> bool:
    if isinstance(kind, list):  # how older versions write a list
        return len(kind) == 1 and _is_declared(kind[0])
    if kind.get("_type") in ("List", "LargeList", "Sequence"):
        return _is_declared(kind.get("feature", {}))
    return kind.get("_type") in ("Image", "Video")


def is_heavy(rows: TableRows, kind: Any) -> tuple[bool, bool]:
    """Whether the images' column, of an Arrow type, has images' bytes, and whether it has lists of them."""
    if rows.images_in_turns:
        return False, False
    if _is_bytes_list(kind):
        return True, False
    listed = _is_list(kind)
    if listed:
        kind = kind.value_type
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if types.is_dictionary(kind):
        kind = kind.value_type
    binary = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
    heavy = any(test(kind) for test in binary) or types.is_struct(kind) or (listed and _is_bytes_list(kind))
    return heavy, heavy and listed


def _is_list(kind: Any) -> bool:
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _is_bytes_list(kind: Any) -> bool:
    """Whether a type is a list of unsigned bytes, as which some tools write images."""
    return _is_list(kind) and types.is_uint8(kind.value_type)
