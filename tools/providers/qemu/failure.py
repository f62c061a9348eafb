"""What is told to who called, and checks that all parts use."""
import os
import re
import signal
import subprocess

TEXT_MAX = 256


class Failure(Exception):
    """Ends the call: its text says what is wrong and what to do."""


def is_plain(text, length_max=TEXT_MAX):
    """A text without control characters, that fits a line."""
    return isinstance(text, str) and 0 < len(text) <= length_max and text.isprintable()


def is_word(text, length_max=TEXT_MAX):
    """The same without blanks and quotes: what the guest's shell reads as one word."""
    return is_plain(text, length_max) and re.fullmatch(r"[!#-&(-\[\]-~]+", text) is not None


def deadline(seconds, what):
    """Has the work in `with` end in a Failure after so long."""
    return _Deadline(seconds, what)


class _Deadline:
    def __init__(self, seconds, what):
        self.seconds, self.what = seconds, what

    def _ring(self, _signal, _frame):
        raise Failure(f"{self.what} did not end within {self.seconds} s")

    def __enter__(self):
        self.before = signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.before)


def run(argv, timeout_s, keep_fds=(), accept=(0,)):
    """Runs a program to its end; its standard output. A Failure has the last line of its errors."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=timeout_s, pass_fds=keep_fds,
                              start_new_session=True, check=False)
    except FileNotFoundError:
        raise Failure(f"{argv[0]} is not installed") from None
    except OSError as error:
        raise Failure(f"cannot run {argv[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{argv[0]} did not end within {timeout_s} s") from None
    if done.returncode not in accept:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise Failure(f"{argv[0]} ended with exit code {done.returncode}: {lines[-1][:400]}")
    return done.stdout.decode(errors="replace")


def write_durably(path, text):
    """A file of the owner alone, whole or not at all, that survives a power cut."""
    new = path + ".new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(new, path)
    sync_directory(os.path.dirname(path))


def sync_directory(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
