"""The pack: the rules as policies of pulumi-policy."""

from typing import Any

import pulumi_policy
from pulumi_policy import (
    Policy,
    PolicyConfigSchema,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from .resource import Resource
from .rule import Config, ResourceRule, Rule, StackRule
from .rules import RULES
from .values import keep_secret_marks

NAME = "private-registry"


def serve() -> None:
    """Serve the policies to the engine until it ends this process."""
    keep_secret_marks()
    PolicyPack(NAME, policies=[policy_of(rule) for rule in RULES])


def policy_of(rule: Rule) -> Policy:
    """Return the rule as a policy of pulumi-policy."""
    fields: dict[str, Any] = {
        "name": rule.name,
        "description": rule.description,
        "enforcement_level": pulumi_policy.EnforcementLevel(rule.level),
        "config_schema": PolicyConfigSchema({key: dict(schema) for key, schema in rule.config.items()}),
        "severity": pulumi_policy.Severity(rule.severity),
        "remediation_steps": rule.remediation,
    }
    if isinstance(rule, ResourceRule):
        return _resource_policy(rule, fields)
    assert isinstance(rule, StackRule)
    return _stack_policy(rule, fields)


def _resource_policy(rule: ResourceRule, fields: dict[str, Any]) -> Policy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for problem in rule.check(Resource.of(args), _config(rule, args)):
            report(f"{problem} {rule.remediation}", None)

    return ResourceValidationPolicy(validate=validate, **fields)


def _stack_policy(rule: StackRule, fields: dict[str, Any]) -> Policy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        resources = [Resource.of(resource) for resource in args.resources]
        for finding in rule.check(resources, _config(rule, args)):
            report(f"{finding.problem} {rule.remediation}", finding.urn)

    return StackValidationPolicy(validate=validate, **fields)


def _config(rule: Rule, args: ResourceValidationArgs | StackValidationArgs) -> Config:
    """Return the config of the policy, with the defaults of its schema."""
    return rule.defaults | dict(args.get_config())
