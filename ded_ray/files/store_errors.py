"""What a store, or a full disk, answers instead of taking data: one line for the user.

with storage_errors(folder, Stopped):
    ...                                # a PermissionError in here becomes Stopped("s3://...: ...")
with full_disk(folder):
    ...                                # of a disk that is full alone: what else goes wrong may be worth another try
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ded_ray.errors import BadInput, Stopped
from ded_ray.files.folders import is_local

REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}

# What a store answers itself comes as an OSError (from botocore's ClientError), what comes in between as theirs.
STORE_LIBRARIES = ("botocore", "aiobotocore", "aiohttp", "gcsfs", "google")

FULL = {errno.ENOSPC, errno.EDQUOT}
FULL_TEXTS = ("No space left on device", "Disk quota exceeded", "PytorchStreamWriter failed writing", "unexpected pos ")
"""What libraries say that have errors of their own: safetensors; the last two torch, whose writer does not know why."""


@contextmanager
def storage_errors(folder: Path, becomes: type[BadInput] | type[Stopped]) -> Iterator[None]:
    """Raise `becomes`, in one line, for what went wrong with the storage of this folder in the block, also in a worker of
    Ray. Whatever else is raised goes on as it is."""
    try:
        yield
    except (BadInput, Stopped):
        raise
    except Exception as error:  # the boundary: which types these are is up to the store's library, and to Ray
        for cause in _causes(error):
            if said := _said(cause, folder):
                raise becomes(f"{folder}: {said}") from error
        raise


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Raise Stopped, in one line, where the disk of this folder is full. Whatever else is raised goes on as it is."""
    try:
        yield
    except (BadInput, Stopped):
        raise
    except Exception as error:  # the boundary: which type this is is up to the library that wrote
        if any(_is_full(cause) for cause in _causes(error)):
            raise Stopped(f"{folder}: {_MAKE_ROOM}") from error
        raise


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised for; Ray has its cause in an attribute of its own."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        cause = getattr(seen, "cause", None) or getattr(seen, "controller_failure", None)
        seen = cause if isinstance(cause, BaseException) and cause is not seen else seen.__cause__


_MAKE_ROOM = "the disk is full; make room, nothing that was saved is lost"


def _is_full(error: BaseException) -> bool:
    return (isinstance(error, OSError) and error.errno in FULL) or any(text in str(error) for text in FULL_TEXTS)


def _said(error: BaseException, folder: Path) -> str | None:
    """None for what has nothing to do with storage."""
    if _is_full(error):
        return _MAKE_ROOM
    if is_local(folder):
        refused = isinstance(error, OSError) and error.errno in REFUSED and str(error.filename).startswith(str(folder))
        return f"cannot be written to ({error}); name another folder" if refused else None
    text = " ".join(str(error).split())
    library = type(error).__module__.partition(".")[0] if type(error).__name__ != "ClientError" else ""
    if isinstance(error, PermissionError) and error.filename is None:  # with a name it is a file of this machine
        return f"the store refuses us ({text}); check the credentials in the environment, they may have expired"
    if isinstance(error, FileNotFoundError) and "bucket" in text.lower():
        return f"{text}; make the bucket, or name another one"
    if library in STORE_LIBRARIES and "redential" in text:
        return f"no credentials ({text}); set them in the environment"
    if library in STORE_LIBRARIES or (isinstance(error, OSError) and error.errno in {errno.EBUSY, errno.EIO}):
        return f"the store does not answer ({text}); check its address and the network"
    return None
