"""The engine runs the policy pack, and refuses changes of the example with the sentences of the rules.

Only the engine shows how a policy sees a change, and which resources a plan loses.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from dev.environment import PROJECT, STATE
from policy.rules import RULES
from tests.e2e.lab import NAME, WITHOUT_BYTECODE, Lab, Project, marked_block

pytestmark = pytest.mark.e2e

PAGE = "docs/policy.md"

KEPT_LINE = (
    "    return pulumi.ResourceTransformResult(args.props, pulumi.ResourceOptions.merge(args.opts, protected))\n"
)
"""Last line of the example's transform."""

ANOTHER_FOLDER = f"""\
    if args.type_.endswith("Volume"):
        args.props["spec"] = {{**args.props["spec"], "hostPath": {{"path": "/srv/images"}}}}
        args.opts.ignore_changes = []
{KEPT_LINE}"""
"""Lines that let the volume of the registry follow a changed path."""

OPEN_PUSH = """\
    if args.name == "registry-access":
        files = pulumi.Output.from_input(args.props["stringData"])
        args.props["stringData"] = files.apply(
            lambda known: {**known, "haproxy.cfg": known["haproxy.cfg"].replace(" users0 writes", " writes")}
        )
        return pulumi.ResourceTransformResult(args.props, args.opts)
"""
"""Lines that let clients without a login push."""

POD_WITHOUT_VERSION = """
import pulumi_kubernetes

pulumi_kubernetes.core.v1.Pod(
    "client",
    metadata={"namespace": registry.namespace},
    spec={
        "containers": [
            {
                "name": "client",
                "image": "busybox",
                "security_context": {"allow_privilege_escalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
        "security_context": {
            "run_as_non_root": True, "run_as_user": 65532, "seccomp_profile": {"type": "RuntimeDefault"}
        },
    },
)
"""


@dataclass(frozen=True)
class Example:
    """The deployed example."""

    project: Project

    @property
    def program(self) -> Path:
        return self.project.folder / "__main__.py"

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script in the folder of the example, as a person types it there."""
        stack = {"PULUMI_STACK": self.project.folder.name}
        environment = self.project.lab.environment.with_variables(stack)
        return environment.run("env", "--chdir", str(self.project.folder), "sh", "-ec", script, check=False)


ROOT = STATE / NAME / "with-policy"
"""Folder that looks like the clone."""


def example_folder(name: str) -> Path:
    return ROOT / "examples" / name


@pytest.fixture(scope="module")
def pack(lab: Lab) -> Path:
    """Copy the pack and the example, and install the pack with the command of the page."""
    shutil.rmtree(ROOT, ignore_errors=True)
    shutil.copytree(PROJECT / "policy", ROOT / "policy", ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    shutil.copytree(PROJECT / "examples/policy", example_folder("policy"), symlinks=True)
    (ROOT / "registry").symlink_to(PROJECT / "registry")
    (ROOT / "venv").symlink_to(lab.virtualenv)
    # The laptop does not reach the package index, but this machine does.
    command = ["sh", "-ec", marked_block("policy-install", "sh", PAGE)]
    variables = lab.environment.env | WITHOUT_BYTECODE
    installed = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return ROOT / "policy"


@pytest.fixture(scope="module")
def example(lab: Lab, pack: Path) -> Iterator[Example]:
    """Deploy the example under the rules of the pack."""
    lab.cluster.load_haproxy()
    project = Project(lab, example_folder("policy"))
    project.pulumi("stack", "select", "--create")
    deployed = Example(project)
    options = marked_block("policy-preview", "sh", PAGE).strip().removeprefix("pulumi preview ")
    done = deployed.run(f"pulumi --non-interactive up --yes --skip-preview {options}")
    assert done.returncode == 0, done.stdout + done.stderr
    yield deployed
    project.configure(protect=False)
    project.up()
    project.pulumi("destroy", "--yes", "--skip-preview")


@pytest.fixture
def change(example: Example) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Return a function that changes the program, and runs the check of the example. The change is undone."""
    before = example.program.read_text()

    def check(replacements: Mapping[str, str], appended: str = "") -> subprocess.CompletedProcess[str]:
        text = before
        for old, new in replacements.items():
            assert old in text, old
            text = text.replace(old, new)
        example.program.write_text(text + appended)
        return example.run("./check.sh")

    yield check
    example.program.write_text(before)


