"""The table of the programs that can be built, with their versions and the arguments of `go build`.

The Pulumi programs have the versions of the installed wheels (`engine.py` checks it), because the engine asks for
exactly the plugin that a wheel names. So change the pins of requirements.txt, go.mod and this table together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dev.toolchain import complete, prepare
from dev.toolchain.golang import Go

MODULES = Path(__file__).with_name("modules")

KUBERNETES = "1.36.3"
PULUMI = "3.259.0"
LANGUAGE_PYTHON = "3.201.0"
"""Version of the newest language host that is published as a Go module. Newer engines accept it."""
LANGUAGE_YAML = "1.38.0"
"""Version of the language host that only an end-to-end test with a YAML program needs. `make up` does not build it."""


@dataclass(frozen=True)
class Program:
    """A program: `go build PACKAGE` in `modules/MODULE`, with its version set by the linker."""

    name: str
    version: str
    module: str
    package: str
    stamps: tuple[str, ...]
    """Go string variables and their values, for the linker's `-X`."""
    tags: str = ""
    aliases: tuple[str, ...] = ()
    """Other names of the program, created as symbolic links."""
    generator: str = ""
    """Package that is built first, into the copy of the module, for `prepare` to run."""
    prepare: Callable[[Go, Path, str], None] | None = None
    """Function that writes the files that PACKAGE embeds, called with that copy and the version."""
    scripts: tuple[str, ...] = ()
    """Files of the Pulumi SDK's module that the program looks for in its own folder."""

    @property
    def sources(self) -> Path:
        return MODULES / self.module

    @property
    def packages(self) -> tuple[str, ...]:
        return (*filter(None, [self.generator]), self.package)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments that `go list` and `go build` share."""
        return ("-trimpath", *(("-tags", self.tags) if self.tags else ()))

    @property
    def ldflags(self) -> str:
        return " ".join(["-s -w", *(f"-X {stamp}" for stamp in self.stamps)])


PROGRAMS = {
    program.name: program
    for program in (
        Program(
            name="kube",
            version=KUBERNETES,
            module="kube",
            package=".",
            stamps=(
                f"k8s.io/component-base/version.gitVersion=v{KUBERNETES}",
                "k8s.io/component-base/version.gitMajor=1",
                f"k8s.io/component-base/version.gitMinor={KUBERNETES.split('.')[1]}",
                f"k8s.io/client-go/pkg/version.gitVersion=v{KUBERNETES}",
            ),
            aliases=(
                "etcd",
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kube-proxy",
                "kubelet",
                "kubectl",
            ),
        ),
        Program(
            name="registry",
            version="3.1.2",
            module="registry",
            package="github.com/distribution/distribution/v3/cmd/registry",
            stamps=("github.com/distribution/distribution/v3/version.version=v3.1.2",),
        ),
        Program(
            name="registry-2.7",
            version="2.7.1",
            module="registry-2.7",
            package=".",
            stamps=("github.com/docker/distribution/version.Version=v2.7.1",),
        ),
        Program(
            name="versitygw",
            version="1.8.0",
            module="s3",
            package="github.com/versity/versitygw/cmd/versitygw",
            stamps=("main.Version=v1.8.0",),
        ),
        Program(
            name="traefik",
            version="3.7.13",
            module="traefik",
            package="github.com/traefik/traefik/v3/cmd/traefik",
            stamps=("github.com/traefik/traefik/v3/pkg/version.Version=v3.7.13",),
            prepare=complete.traefik,
        ),
        Program(
            name="pulumi",
            version=PULUMI,
            module="pulumi",
            package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            stamps=(f"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{PULUMI}",),
            tags="osusergo,grpcnotrace",
        ),
        Program(
            name="pulumi-language-python",
            version=LANGUAGE_PYTHON,
            module="language-python",
            package="github.com/pulumi/pulumi/sdk/python/cmd/pulumi-language-python/v3",
            stamps=(f"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{LANGUAGE_PYTHON}",),
            tags="osusergo,grpcnotrace",
            scripts=("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python"),
        ),
        Program(
            name="pulumi-language-yaml",
            version=LANGUAGE_YAML,
            module="language-yaml",
            package="github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml",
            stamps=(f"github.com/pulumi/pulumi-yaml/pkg/version.Version=v{LANGUAGE_YAML}",),
        ),
        Program(
            name="pulumi-resource-random",
            version="4.21.4",
            module="providers",
            package="./cmd/pulumi-resource-random",
            stamps=("private-registry/toolchain/providers/random.Version=4.21.4",),
            generator="./cmd/pulumi-tfgen-random",
            prepare=prepare.random,
        ),
        Program(
            name="pulumi-resource-tls",
            version="5.6.2",
            module="providers",
            package="./cmd/pulumi-resource-tls",
            stamps=("private-registry/toolchain/providers/tls.Version=5.6.2",),
            generator="./cmd/pulumi-tfgen-tls",
            prepare=prepare.tls,
        ),
        Program(
            name="pulumi-resource-kubernetes",
            version="4.29.0",
            module="provider-kubernetes",
            package=".",
            stamps=("github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version.Version=4.29.0",),
            prepare=prepare.kubernetes,
        ),
    )
}
