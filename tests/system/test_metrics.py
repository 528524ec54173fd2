"""What a node measures passes Prometheus' own check, and the dashboard for Grafana asks for nothing
that is not measured."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import debian
import pytest

DASHBOARD = Path(__file__).parents[2] / "examples" / "grafana.json"


@pytest.fixture
def metrics(node):
    with node.connect() as client:
        list(client.map(abs, range(10)))
    secret = {"authorization": f"Bearer {node.address.secret}"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{node.url}/metrics", headers=secret)
    ) as got:
        return got.read().decode()


def test_metrics_pass_promtool(metrics):
    if shutil.which("promtool") is None:
        debian.install("prometheus")
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_dashboard_for_grafana_asks_for_what_is_measured(metrics):
    measured = set(re.findall(r"^(\w+)[{ ]", metrics, re.MULTILINE))
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    for expression in asked:
        names = re.findall(r"\b((?:hanse|process)_\w+)", expression)
        assert names, expression
        assert set(names) <= measured, expression
    ours = {name for name in measured if name.startswith("hanse_") and "_created" not in name}
    assert ours <= set(re.findall(r"hanse_\w+", " ".join(asked)))  # and nothing is left out
