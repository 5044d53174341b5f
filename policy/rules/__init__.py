"""The rules of the pack, by what they protect."""

from ..rule import Rule
from . import access, endurance, images, pod_security, secrets, storage

RULES: tuple[Rule, ...] = (
    *storage.RULES,
    *images.RULES,
    *secrets.RULES,
    *pod_security.RULES,
    *access.RULES,
    *endurance.RULES,
)
