"""The workflows, against the schema that check-jsonschema brings along."""

import pathlib
import re
import subprocess
import sys

import pytest
import yaml

import easel

WORKFLOWS = sorted((easel.ROOT / ".github/workflows").glob("*.yml"))


def test_there_are_two():
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "release.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_as_github_takes_it(path):
    check = pathlib.Path(sys.executable).with_name("check-jsonschema")
    command = [check, "--builtin-schema", "vendor.github-workflows", path]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_no_more_than_it_needs(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        for need in [job.get("needs", [])]:
            assert set([need] if isinstance(need, str) else need) <= workflow["jobs"].keys(), name
        for step in job["steps"]:
            # What others may push to, such as a branch name, is never part of a command.
            assert not re.search(r"\$\{\{\s*github\.(head_ref|event)", step.get("run", "")), step
            # Somebody else's code is named by commit: a tag can be moved.
            used = step.get("uses")
            assert used is None or re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used) or used.startswith("actions/"), used
