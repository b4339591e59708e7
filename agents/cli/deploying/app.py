"""The command's options. Only typer is imported here, as in `agents.cli.app`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agents.cli.options import HOME, HomeOption, JsonOption


class TargetName(StrEnum):
    """The platforms, as people type them; the same names as in `agents.deploying.targets`, which is not imported here."""

    SYSTEMD = "systemd"
    LOCAL = "local"
    K8S = "k8s"
    COMPOSE = "compose"
    FLY = "fly"


def deploy(
    target: Annotated[TargetName, typer.Argument(help="Where it is to run.")],
    name: Annotated[str, typer.Argument(help="The agent's id.")],
    file: Annotated[Path, typer.Argument(help="The agent's folder, or its file; it is deployed as it is.")],
    image: Annotated[str, typer.Option(help="Image with the program, best by digest; see Containerfile.")] = "",
    nats_url: Annotated[
        str, typer.Option(envvar="AGENTBUS_NATS_URL", help="The server, as the agent reaches it from there.")
    ] = "",
    instances: Annotated[int, typer.Option(min=1, max=8, help="How many of it; as in the fleet file.")] = 1,
    memory_mb: Annotated[int, typer.Option(min=256, help="Memory that one instance may have.")] = 2048,
    cpus: Annotated[float, typer.Option(min=0.1, help="Processors that one instance may have.")] = 2.0,
    health_port: Annotated[int, typer.Option(min=1, max=65535, help="Where probes ask.")] = 8080,
    metrics_port: Annotated[int, typer.Option(min=1, max=65535, help="Where Prometheus asks.")] = 9090,
    namespace: Annotated[str, typer.Option(help="Namespace of Kubernetes.")] = "agentbus",
    metrics_from: Annotated[
        str, typer.Option(help="Namespace of Kubernetes from which Prometheus asks; nobody else may.")
    ] = "monitoring",
    region: Annotated[str, typer.Option(help="Region of Fly.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder to write to: deploy/TARGET/NAME unless given.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the files; write nothing.")] = False,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Write what a platform needs to run an agent, and print the commands that put it there; none of them is run.

    Example: agentbus deploy k8s researcher agents/researcher --image IMAGE --nats-url tls://nats:4222 --dry-run
    """
    from agents.cli.deploying import commands
    from agents.deploying import Wanted

    wanted = Wanted(
        image=image,
        nats_url=nats_url,
        instances=instances,
        memory_mb=memory_mb,
        cpus=cpus,
        health_port=health_port,
        metrics_port=metrics_port,
        namespace=namespace,
        metrics_from=metrics_from,
        region=region,
        home=home,
    )
    commands.deploy(commands.Deployed(target.value, name, file, out), wanted, is_dry=dry_run, as_json=as_json)
