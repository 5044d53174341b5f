"""A private Docker registry on Kubernetes: the component, as a table of contents.

`PrivateRegistry` resolves its inputs to settings, and hands outputs from part to part. Each part is a module of its
own. The component does not create a provider, change a namespace that it did not create, or delete images.
"""

from functools import partial

import pulumi

from .access import (
    ACCESS_SECRET,
    WATCH_SCRIPT,
    Certificate,
    Endpoints,
    Logging,
    create_access_secret,
    create_tls_proxy_secret,
)
from .context import Context, create_context
from .discovery import create_discovery_config_map
from .exposure import EXPOSURES, cluster_address, create_service, external_addresses, resolve_endpoint
from .inputs.args import PrivateRegistryArgs
from .inputs.resolve import resolve
from .maintenance import MaintenanceInputs, create_maintenance, program_files, storage_settings
from .monitoring import MonitoringInputs, create_monitoring, exporter_labels, task_periods, thresholds
from .namespace import create_namespace, use_namespace
from .network_policy import Ports, create_network_policy
from .next_steps import next_steps
from .node import label_node
from .node_trust.for_registry import NO_TRUST, NodeAddress, trust_on_nodes
from .pods import own_tolerations
from .preflight import check_preconditions
from .pull_secrets import Login, create_pull_secrets
from .service_account import create_service_account
from .settings import ObjectSettings
from .storage import MOUNT_PATH, Storage
from .tls import CertificateAuthority, ExistingCertificate, request_certificate
from .upstreams import upstream_urls, with_bucket_ca, with_proxies
from .users import Users
from .validation.access_rules import PULL_USER
from .validation.names import component_name
from .validation.users import current_login
from .workload import (
    FRONT_FOLDER,
    LIVE_CERTIFICATE,
    METRICS_PORT,
    PORT,
    SOCKET,
    STORAGE_STATE,
    Front,
    Workload,
    WorkloadInputs,
)

APP = "docker-registry"
"""Name of the workload, the Service and the policy. It is fixed, so a namespace has place for one registry."""


def registry_context(
    component: pulumi.Resource, name: str, objects: ObjectSettings, image: pulumi.Input[str]
) -> Context:
    """Return the context of the registry's objects, with the namespace of the settings, which is not checked yet."""
    return create_context(
        component,
        name,
        APP,
        component="registry",
        image=image,
        namespace=objects.namespace,
        labels=objects.labels,
        annotations=objects.annotations,
    )


