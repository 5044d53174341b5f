"""The table of the programs that can be built, with their versions and their packages.

The engine and its providers have the versions of the installed wheels (`engine.py` checks it), because the engine asks
for exactly the plugin that a wheel names. So change the pins of requirements.txt, go.mod and this table together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dev.toolchain import prepare
from dev.toolchain.golang import Go

MODULES = Path(__file__).with_name("modules")

COMPILER_FLAGS = "-dwarf=false"
"""Flags of the compiler for every package."""

LEGACY_MODULES = {"docker": "github.com/docker/cli"}
"""Published module without a go.mod, by the folder in `modules` that requires it. Go would compile it as Go 1.16."""

KUBERNETES = {"1.37": "1.37.2", "1.36": "1.36.3"}
"""Versions of Kubernetes by their release. The first is the default, and the last is the oldest that is promised."""

RELEASE, *OTHER_RELEASES = KUBERNETES
"""The default release of Kubernetes, and those that only a run with `K8S` builds."""

OLDEST_KUBERNETES = [*KUBERNETES.values()][-1]
"""Version of the oldest Kubernetes that is promised."""

CONTAINERD = "2.4.2"
MOBY = "2.0.0-beta.24"
"""Version of the Go module of the Docker engine."""
DOCKER_ENGINE = "29.8.1"
"""Release of Docker that has the code of this module. The build sets it as the engine's version."""
DOCKER_CLIENT = "29.9.3"
DOCKER_TAGS = ("nri_no_wasm",)
"""Build tags of both. With the same tags they share compiled packages."""
PULUMI = "3.259.0"
LANGUAGE_PYTHON = "3.201.0"
"""Version of the newest language host that is published as a Go module. Newer engines accept it."""
LANGUAGE_YAML = "1.38.0"
"""Version of the language host that only an end-to-end test with a YAML program needs. `make up` does not build it."""


PROMETHEUS = "0.316.0"
"""Version of the Go module of Prometheus 3.16.0."""


