"""Rules that keep a registry running for years: certificates, keys, memory, probes, jobs."""

from collections.abc import Iterator, Sequence

from ..resource import Pod, Resource
from ..rule import MEDIUM, Config, Finding, kinds_of_registry, number_from_0, pod_rule, resource_rule, stack_rule
from ..values import UNKNOWN, mapping, may_be, number

CERTIFICATES = ("tls:index/selfSignedCert:SelfSignedCert", "tls:index/locallySignedCert:LocallySignedCert")
PRIVATE_KEY = "tls:index/privateKey:PrivateKey"
PASSWORD = "random:index/randomPassword:RandomPassword"
"""Types of resources without Kubernetes objects."""

HOURS_PER_DAY = 24

WEAKEST_RSA_BITS = 2048
CURVES = ("P256", "P384", "P521")
"""RSA keys and curves that clients accept as safe."""


@resource_rule(
    "certificate-is-renewed-in-time",
    "`pulumi up` renews a certificate days before its end.",
    "Set `renew_before_days`.",
    of=lambda resource: resource.type in CERTIFICATES,
    config={"days": number_from_0("Fewest days between renewal and end", 7)},
)
def certificate_is_renewed_in_time(resource: Resource, config: Config) -> Iterator[str]:
    hours = number(resource.props.get("earlyRenewalHours"), 0)
    if hours is not None and hours < config["days"] * HOURS_PER_DAY:
        yield f"The certificate `{resource.name}` is renewed {hours / HOURS_PER_DAY:g} days before its end."


@resource_rule(
    "private-key-is-strong",
    "Every private key has a safe length or curve.",
    "Set `certificate_key` to P-256, or to an RSA key of 2048 bits or more.",
    of=lambda resource: resource.type == PRIVATE_KEY,
)
def private_key_is_strong(resource: Resource, config: Config) -> Iterator[str]:
    algorithm, bits = resource.props.get("algorithm"), number(resource.props.get("rsaBits"), WEAKEST_RSA_BITS)
    if algorithm == "RSA" and bits is not None and bits < WEAKEST_RSA_BITS:
        yield f"The key `{resource.name}` has {bits:g} bits."
    # The default curve of the provider is P-224.
    if algorithm == "ECDSA" and not may_be(resource.props.get("ecdsaCurve"), *CURVES):
        yield f"The key `{resource.name}` has the curve {resource.props.get('ecdsaCurve') or 'P224'}."


@resource_rule(
    "generated-password-is-long",
    "A generated password is too long to guess.",
    "Set its `length`.",
    of=lambda resource: resource.type == PASSWORD,
    config={"length": number_from_0("Fewest characters", 20)},
)
def generated_password_is_long(resource: Resource, config: Config) -> Iterator[str]:
    length = number(resource.props.get("length"), 0)
    if length is not None and length < config["length"]:
        yield f"The password `{resource.name}` has {length:g} characters."


@pod_rule(
    "container-has-a-memory-limit",
    "The containers of a registry have a memory limit.",
    "Set `limits.memory`. Without it, a burst of pushes takes the memory of the whole node.",
    of=lambda pod: pod.resource.is_of_registry,
    severity=MEDIUM,
)
def container_has_a_memory_limit(pod: Pod, config: Config) -> Iterator[str]:
    for container in pod.containers:
        resources = mapping(container.fields.get("resources"))
        if not mapping(resources.get("limits")).get("memory"):
            yield f"The container `{container.name}` has no memory limit."


@pod_rule(
    "registry-has-probes",
    "The kubelet checks that a registry is ready and alive.",
    "Keep `readinessProbe` and `livenessProbe`.",
    of=lambda pod: pod.resource.is_of_registry and not pod.is_batch,
)
def registry_has_probes(pod: Pod, config: Config) -> Iterator[str]:
    for probe in ("readinessProbe", "livenessProbe"):
        if not any(container.fields.get(probe) for container in pod.containers):
            yield f"No container has a `{probe}`."


@resource_rule(
    "cron-job-does-not-overlap",
    "Two runs of a job of a registry never overlap.",
    "Set `concurrencyPolicy` to Forbid.",
    of=kinds_of_registry("CronJob"),
)
def cron_job_does_not_overlap(resource: Resource, config: Config) -> Iterator[str]:
    if not may_be(resource.spec.get("concurrencyPolicy"), "Forbid"):
        yield f"The CronJob `{resource.name}` may run twice at the same time."


@stack_rule(
    "replicas-survive-a-drain",
    "A drain of a node ends one replica of a registry at a time.",
    "Keep the PodDisruptionBudget of the component.",
    severity=MEDIUM,
)
def replicas_survive_a_drain(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    guarded = [resource.metadata.get("namespace") for resource in resources if resource.kind == "PodDisruptionBudget"]
    for resource in filter(kinds_of_registry("Deployment"), resources):
        replicas, namespace = number(resource.spec.get("replicas"), 1), resource.metadata.get("namespace")
        is_guarded = UNKNOWN in (namespace, *guarded) or namespace in guarded
        if replicas is not None and replicas > 1 and not is_guarded:
            yield Finding(f"The Deployment `{resource.name}` has no PodDisruptionBudget.", resource.urn)


RULES = (
    certificate_is_renewed_in_time,
    private_key_is_strong,
    generated_password_is_long,
    container_has_a_memory_limit,
    registry_has_probes,
    cron_job_does_not_overlap,
    replicas_survive_a_drain,
)
