"""The program: the stack's config goes in, one registry comes up, five outputs come out."""

import pulumi

from registry import PrivateRegistry, PrivateRegistryArgs
from registry.validation.config import check_config

config = pulumi.Config()
check_config(config, PrivateRegistryArgs.__annotations__)
args = PrivateRegistryArgs(
    hostname=config.require("hostname"),
    port=config.require_int("port"),
    external_ips=config.require_object("external_ips"),
    namespace=config.require("namespace"),
    certificate_subject=config.require_object("certificate_subject"),
    certificate_key=config.require("certificate_key"),
    certificate_days=config.require_int("certificate_days"),
    renew_before_days=config.require_int("renew_before_days"),
    username=config.require("username"),
    node=config.require("node"),
    node_label=config.require("node_label"),
    storage_path=config.require("storage_path"),
    storage_size=config.require("storage_size"),
    image=config.require("image"),
    run_as_user=config.require_int("run_as_user"),
    password=config.get_secret("password"),
)
registry = PrivateRegistry("registry", args)
for output in ("endpoint", "ca_pem", "username", "password", "namespace"):
    pulumi.export(output, getattr(registry, output))
