"""What a machine may lack, and what is skipped for it: the only place that skips; README names the same reasons."""

from __future__ import annotations

import shutil
from enum import StrEnum
from typing import NoReturn

import pytest

from agents.demo.stage import find_nats


class Reason(StrEnum):
    """Why a test is skipped."""

    NATS = "the nats command is not installed (make nats-cli builds it)"
    JQ = "jq is not installed"
    SCRIPT = "the script command of util-linux is not installed"
    NAMESPACES = "this kernel gives this user no namespaces"
    MOUNT = "this user may not mount a file system"
    ANALYZE = "systemd-analyze is not installed"
    ROOT = "booting systemd needs root"
    SYSTEMD = "systemd, or what boots it (unshare, nsenter, mount, pivot_root), is not installed"
    CGROUPS = "no cgroup hierarchy can be written"
    POLKIT = "polkit is not installed"
    PROMTOOL = "promtool is not installed"
    NFT = "nft or ip (nftables, iproute2) is not installed, or not root's to use here"


def needs(is_there: bool, reason: Reason | None) -> pytest.MarkDecorator:
    """A mark for tests of something that is not on every machine."""
    return pytest.mark.skipif(not is_there, reason=reason or "-")


def skip(reason: Reason, detail: str = "") -> NoReturn:
    """For what is seen only when it is tried."""
    pytest.skip(f"{reason}: {detail}" if detail else reason)


needs_nats = needs(find_nats() is not None, Reason.NATS)
needs_promtool = needs(shutil.which("promtool") is not None, Reason.PROMTOOL)
needs_jq = needs(shutil.which("jq") is not None, Reason.JQ)
needs_script = needs(shutil.which("script") is not None, Reason.SCRIPT)
