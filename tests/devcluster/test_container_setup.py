"""What a container's spec becomes on a node without mount namespaces and images."""

from __future__ import annotations

from pathlib import Path

import pytest

from devcluster.container_setup import Mount, arguments, exit_code, expand, rewrite
from devcluster.node import Addresses

MOUNTS = [Mount("/data", Path("/real/d")), Mount("/data/deep", Path("/real/deep")), Mount("/log", Path("/real/data"))]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("$(A)", "1", id="a known name is replaced"),
        pytest.param("x-$(A)$(B)", "x-12", id="anywhere in the text, any number of times"),
        pytest.param("$(NOBODY)", "$(NOBODY)", id="an unknown name stays as it is"),
        pytest.param("$$(A)", "$(A)", id="two dollar signs are one, and no reference"),
        pytest.param("$A ${A} $", "$A ${A} $", id="what a shell would expand is left to the shell"),
    ],
)
def test_references_are_expanded_as_in_kubernetes(text: str, want: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("/data", "/real/d", id="the mount itself"),
        pytest.param("--out=/data/x.txt", "--out=/real/d/x.txt", id="a path below it, in an argument"),
        pytest.param("cat /data/a > /log", "cat /real/d/a > /real/data", id="several, in a shell line"),
        pytest.param("/data/deep/x", "/real/deep/x", id="the deepest mount wins"),
        pytest.param("/database", "/database", id="a longer name is another path"),
        pytest.param("/data-old", "/data-old", id="a name that goes on with a dash is, too"),
        pytest.param("/home/data", "/home/data", id="the end of another path is none"),
        pytest.param("/log", "/real/data", id="a real path that looks like a mount is not replaced again"),
    ],
)
def test_paths_at_or_below_a_mount_become_real(text: str, want: str) -> None:
    assert rewrite(text, MOUNTS) == want


@pytest.mark.parametrize(
    ("container", "want"),
    [
        pytest.param({}, ["in", "it"], id="nothing said: the image's entrypoint and command"),
        pytest.param({"args": ["a"]}, ["in", "a"], id="args replace the image's command"),
        pytest.param({"command": ["c"]}, ["c"], id="a command replaces both"),
        pytest.param({"command": ["c"], "args": ["a"]}, ["c", "a"], id="command and args"),
    ],
)
def test_command_and_args_meet_the_image(container: dict[str, list[str]], want: list[str]) -> None:
    assert arguments(container, ["in"], ["it"]) == want


@pytest.mark.parametrize(
    ("returncode", "want"),
    [pytest.param(0, 0, id="success"), pytest.param(3, 3, id="a code"), pytest.param(-15, 143, id="death by SIGTERM")],
)
def test_exit_codes_are_a_containers(returncode: int, want: int) -> None:
    assert exit_code(returncode) == want


def test_a_freed_address_is_the_last_to_be_used_again() -> None:
    addresses = Addresses("127.64.1.0", 256)
    first = addresses.take()
    addresses.give_back(first)
    assert first == "127.64.1.1"
    assert [addresses.take() for _ in range(254)][-1] == first
    with pytest.raises(LookupError, match="no pod address left"):
        addresses.take()
