"""The protections of secrets in the source. `e2e/test_mutants.py` removes one at a time."""

from collections import Counter
from pathlib import Path

from tests import mutants

PACKAGE = Path(__file__).parents[2] / "registry"

PROTECTIONS = {
    "access._create_secret: kubernetes.core.v1.Secret": 1,
    "config._read: from None": 1,
    "config._read: is_config_secret": 1,
    "config._read: problem": 2,
    "config.args_from: is_config_secret": 1,
    "config.args_from: problem": 1,
    "errors.__init__: URL_CREDENTIALS.sub": 1,
    "exporter.create_exporter: kubernetes.core.v1.Secret": 1,
    "maintenance.create_maintenance: kubernetes.core.v1.Secret": 1,
    "azure.azure_account_key: from None": 1,
    "azure.azure_account_key: problem": 1,
    "gcs.service_account_key: from None": 1,
    "gcs.service_account_key: problem": 3,
    "pem.private_key: from None": 1,
    "pem.private_key: problem": 4,
    "pem.read_certificates: from None": 1,
    "pem.read_certificates: problem": 3,
    "pem.require_plain_key: problem": 2,
    "pem.require_plain_lines: problem": 2,
    "proxy._excluded: problem": 3,
    "proxy._proxy_url: problem": 2,
    "proxy.outbound_proxy: problem": 3,
    "pull_secrets._create_secret: kubernetes.core.v1.Secret": 1,
    "redaction.redacted: without_secrets": 1,
    "resolve._validated: pulumi.Output.secret": 1,
    "secrets.decode_secret_data: from None": 1,
    "secrets.decode_secret_data: problem": 2,
    "secrets.external_credential: problem": 2,
    "secrets.read_credentials: problem": 1,
    "server_certificate.__init__: kubernetes.core.v1.Secret": 1,
    "servers.server_url: problem": 1,
    "table: secret=True": 6,
    "users.__init__: pulumi.Output.secret": 1,
    "users._bcrypt_cost: problem": 1,
    "users._create_secret: kubernetes.core.v1.Secret": 1,
    "users._password: from None": 1,
    "users._password: problem": 4,
    "access.create_access_secret: random.RandomPassword": 1,
    "users._password: random.RandomPassword": 1,
    "users._user: without_password": 1,
    "users.htpasswd: problem": 5,
    "users.passwords: problem": 1,
    "workload.__init__: kubernetes.core.v1.Secret": 1,
    "workload.__init__: random.RandomPassword": 1,
    "workload.mirror_username: without_password": 1,
}
"""Protections by function and kind. Change a row when a protection moves or disappears."""

UNMARKED = {
    "context._version_label": "the tag of the image",
    "context.lookup_id": "the name of an object",
    "existing.__init__": "certificates, which the registry shows to every client",
    "exporter._create_network_policy": "the ports of the servers and proxies",
    "exporter.create_exporter": "a checksum with the keys of the bucket in it",
    "maintenance._create_network_policy": "the ports of the servers and proxies",
    "maintenance.create_maintenance": "a checksum with the keys of the bucket in it",
    "network_policy.create_network_policy": "the ports of the servers and proxies",
    "node_of_images.check_node": "the name of a node",
    "resolve._check_together": "that a rule accepts the values",
    "users._existing_secret": "that a Secret has bcrypt lines",
    "distribution.no_proxy_value": "the hosts that are reached without a proxy",
    "workload.__init__": "a checksum with http.secret in it",
}
"""Values that become readable, by the function that removes the mark of a secret."""


def test_every_protection_is_found_by_its_function() -> None:
    protections = Counter(f"{mutant.place}: {mutant.kind}" for mutant in mutants.mutants_of(PACKAGE))
    assert protections == PROTECTIONS


def test_a_mark_is_removed_only_for_a_known_reason() -> None:
    assert mutants.unmarked_places(PACKAGE) == UNMARKED.keys()


def test_every_function_that_handles_a_secret_still_exists() -> None:
    places = {mutant.place for mutant in mutants.mutants_of(PACKAGE)}
    assert mutants.SECRET_VALUES.keys() <= places
