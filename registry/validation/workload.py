"""Rules for the workload: how the registry runs and which requests it serves."""

from ..choices import LogFormat, LogLevel, Mode, Workload
from .basics import one_of, text, whole_number
from .errors import InvalidInput, quoted
from .users import without_password


def workload(value: str) -> str:
    """Require one of `Workload`."""
    return one_of("workload", value, Workload, "The guide uses pod. A deployment comes back after a drain")


def replicas(value: int) -> int:
    """Require a number of replicas."""
    return whole_number("replicas", value, 1, 32, "a whole number", "Use 2 to survive the loss of a node")


def mode(value: str) -> str:
    """Require one of `Mode`."""
    return one_of("mode", value, Mode, "read-write accepts pushes")


def min_free(value: int) -> int:
    """Require the percent of the storage that pushes leave free, or 0."""
    remedy = "Use for example 10, which leaves time to collect garbage"
    return whole_number("min_free", value, 0, 50, "a whole number of percent", remedy)


def upload_hours(value: int) -> int:
    """Require the hours before an unfinished upload is deleted."""
    remedy = "Use for example 24, longer than any push takes"
    return whole_number("upload_hours", value, 1, 8760, "a whole number of hours", remedy)


def log_level(value: str) -> str:
    """Require one of the registry's log levels."""
    return one_of("log_level", value, LogLevel, "info logs each request")


def log_format(value: str) -> str:
    """Require one of the log formatters of CNCF Distribution."""
    return one_of("log_format", value, LogFormat, "json suits log collectors")


def mirror_username(value: str, *, key: str = "mirror_username") -> str:
    """Require a user name for another registry."""
    name = text(key, value, "ci-reader")
    if not 0 < len(name) <= 255 or ":" in name or not name.isprintable() or name != name.strip():
        problem = "must be 1 to 255 printable characters without ':' and outer spaces, not "
        problem += quoted(without_password(name))
        raise InvalidInput(key, "name-characters", problem, "For example 'ci-reader'")
    return name


def run_as_user(value: int) -> int:
    """Require the numeric user of the registry's process. 0 is root."""
    remedy = "Use 0, or the owner of the folder that holds the images"
    return whole_number("run_as_user", value, 0, 2**31 - 1, "a numeric user id", remedy)