def test_the_registry_of_the_readme_passes_with_a_warning(lab: Lab, pack: Path) -> None:
    done = lab.preview("--policy-pack", str(pack))
    reported = {rule.name for rule in RULES if f"]  {rule.name}  (" in done.stdout}
    assert reported == {"storage-is-protected"}, done.stdout
    assert "[mandatory]" not in done.stdout


def test_the_example_passes(example: Example) -> None:
    done = example.run("./check.sh")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[mandatory]" not in done.stdout
    assert "[advisory]" not in done.stdout
    assert "The plan keeps all volumes, claims, namespaces, buckets and storage locations" in done.stdout
    analyzed = example.run(marked_block("policy-analyze", "sh", PAGE))
    assert analyzed.returncode == 0, analyzed.stdout + analyzed.stderr


def test_a_change_of_the_folder_is_refused(
    example: Example, change: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = change({KEPT_LINE: ANOTHER_FOLDER})
    assert done.returncode != 0
    assert "volume-keeps-its-source" in done.stdout
    assert "does not ignore changes of spec.hostPath, spec.nodeAffinity. Add `spec.hostPath`" in done.stdout


def test_a_push_without_a_login_is_refused(
    example: Example, change: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    first_line = "    if args.type_ not in KEPT"
    done = change({first_line: OPEN_PUSH + first_line})
    assert done.returncode != 0
    assert "An access rule of `registry-access` allows it without a login: writes push0. Give the group" in done.stdout


def test_an_image_without_a_version_is_refused(
    example: Example, change: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = change({}, POD_WITHOUT_VERSION)
    assert done.returncode != 0
    assert "The container `client` has the image busybox, without a version. Write a tag" in done.stdout


@pytest.fixture
def empty_program(example: Example) -> Iterator[None]:
    """Remove everything from the program until the test ends."""
    before = example.program.read_text()
    example.program.write_text("")
    yield
    example.program.write_text(before)


@pytest.mark.usefixtures("empty_program")
def test_the_engine_refuses_to_delete_what_is_protected(example: Example) -> None:
    plan = example.run(marked_block("policy-changes", "sh", PAGE))
    assert plan.returncode == 2, plan.stdout + plan.stderr
    assert plan.stderr.startswith("The preview failed, so its plan may be incomplete.")
    assert "cannot be deleted" in plan.stderr


@pytest.fixture
def unprotected(example: Example) -> Iterator[None]:
    """Remove the protection until the test ends. The check of the plan refuses that."""
    example.project.configure(protect=False)
    plan = example.run(marked_block("policy-changes", "sh", PAGE))
    assert plan.returncode == 1
    assert plan.stderr.count("The plan would remove the protection of urn:") == len(STORAGE)
    example.project.up()
    yield
    example.project.configure()
    example.project.up()


STORAGE = ("registry-namespace", "registry-data-claim", "registry-data-volume", "registry-data-location")
"""Names of the resources that keep the images."""


def test_the_check_of_the_plan_refuses_deletions_which_policies_do_not_see(
    example: Example, unprotected: None, empty_program: None
) -> None:
    plan = example.run(marked_block("policy-changes", "sh", PAGE))
    assert plan.returncode == 1, plan.stdout + plan.stderr
    refused = [line for line in plan.stderr.splitlines() if line.startswith("The plan would delete urn:")]
    assert all(any(line.endswith(f"::{name}.") for line in refused) for name in STORAGE), plan.stderr
    pinned = example.run(marked_block("policy-preview", "sh", PAGE))
    assert pinned.returncode != 0
    assert "The registry `registry` is not in the program any more." in pinned.stdout
    destroyed = example.run(marked_block("policy-destroy", "sh", PAGE))
    assert destroyed.returncode == 1
    assert "The plan would delete urn:" in destroyed.stderr


def test_a_wrong_config_of_the_pack_is_refused(example: Example) -> None:
    file = example.project.folder / "wrong.json"
    file.write_text(json.dumps({"generated-password-is-long": {"length": "long"}}))
    done = example.run(f"pulumi preview --policy-pack ../../policy --policy-pack-config {file.name}")
    assert done.returncode != 0
    assert "generated-password-is-long: length" in done.stdout + done.stderr
