#!/bin/sh
# Refuse a change that breaks a rule of the policy pack, and one that would lose images. A CI runs it before `pulumi up`.
set -eu
cd "$(dirname "$0")"
pulumi preview --policy-pack ../../policy --policy-pack-config policy.json
pulumi preview --json | PYTHONPATH=../.. python3 -m policy.changes
