"""What starting a server takes."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from starlette.testclient import TestClient
from headfit.serve import create_app

with TestClient(create_app(sys.argv[1])) as client:
    assert client.post("/v1/predict", content=open(sys.argv[2], "rb").read()).status_code == 200
print(sorted({"keras", "jax", "sklearn", "matplotlib", "tensorflow"} & sys.modules.keys()))
"""


def test_a_model_whose_graph_is_cached_is_served_without_keras(run):
    image = run.folder / "image.png"
    image.write_bytes(run.files[0])
    command = [sys.executable, "-c", CODE, str(run.model), str(image)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
