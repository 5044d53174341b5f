"""The versions that the tests ran with are those of the pins, and the README shows them."""

from tests import versions


def test_the_versions_of_the_last_written_run_are_those_of_the_pins() -> None:
    written = versions.read_versions()
    pins = {name: pin for name, pin in versions.PINS.items() if name in written}
    assert {name: written[name] for name in pins} == pins, "Run make test ARGS=--write-versions."
    names = [name for names in versions.ROWS.values() for name in names]
    assert {*names} - {*written} <= {versions.OLDEST}, "Only a run with K8S writes the oldest release."


def test_the_readme_has_the_table() -> None:
    assert versions.README.read_text() == versions.page(), "Run make schema."


def test_the_version_of_a_program_is_the_first_one_that_it_prints() -> None:
    outputs = {
        "containerd github.com/containerd/containerd/v2 v2.4.2 ": "2.4.2",
        "/programs/registry-2.7 github.com/docker/distribution v2.7.1": "2.7.1",
        "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1\n": "1.1.5",
        "HAProxy version 2.6.12-1+deb12u2 2025/04/16 - https://haproxy.org/": "2.6.12",
    }
    assert [versions.find_version(text) for text in outputs] == [*outputs.values()]
