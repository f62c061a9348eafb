"""The processes that work for a machine: those that have its file `held` open.

They inherit it, opened and locked, from the call that starts them, so that they are known from
their first moment on, whatever becomes of that call; and a number that another process has by now,
or a process that only looks like ours, is never mistaken for one.
"""
import fcntl
import os
import select
import signal
import time

from failure import Failure

TERM_S = 10
KILL_S = 20


def hold(path):
    """The descriptor that processes of a machine inherit. A Failure when some run already."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Failure("it runs already") from None
    return fd


def is_held(path):
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(fd)


def _has_open(pid, held):
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                status = os.stat(f"/proc/{pid}/fd/{fd}")
            except OSError:
                continue  # Closed meanwhile.
            if (status.st_dev, status.st_ino) == (held.st_dev, held.st_ino):
                return True
    except OSError:
        pass  # Ended meanwhile.
    return False


def holders(path):
    held = os.stat(path)
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [pid for pid in pids if pid != os.getpid() and _has_open(pid, held)]


def _end(pid, held, number):
    """Sends a signal to a holder, and waits for its end within the time that is left."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not _has_open(pid, held):  # The number may have become another's before we had it.
            return
        signal.pidfd_send_signal(pidfd, number)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(TERM_S * 1000)
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)


def end_holders(path):
    """Returns when nobody holds the file any more: asked to end first, then killed."""
    began = time.monotonic()
    number = signal.SIGTERM
    while is_held(path):
        held = os.stat(path)
        found = holders(path)
        for pid in found:
            _end(pid, held, number)
        if not found:
            time.sleep(0.05)  # It is ending: its files are closed one by one.
        if time.monotonic() - began > TERM_S + KILL_S:
            raise Failure(f"processes do not end: {', '.join(map(str, found)) or 'unknown ones'}")
        if time.monotonic() - began >= TERM_S:
            number = signal.SIGKILL
