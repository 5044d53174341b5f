"""The engine runs the policy pack, and refuses changes of the example with the sentences of the rules.

Only the engine shows what a policy sees of a change, and which resources a plan loses.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from dev.environment import PROJECT, STATE
from policy.rules import RULES
from tests.e2e.lab import NAME, WITHOUT_BYTECODE, Lab, Project, marked_block, projects

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
    """The deployed example, in a folder with a copy of the pack like that of the clone."""

    project: Project
    pack: Path

    @property
    def program(self) -> Path:
        return self.project.folder / "__main__.py"

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script in the folder of the example, as a person types it there."""
        stack = {"PULUMI_STACK": self.project.folder.name}
        environment = self.project.lab.environment.with_variables(stack)
        return environment.run("env", "--chdir", str(self.project.folder), "sh", "-ec", script, check=False)


@pytest.fixture(scope="module")
def pack(lab: Lab) -> Path:
    """Copy the pack, and install its virtual environment with the command of the page."""
    root = STATE / NAME / "with-policy"
    shutil.rmtree(root, ignore_errors=True)
    target = root / "policy"
    shutil.copytree(PROJECT / "policy", target, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    (root / "registry").symlink_to(PROJECT / "registry")
    # The laptop does not reach the package index, but this machine does.
    command = ["sh", "-ec", marked_block("policy-install", "sh", PAGE)]
    variables = lab.environment.env | WITHOUT_BYTECODE
    installed = subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return target


@pytest.fixture(scope="module")
def example(lab: Lab, pack: Path) -> Iterator[Example]:
    """Deploy the example under the rules of the pack."""
    lab.cluster.load_haproxy()
    with projects(lab) as create:
        project = create("policy")
        folder = pack.parent / "examples/policy"
        folder.parent.mkdir()
        # The commands of the page contain the path from the example to the pack.
        shutil.move(project.folder, folder)
        os.symlink(folder, project.folder)
        deployed = Example(project, pack)
        done = deployed.run(f"pulumi --non-interactive up --yes --skip-preview {options()}")
        assert done.returncode == 0, done.stdout + done.stderr
        yield deployed
        project.configure(protect=False)
        project.up()


def options() -> str:
    """Return the options of the page for the pack."""
    return marked_block("policy-preview", "sh", PAGE).strip().removeprefix("pulumi preview ")


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
    assert "The plan keeps all volumes, claims, namespaces and storage locations" in done.stdout
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


def test_the_check_of_the_plan_refuses_what_policies_do_not_see(example: Example) -> None:
    """A policy sees no deletions. The protection is removed, because the engine itself would refuse them."""
    before = example.program.read_text()
    example.project.configure(protect=False)
    try:
        example.program.write_text("")
        plan = example.run(marked_block("policy-changes", "sh", PAGE))
        assert plan.returncode == 1, plan.stdout + plan.stderr
        for name in ("registry-namespace", "registry-data-claim", "registry-data-volume", "registry-data-location"):
            assert any(
                line.startswith("The plan would delete urn:") and line.endswith(f"::{name}.")
                for line in plan.stderr.splitlines()
            ), plan.stderr
        pinned = example.run(marked_block("policy-preview", "sh", PAGE))
        assert pinned.returncode != 0
        assert "The registry `registry` is not in the program any more." in pinned.stdout
    finally:
        example.program.write_text(before)
        example.project.configure()
    destroyed = example.run(marked_block("policy-destroy", "sh", PAGE))
    assert destroyed.returncode != 0


def test_a_wrong_config_of_the_pack_is_refused(example: Example) -> None:
    file = example.project.folder / "wrong.json"
    file.write_text(json.dumps({"generated-password-is-long": {"length": "long"}}))
    done = example.run(f"pulumi preview --policy-pack ../../policy --policy-pack-config {file.name}")
    assert done.returncode != 0
    assert "generated-password-is-long: length" in done.stdout + done.stderr


def test_the_config_of_the_example_names_rules_that_exist() -> None:
    config = json.loads((PROJECT / "examples/policy/policy.json").read_text())
    assert config.keys() <= {rule.name for rule in RULES}
    program = yaml.safe_load((PROJECT / "examples/policy/Pulumi.yaml").read_text())
    assert program["config"]["protect"]["default"] is True
