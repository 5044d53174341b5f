"""The rules of the pack, by the subject that they protect."""

from collections.abc import Mapping

from ..rule import Rule
from . import access, endurance, images, pod_security, secrets, storage

GROUPS: Mapping[str, tuple[Rule, ...]] = {
    "Storage": storage.RULES,
    "Images": images.RULES,
    "Secrets": secrets.RULES,
    "Pod Security": pod_security.RULES,
    "Access": access.RULES,
    "Endurance": endurance.RULES,
}
"""Rules by the title of their table in docs/policy.md."""

RULES: tuple[Rule, ...] = tuple(rule for rules in GROUPS.values() for rule in rules)
