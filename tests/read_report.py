# /// script
# requires-python = "==3.12.*"
# dependencies = ["ttnn-visualizer==0.108.0"]
# ///
"""What ttnn-visualizer's own server answers about a report, as JSON: `uv run --script tests/read_report.py folder`.

In an environment of its own: it wants other versions of matplotlib, pandas and pydantic than the notebooks.
"""

import json
import os
import sys
import tempfile

PAGES = ("operations", "operation-buffers", "buffers", "tensors", "devices", "errors", "cluster-descriptor")


def read(folder: str) -> dict:
    """page -> what the server answers; raises RuntimeError where it does not find the page's data."""
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"APP_DATA_DIRECTORY": home, "REPORT_DATA_DIRECTORY": home, "FLASK_ENV": "testing"}
        from ttnn_visualizer.app import create_app
        from ttnn_visualizer.instances import create_instance_from_local_paths

        app = create_app()
        with app.app_context():
            opened = create_instance_from_local_paths(folder, None).instance_id
        client, answers = app.test_client(), {}
        for page in PAGES:
            answer = client.get(f"/api/{page}", query_string={"instanceId": opened})
            if answer.status_code != 200:
                raise RuntimeError(f"{page}: {answer.status_code} {answer.get_data(as_text=True)[:200]}")
            answers[page] = answer.get_json()
        return answers


if __name__ == "__main__":
    print(json.dumps(read(sys.argv[1])))
