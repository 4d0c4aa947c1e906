"""Groups, datasets and attributes of HDF5, the same bytes each time with the same libhdf5.

By h5py's low-level interface: the other one puts time stamps into the root, so that no two files
are the same, and chooses types by itself.
"""

from __future__ import annotations

from io import RawIOBase
from typing import TypeAlias

import h5py
import numpy as np
from h5py.h5a import AttrID
from h5py.h5d import DatasetID
from h5py.h5f import FileID
from h5py.h5g import GroupID
from h5py.h5t import TypeID
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.generic]


def new_file(image: RawIOBase) -> FileID:
    """An HDF5 file in ``image``, complete once it is closed.

    Not libhdf5's own files in memory: before version 2.0 it returned their images with a superblock
    whose checksum was wrong.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, image)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)  # closing the file closes its objects
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    access.set_meta_block_size(0)  # nothing set aside for metadata to come: 360 bytes less
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    return h5py.h5f.create(b"memory.drr", h5py.h5f.ACC_TRUNC, creation, access)


def new_group(file: FileID, name: str) -> GroupID:
    creation = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    creation.set_obj_track_times(False)
    return h5py.h5g.create(file, name.encode(), gcpl=creation)


def new_dataset(
    group: GroupID, name: str, shape: tuple[int, ...], stored: np.dtype[np.generic] | TypeID
) -> DatasetID:
    """A contiguous dataset, which takes no place in the file until something is written to it."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.CONTIGUOUS)
    creation.set_obj_track_times(False)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    kind = stored if isinstance(stored, TypeID) else h5py.h5t.py_create(stored)
    return h5py.h5d.create(group, name.encode(), kind, h5py.h5s.create_simple(shape), creation)


def put_text(owner: DatasetID | GroupID, name: str, text: str) -> None:
    data = text.encode()
    stored = text_type(len(data))
    scalar = h5py.h5s.create(h5py.h5s.SCALAR)
    attribute = h5py.h5a.create(owner, name.encode(), stored, scalar)
    attribute.write(np.array(data, f"S{len(data)}"), mtype=stored)


def put_number(owner: DatasetID | GroupID, name: str, value: int, dtype: str) -> AttrID:
    array = np.array(value, dtype)
    scalar = h5py.h5s.create(h5py.h5s.SCALAR)
    attribute = h5py.h5a.create(owner, name.encode(), h5py.h5t.py_create(array.dtype), scalar)
    attribute.write(array)
    return attribute


def text_type(size: int) -> TypeID:
    text = h5py.h5t.C_S1.copy()
    text.set_size(size)
    text.set_strpad(h5py.h5t.STR_NULLPAD)
    text.set_cset(h5py.h5t.CSET_UTF8)
    return text
