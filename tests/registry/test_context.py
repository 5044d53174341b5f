"""A part needs only a context and its own settings, and no whole registry."""

from typing import Any

import pulumi

from registry.context import Context, create_context
from registry.lookup import FoundObjects
from registry.monitoring.scraping import create_metrics_service
from registry.settings import MonitoringSettings, StorageSettings
from registry.storage import Storage
from tests.conftest import Engine


def context(parent: pulumi.Resource) -> Context:
    return create_context(
        parent,
        "part",
        "docker-registry",
        component="registry",
        image="registry:3.1.2",
        namespace="team",
        labels={"example.com/team": "red"},
        annotations={},
    )


MONITORING = MonitoringSettings(
    service_monitor=False,
    monitor_labels={},
    monitor_interval=None,
    alerts=False,
    dashboard=False,
    dashboard_labels={},
    maintenance_image="python:3.14.2-alpine",
    maintenance_requests={},
    maintenance_limits={},
)


def run_part(part: Any) -> None:
    """Run a program that creates one part below a component."""

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> None:
        part(context(pulumi.ComponentResource("test:index:Parent", "parent")))

    main()


def test_a_part_is_created_without_a_registry(engine: Engine) -> None:
    run_part(lambda ctx: create_metrics_service(ctx, "registry-metrics", 5001, MONITORING))
    service = engine.one("Service").inputs
    assert service["metadata"]["namespace"] == "team"
    assert service["metadata"]["labels"]["app.kubernetes.io/component"] == "metrics"
    assert service["spec"]["selector"] == {
        "app.kubernetes.io/name": "docker-registry",
        "app.kubernetes.io/instance": "team",
    }


def test_storage_needs_only_its_own_settings(engine: Engine) -> None:
    settings = StorageSettings(
        storage="s3",
        storage_path="/srv/registry",
        storage_size="2Gi",
        storage_claim=None,
        storage_class=None,
        storage_access="ReadWriteOnce",
        mode="read-write",
        node="k8s-master",
        node_label="registry=here",
        replicas=1,
        s3_bucket="images",
        s3_region="eu-west-3",
        s3_endpoint=None,
        s3_prefix=None,
        s3_access_key=None,
        s3_secret_key=None,
        s3_secret=None,
        s3_encrypt=False,
        s3_kms_key=None,
        s3_storage_class="STANDARD",
        s3_redirect=False,
        azure_account=None,
        azure_container=None,
        azure_endpoint=None,
        azure_prefix=None,
        azure_secret=None,
        gcs_bucket=None,
        gcs_prefix=None,
        gcs_secret=None,
    )
    run_part(lambda ctx: Storage(ctx, settings, None, pulumi.Output.from_input(FoundObjects()), None))
    assert engine.one("Stash").inputs["input"]["storage"] == "s3"
    assert settings.uses_role
