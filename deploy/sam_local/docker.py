"""Docker: the image of the functions' containers, and the address at which these reach this machine."""

from __future__ import annotations

import ipaddress
import json
import platform

from deploy.sam_local import ROOT, SamLocalError, run

# A script that builds a replacement for Amazon's image on machines that cannot reach a registry.
STAND_IN = ROOT.parent / "shared" / "lambda-image" / "build"
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
IMAGE = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"
# The name of this machine in containers.
HOST = "host.docker.internal"


def prepare_image() -> None:
    """Make sure that there is an image for the functions, or that sam can fetch one.

    Raises:
        SamLocalError: Docker does not run, or the image could not be made.
    """
    if STAND_IN.exists():
        made = run(STAND_IN, "3.13")
        if made.returncode != 0:
            raise SamLocalError(f"{STAND_IN} failed:\n{made.stderr.strip()}")
    elif run("docker", "info").returncode != 0:
        raise SamLocalError("Docker does not answer: `sam local` runs functions in containers.")


def image_id() -> str:
    """Return the id of the functions' image, or an empty string if it is not on this machine."""
    return run("docker", "image", "inspect", "--format", "{{.Id}}", IMAGE).stdout.strip()


def remove_containers(variable: str) -> None:
    """Remove sam's containers whose environment has `variable`, a text `NAME=VALUE`.

    sam leaves the container of a request that ends in the moment when sam is stopped.
    """
    of_sam = run("docker", "ps", "--all", "--quiet", "--filter", "label=sam.cli.container.type=lambda")
    for container in of_sam.stdout.split():
        inspected = run("docker", "inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", container)
        if variable in inspected.stdout.splitlines():
            run("docker", "rm", "--force", container)


def reachable_address() -> str:
    """Return the address at which containers reach this machine and, on Linux, other machines do not.

    Raises:
        SamLocalError: Docker has no bridge network.
    """
    if platform.system() != "Linux":
        return "127.0.0.1"  # Docker Desktop forwards to loopback
    inspected = run("docker", "network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}")
    try:
        bridge = json.loads(inspected.stdout)[0]
        # Docker before 28 names the gateway only if it was configured; otherwise it is the first address.
        return str(bridge.get("Gateway") or next(ipaddress.ip_network(bridge["Subnet"]).hosts()))
    except (ValueError, LookupError):
        raise SamLocalError(f"Docker's bridge network has no address: {inspected.stderr.strip()}") from None
