"""Storages opened: a file, a journal or a database, with a lock by which one process at a time drives a study."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verax.findings import InputError

PATIENCE = 60  # seconds to wait for another writer, such as the dashboard


def storage_in(folder: Path) -> str:
    """Returns the URL of the study in a folder, which is made where it is missing.

    Raises:
      InputError: if it is no folder, or cannot be made.
    """
    from sqlalchemy import URL

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"storage must be a folder or a URL, got {str(folder)!r}: {error.strerror}.") from error
    return URL.create("sqlite", database=str(folder.resolve() / "study.db")).render_as_string()


@contextlib.contextmanager
def study_in(url: str, name: str, direction: Any) -> Iterator[Any]:
    """Gives the study of a name, which no other process drives meanwhile.

    Raises:
      InputError: if another process does.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    kind, _, path = url.partition(":")
    with contextlib.ExitStack() as stack:
        if kind == "journal":
            if not path:
                raise InputError(f"storage must name the file of the journal, such as journal:study.log, got {url!r}.")
            # Optuna breaks the lock of a process that was killed only where the path is absolute.
            path = os.path.abspath(path)
            stack.enter_context(_file_lock(path, name))
            _mend(path)
            storage: Any = JournalStorage(JournalFileBackend(path))
        else:
            storage = stack.enter_context(_database(url, name))
        yield optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)


@contextlib.contextmanager
def _database(url: str, name: str) -> Iterator[Any]:
    """Gives a database as a storage, with the lock of a study where there is one."""
    import optuna
    import sqlalchemy

    address = sqlalchemy.make_url(url)
    backend = address.get_backend_name()
    if address.drivername == "postgresql":  # psycopg is what `verax[postgresql]` installs
        address = address.set(drivername="postgresql+psycopg")
    in_file = backend == "sqlite" and address.database not in (None, "", ":memory:")
    options: dict[str, Any] = {} if backend == "sqlite" else {"pool_pre_ping": True}
    with contextlib.ExitStack() as stack:
        if in_file:
            stack.enter_context(_file_lock(os.path.abspath(str(address.database)), name))
            options = {"connect_args": {"timeout": PATIENCE}, "poolclass": sqlalchemy.NullPool}  # none is left open
        whole = address.render_as_string(hide_password=False)
        try:
            storage = optuna.storages.RDBStorage(whole.replace("{", "{{").replace("}", "}}"), options)
        except ImportError as error:
            extra = " Run: pip install 'verax[postgresql]'" if backend == "postgresql" else ""
            raise ImportError(f"the driver of the storage {shown(url)!r} is not installed.{extra}") from error
        stack.callback(storage.engine.dispose)
        stack.callback(storage.remove_session)
        if backend == "postgresql":
            connection = stack.enter_context(storage.engine.connect())
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            key = int.from_bytes(hashlib.sha256(f"verax:{name}".encode()).digest()[:8], "big", signed=True)
            if not connection.scalar(sqlalchemy.text("SELECT pg_try_advisory_lock(:key)"), {"key": key}):
                raise _driven(name)
            stack.callback(connection.execute, sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), {"key": key})
        yield storage


@contextlib.contextmanager
def _file_lock(path: str, name: str) -> Iterator[None]:
    """Holds the lock of a study in a file; the system frees that of a process that was killed.

    Raises:
      InputError: if another process holds it.
    """
    lock = f"{path}.{hashlib.sha256(name.encode()).hexdigest()[:8]}.driven"
    descriptor = _held(lock)
    if descriptor is None:
        raise _driven(name)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(lock)
        os.close(descriptor)


def _held(lock: str) -> int | None:
    """Returns the descriptor of a lock that is held now, or None if another process has it."""
    while True:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)
        if not _locked(descriptor):
            os.close(descriptor)
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(lock)):
                return descriptor
        os.close(descriptor)  # its holder removed it between the two


def _locked(descriptor: int) -> bool:
    """Locks an open file, where the system can; returns whether no other process has it."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _driven(name: str) -> InputError:
    return InputError(f"the study {name!r} is being run by another process. Wait for it, or choose another name.")


def _mend(path: str) -> None:
    """Takes the end of a journal away that a killed process wrote in part: Optuna would refuse what follows it."""
    from optuna.storages.journal import JournalFileSymlinkLock

    if not _cut(path):
        return
    lock = JournalFileSymlinkLock(path)
    lock.acquire()
    try:
        if size := _cut(path):
            os.truncate(path, os.path.getsize(path) - size)
    finally:
        lock.release()


def _cut(path: str) -> int:
    """Returns how many bytes follow the last whole line of a journal."""
    if not os.path.isfile(path):
        return 0
    with open(path, "rb") as file:
        first = file.readline()
        if b'"op_code"' not in first:  # no journal: not ours to mend
            return 0
        last = first
        for line in file:
            last = line
    return 0 if last.endswith(b"\n") else len(last)


def shown(url: str) -> str:
    """Returns a URL without its password."""
    return re.sub(r"(://[^:/@]*):[^/]*@", r"\1:***@", url)
