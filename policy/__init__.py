"""A policy pack for stacks with private registries, and a check of the changes that a preview plans.

`pulumi preview --policy-pack FOLDER` runs the pack (docs/policy.md). `python -m policy.changes` reads a plan.

rule        a rule, and the three kinds of resources that rules look at
resource    resources and Pods, as plain values
values      values that preview does not know, and values that are secret
rules       the rules
changes     the check of a plan
"""