class PrivateRegistry(pulumi.ComponentResource):
    """A registry with TLS and passwords. It stores images in a node's folder, a claim or an object store."""

    endpoint: pulumi.Output[str]
    """host:port, as in `docker login` and in image references."""
    ca_pem: pulumi.Output[str]
    """Every CA that clients must trust, PEM: a whole file for certs.d. With s3_redirect also that of the bucket."""
    username: pulumi.Output[str]
    """The login of the first of `users`. Empty with `users_secret` or `token`."""
    password: pulumi.Output[str]
    """The password of that login, a secret. Empty with `users_secret` or `token`."""
    passwords: pulumi.Output[dict[str, str]]
    """All accepted passwords by login, a secret. Empty with `users_secret` or `token`."""
    namespace: pulumi.Output[str]
    """The namespace of its objects."""
    addresses: pulumi.Output[list[str]]
    """Addresses for clients outside the cluster, if known: external IPs, or those of the load balancer."""
    next_steps: pulumi.Output[str]
    """How a client with Docker trusts it, logs in and pushes: lines of text for people, without a secret."""

    def __init__(self, name: str, args: PrivateRegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("private-registry:index:PrivateRegistry", component_name(name), {}, opts)
        settings = resolve(args)
        objects, exposure, tls = settings.objects, settings.exposure, settings.tls
        storage, workload = settings.storage, settings.workload
        kind = EXPOSURES[exposure.exposure]
        ctx = registry_context(self, name, objects, workload.image)

        tolerations = own_tolerations(workload, is_pinned=storage.kind.is_on_node)
        after, found, node = check_preconditions(ctx, settings, tolerations, needs_node=kind.needs_node)
        endpoint = resolve_endpoint(APP, objects.namespace, exposure, found)
        if objects.create_namespace:
            is_root, is_kept = workload.run_as_user == 0, storage.kind.keeps_namespace
            namespace = create_namespace(ctx, objects.namespace, is_root=is_root, is_kept=is_kept, after=after)
        else:
            user = workload.run_as_user
            namespace = use_namespace(objects.namespace, run_as_user=user, found=found, after=after)
        ctx = ctx.in_namespace(namespace.name)

        authority: CertificateAuthority | ExistingCertificate
        if tls.is_generated:
            authority = CertificateAuthority(ctx, tls, endpoint.hosts)
        elif tls.tls_secret is None:
            secret = request_certificate(ctx, tls, endpoint.host, exposure.certificate_names)
            authority = ExistingCertificate(ctx, secret, None, is_hostname=False, key="certificate_issuer")
        else:
            authority = ExistingCertificate(ctx, tls.tls_secret, endpoint.host, is_hostname=kind.is_external)
        ca_pem = with_bucket_ca(authority.ca_pem, storage, workload.upstream_ca)
        service = create_service(ctx, exposure, PORT)
        trust = NO_TRUST
        if settings.node_trust is not None:
            # An existing certificate is not for the Service's address, so the nodes use the name then.
            address = NodeAddress(cluster_address(service), exposure.port) if tls.is_generated else None
            trust = trust_on_nodes(ctx, settings.node_trust, endpoint.host_port, ca_pem, address)
        certificate = authority.issue(trust.with_addresses(endpoint.hosts), after=trust.after)

        users = Users(ctx, settings.users, has_file=settings.access is None)
        before_pods: list[pulumi.Resource] = [certificate, users, *create_service_account(ctx, workload)]
        credentials: pulumi.Resource = users
        front: Front | None = None
        if settings.front is not None:
            logging = Logging(settings.front.log_level, settings.front.log_format)
            key_pair = None if tls.is_live else Certificate(certificate.chain, certificate.key)
            state = STORAGE_STATE if settings.front.min_free else ""
            reloaded = LIVE_CERTIFICATE if tls.is_live else ""
            endpoints = Endpoints(f":{PORT}", SOCKET, FRONT_FOLDER, state, reloaded, exposure.may_have_ipv6)
            if settings.access is None:
                proxy = create_tls_proxy_secret(ctx, logging, endpoints)
            else:
                proxy = credentials = create_access_secret(
                    ctx, settings.access, logging, endpoints, key_pair, users.passwords, users.hashes
                )
            live = certificate.secret_name if tls.is_live else None
            front = Front(settings.front, ACCESS_SECRET, WATCH_SCRIPT, MOUNT_PATH, live, settings.access is not None)
            before_pods.append(proxy)
        images = Storage(ctx, storage, namespace.own, found, node.hostname if node is not None else None)
        upstreams = upstream_urls(storage, settings.serving.mirror)
        node_selector = label_node(ctx, storage.node_label, node.name) if node is not None else None
        inputs = WorkloadInputs(
            certificate=certificate.secret_name if front is None else None,
            certificate_revision=certificate.revision if front is None else "",
            users=users.secret_name if settings.access is None and settings.users.token is None else None,
            front=front,
            claim=images.claim_name,
            claim_path=MOUNT_PATH,
            driver=images.driver,
            node_selector=node_selector,
            external_url=pulumi.Output.concat("https://", endpoint.host_port) if kind.behind_ingress else None,
            pods_overlap=storage.pods_overlap,
            upstreams=upstreams,
            after=before_pods,
        )
        pods = Workload(ctx, workload, settings.serving, inputs)
        authority.complete_rotation_step(after=[pods])

        monitoring = settings.monitoring
        ports = Ports(PORT, METRICS_PORT if monitoring is not None else None)
        exporter = exporter_labels(ctx) if monitoring is not None and monitoring.has_exporter else None
        servers = with_proxies(upstreams, workload.outbound_proxy)
        create_network_policy(
            *(ctx, ports, exposure.client_cidrs, storage, servers),
            behind_ingress=kind.behind_ingress,
            has_account=workload.service_account is not None,
            exporter=exporter,
        )
        if settings.maintenance is not None:
            jobs = MaintenanceInputs(
                images.claim_name, MOUNT_PATH, images.driver, node_selector, servers, upstreams, after=[pods]
            )
            create_maintenance(ctx, settings.maintenance, storage, workload, jobs)
        if kind.create_route is not None:
            kind.create_route(ctx, exposure, service, certificate.secret_name)
        if monitoring is not None:
            watched = MonitoringInputs(
                namespace=objects.namespace,
                metrics_port=METRICS_PORT,
                limits=thresholds(tls, settings.front.min_free if settings.front is not None else 0),
                periods=task_periods(settings.maintenance),
                address=cluster_address(service),
                port=exposure.port,
                target_port=PORT,
                host=endpoint.host,
                ca_pem=authority.ca_pem,
                program=program_files(),
                claim=images.claim_name,
                claim_path=MOUNT_PATH,
                node_selector=node_selector,
                storage=partial(storage_settings, MOUNT_PATH),
                driver=images.driver,
                after=[pods],
            )
            create_monitoring(ctx, monitoring, storage, workload, watched)
        if settings.pull_secrets is not None:
            puller = current_login(PULL_USER, settings.users.password_generations)
            password = users.passwords.apply(lambda passwords: passwords[puller])
            login = Login(pulumi.Output.from_input(puller), password, accepted_after=credentials)
            create_pull_secrets(ctx, settings.pull_secrets, endpoint.host_port, login, found)
        if settings.discovery:
            create_discovery_config_map(ctx, endpoint.host_port, exposure.port)

        self.endpoint = endpoint.host_port
        self.ca_pem = ca_pem
        self.username, self.password = users.username, users.password
        self.passwords = users.passwords
        self.namespace = namespace.name
        self.addresses = external_addresses(exposure, service)
        self.next_steps = next_steps(
            *(exposure.exposure, settings.serving.mode, self.endpoint, self.username, self.addresses),
            is_external=kind.is_external,
        )
        self.register_outputs({key: getattr(self, key) for key in PrivateRegistry.__annotations__})