@dataclass(frozen=True)
class Program:
    """A program: `go build PACKAGE` in `modules/MODULE`, with its version set by the linker.

    Most programs share one module, so that a package that several need is compiled once. Some old programs, those of
    Prometheus, regsync, fake-gcs-server, gen-sdk and Docker have modules of their own. A module of an older Kubernetes
    shares its main package.
    """

    name: str
    version: str
    package: str
    stamps: tuple[str, ...]
    """Go string variables and their values, for the linker's `-X`."""
    module: str = "current"
    aliases: tuple[str, ...] = ()
    """Other names of the program, created as symbolic links."""
    generator: str = ""
    """Package that is built first, into the copy of the module, for `prepare` to run."""
    prepare: Callable[[Go, Path, str], None] | None = None
    """Function that writes the files that PACKAGE embeds. Its arguments are Go, the copy and the version."""
    replacements: tuple[str, ...] = ()
    """Replacements of modules for this program alone, as arguments of `go mod edit -replace`."""
    tags: tuple[str, ...] = ()
    """Build tags for this program alone."""
    scripts: tuple[str, ...] = ()
    """Files of the Pulumi SDK's module that the program looks for in its own folder."""

    @property
    def sources(self) -> Path:
        return MODULES / self.module

    @property
    def packages(self) -> tuple[str, ...]:
        return (*filter(None, [self.generator]), self.package)

    @property
    def shares_packages(self) -> bool:
        """Whether it has the versions of its module, so that its packages are those of the module's other programs."""
        return not self.replacements

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments of `go list` and `go build`."""
        legacy_module = LEGACY_MODULES.get(self.module)
        language = (f"-gcflags={legacy_module}/...={COMPILER_FLAGS} -lang=go1.26",) if legacy_module else ()
        return (*build_arguments(*self.tags), *language)

    @property
    def ldflags(self) -> str:
        return " ".join(["-s -w", *(f"-X {stamp}" for stamp in self.stamps)])


def build_arguments(*tags: str) -> tuple[str, ...]:
    """Return arguments of `go list` and `go build`. Programs with the same ones share compiled packages.

    The tag grpcnotrace leaves out gRPC's request traces, which make the linker keep functions that nothing calls. Debug
    information is not linked (`-s -w`), so the compiler need not write it: that saves an eighth of its time.
    """
    return ("-trimpath", "-tags", ",".join(["grpcnotrace", *tags]), f"-gcflags=all={COMPILER_FLAGS}")


def _pin(version: str, *modules: str) -> tuple[str, ...]:
    """Return the replacements that pin modules to an older version for one program."""
    return tuple(f"{module}={module}@{version}" for module in modules)


def _kubernetes(release: str, name: str, module: str) -> Program:
    """Return the program with etcd, every daemon of Kubernetes, and kubectl."""
    version = KUBERNETES[release]
    major, minor = release.split(".")
    return Program(
        name=name,
        version=version,
        module=module,
        package="./cmd/kube",
        stamps=(
            f"k8s.io/component-base/version.gitVersion=v{version}",
            f"k8s.io/component-base/version.gitMajor={major}",
            f"k8s.io/component-base/version.gitMinor={minor}",
            f"k8s.io/client-go/pkg/version.gitVersion=v{version}",
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
    )


PROGRAMS = {
    program.name: program
    for program in (
        _kubernetes(RELEASE, "kube", "current"),
        *(_kubernetes(release, f"kube-{release}", f"kube-{release}") for release in OTHER_RELEASES),
        # The container runtime of the nodes and of the laptop, without snapshotters and tracing that need other tools.
        Program(
            name="containerd",
            version=CONTAINERD,
            package="./cmd/containerd",
            stamps=(f"github.com/containerd/containerd/v2/version.Version=v{CONTAINERD}",),
            tags=("no_devmapper", "no_tracing", "no_zfs"),
            aliases=("ctr",),
        ),
        # One process runs for each Pod, so it is built without gRPC.
        Program(
            name="containerd-shim-runc-v2",
            version=CONTAINERD,
            package="github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            stamps=(f"github.com/containerd/containerd/v2/version.Version=v{CONTAINERD}",),
            tags=("no_grpc",),
        ),
        # The newest Docker, which tests of clients run, in a module of its own: the client needs newer packages.
        Program(
            name="dockerd",
            version=DOCKER_ENGINE,
            module="docker",
            package="github.com/moby/moby/v2/cmd/dockerd",
            stamps=(f"github.com/moby/moby/v2/dockerversion.Version={DOCKER_ENGINE}",),
            tags=DOCKER_TAGS,
        ),
        Program(
            name="docker",
            version=DOCKER_CLIENT,
            module="docker",
            package="github.com/docker/cli/cmd/docker",
            stamps=(f"github.com/docker/cli/cli/version.Version={DOCKER_CLIENT}",),
            tags=DOCKER_TAGS,
        ),
        Program(
            name="registry",
            version="3.1.2",
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
        # The tool of a backup. In a module of its own it does not change the versions of the other programs.
        Program(
            name="regsync",
            version="0.11.7",
            module="regsync",
            package="github.com/regclient/regclient/cmd/regsync",
            stamps=(),  # It reads its version from the build information.
        ),
        Program(
            name="versitygw",
            version="1.8.0",
            package="github.com/versity/versitygw/cmd/versitygw",
            stamps=("main.Version=v1.8.0",),
        ),
        # An emulator of Google Cloud Storage for the tests. In a module of its own, as regsync.
        Program(
            name="fake-gcs-server",
            version="1.56.1",
            module="fake-gcs-server",
            package="github.com/fsouza/fake-gcs-server",
            stamps=(),
        ),
        Program(
            name="traefik",
            version="3.7.13",
            package="github.com/traefik/traefik/v3/cmd/traefik",
            stamps=("github.com/traefik/traefik/v3/pkg/version.Version=v3.7.13",),
            # Traefik needs older log packages, and a fork of gorilla/mux. The registry needs the original.
            replacements=(
                "github.com/gorilla/mux=github.com/containous/mux@v0.0.0-20250523120546-41b6ec3aed59",
                *_pin(
                    "v0.20.0",
                    "go.opentelemetry.io/otel/log",
                    "go.opentelemetry.io/otel/sdk/log",
                    "go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp",
                    "go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc",
                ),
            ),
        ),
        # Clients that only end-to-end tests run. Most of their packages are those of the programs above and below.
        Program(
            name="crane",
            version="0.22.1",
            package="github.com/google/go-containerregistry/cmd/crane",
            stamps=("github.com/google/go-containerregistry/cmd/crane/cmd.Version=v0.22.1",),
        ),
        Program(
            name="oras",
            version="1.3.0",
            package="oras.land/oras/cmd/oras",
            stamps=("oras.land/oras/internal/version.Version=1.3.0",),
        ),
        Program(
            name="helm",
            version="3.20.2",
            package="helm.sh/helm/v3/cmd/helm",
            stamps=("helm.sh/helm/v3/internal/version.version=v3.20.2",),
        ),
        Program(
            name="conformance",
            version="0.0.0-20260831232431-97274622c111",
            package="github.com/opencontainers/distribution-spec/conformance",
            stamps=(),  # It has no version of its own.
        ),
        # Prometheus without its user interface, and without service discovery. A test writes the targets to a file.
        Program(
            name="prometheus",
            version=PROMETHEUS,
            module="prometheus",
            package="github.com/prometheus/prometheus/cmd/prometheus",
            stamps=(f"github.com/prometheus/common/version.Version={PROMETHEUS}",),
            tags=("remove_all_sd",),
        ),
        Program(
            name="promtool",
            version=PROMETHEUS,
            module="prometheus",
            package="github.com/prometheus/prometheus/cmd/promtool",
            stamps=(f"github.com/prometheus/common/version.Version={PROMETHEUS}",),
            tags=("remove_all_sd",),
        ),
        Program(
            name="kube-state-metrics",
            version="2.15.0",
            module="kube-state-metrics",
            package="k8s.io/kube-state-metrics/v2",
            stamps=("github.com/prometheus/common/version.Version=v2.15.0",),
        ),
        # The main package of cert-manager is not published, so the module has one.
        Program(
            name="cert-manager",
            version="1.21.2",
            module="cert-manager",
            package=".",
            stamps=(),  # It has no version of its own.
        ),
        Program(
            name="pulumi",
            version=PULUMI,
            package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            stamps=(f"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{PULUMI}",),
            # Its Markdown renderer needs an older version than the bridge of the providers.
            replacements=_pin("v0.0.5", "github.com/olekukonko/tablewriter"),
        ),
        Program(
            name="pulumi-language-python",
            version=LANGUAGE_PYTHON,
            package="github.com/pulumi/pulumi/sdk/python/cmd/pulumi-language-python/v3",
            module="language-python",
            stamps=(f"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{LANGUAGE_PYTHON}",),
            scripts=("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python"),
        ),
        Program(
            name="pulumi-language-yaml",
            version=LANGUAGE_YAML,
            package="github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml",
            stamps=(f"github.com/pulumi/pulumi-yaml/pkg/version.Version=v{LANGUAGE_YAML}",),
        ),
        # Generators of SDKs for languages whose hosts are not published as modules. It shares packages with the engine.
        Program(
            name="gen-sdk",
            version=PULUMI,
            module="gen-sdk",
            package=".",
            stamps=(),  # It has no version of its own.
        ),
        Program(
            name="pulumi-resource-random",
            version="4.21.4",
            package="./cmd/pulumi-resource-random",
            stamps=("private-registry/toolchain/random.Version=4.21.4",),
            generator="./cmd/pulumi-tfgen-random",
            prepare=prepare.write_random_schema,
        ),
        Program(
            name="pulumi-resource-tls",
            version="5.6.2",
            package="./cmd/pulumi-resource-tls",
            stamps=("private-registry/toolchain/tls.Version=5.6.2",),
            generator="./cmd/pulumi-tfgen-tls",
            prepare=prepare.write_tls_schema,
        ),
        Program(
            name="pulumi-resource-kubernetes",
            version="4.29.0",
            package="./cmd/pulumi-resource-kubernetes",
            stamps=("github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version.Version=4.29.0",),
            prepare=prepare.copy_kubernetes_files,
            # It does not compile with the Pulumi packages of the engine's version.
            replacements=_pin("v3.228.0", "github.com/pulumi/pulumi/pkg/v3", "github.com/pulumi/pulumi/sdk/v3"),
        ),
    )
}
