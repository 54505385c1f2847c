"""The manifests: against Kubernetes' own schemas, and against what Easel does."""

import urllib.request

import kubernetes_validate
import pytest
import yaml

import easel

FOLDER = easel.ROOT / "infrastructure/kubernetes"
MANIFESTS = [
    (path.name, document)
    for path in sorted(FOLDER.iterdir())
    if path.suffix in (".yaml", ".example")
    for document in yaml.safe_load_all(path.read_text())
]


def only(kind):
    (document,) = [document for _, document in MANIFESTS if document["kind"] == kind]
    return document


@pytest.fixture
def pod():
    return only("Deployment")["spec"]["template"]["spec"]


@pytest.fixture
def container(pod):
    (container,) = pod["containers"]
    return container


@pytest.mark.parametrize("version", ["1.29", "1.32", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: f"{manifest[0]} {manifest[1]['kind']}")
def test_a_manifest_is_as_kubernetes_takes_it(manifest, version):
    kubernetes_validate.validate(manifest[1], version, strict=True)


def test_all_stand_in_one_namespace():
    assert {d["metadata"].get("namespace") for _, d in MANIFESTS if d["kind"] != "Namespace"} == {"easel"}
    assert only("Namespace")["metadata"]["name"] == "easel"


def test_what_names_each_other_exists(pod, container):
    deployment, labels = only("Deployment"), only("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels == only("Service")["spec"]["selector"]
    assert only("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert only("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    assert only("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert pod["serviceAccountName"] == only("ServiceAccount")["metadata"]["name"]
    assert container["envFrom"] == [{"secretRef": {"name": only("Secret")["metadata"]["name"]}}]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes.keys() == {mount["name"] for mount in container["volumeMounts"]}
    assert volumes["config"]["configMap"]["name"] == only("ConfigMap")["metadata"]["name"]
    (port,) = container["ports"]
    assert only("Service")["spec"]["ports"][0]["targetPort"] == port["name"]
    assert only("NetworkPolicy")["spec"]["ingress"][0]["ports"][0]["port"] == port["containerPort"] == 4000
    # The file that the container is told to read is one of the map's.
    folder = next(mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "config")
    flag, path = container["args"]
    assert (flag, path.rsplit("/", 1)[0]) == ("--config", folder)
    assert path.rsplit("/", 1)[1] in only("ConfigMap")["data"]


def test_no_rollout_and_no_drain_loses_a_picture(pod):
    """Easel's own deadline, and the seconds in which it still takes requests, end before Kubernetes' patience does."""
    assert pod["terminationGracePeriodSeconds"] > 330 + 5
    assert only("Deployment")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert only("HorizontalPodAutoscaler")["spec"]["minReplicas"] >= 2


def test_a_pod_is_as_restricted_as_pods_can_be(pod, container):
    assert only("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False


def test_the_example_secret_is_refused_at_start(tmp_path):
    (tmp_path / "config.yaml").write_text(only("ConfigMap")["data"]["config.yaml"])
    key = only("Secret")["stringData"]["LITELLM_MASTER_KEY"]
    said = easel.run(
        "--config", "config.yaml", "--host", "0.0.0.0", "--port", "0", environment={"LITELLM_MASTER_KEY": key}, folder=tmp_path
    )
    assert said.returncode == 64, said.stderr


def test_the_probes_answer(container, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(only("ConfigMap")["data"]["config.yaml"])
    key = {"LITELLM_MASTER_KEY": "k" * 48}
    said = easel.run("check", "--strict", str(path), environment=key)
    assert said.returncode == 0, said.stdout
    with easel.running("--config", str(path), "--host", "0.0.0.0", "--port", "0", environment=key) as url:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert urllib.request.urlopen(url + container[probe]["httpGet"]["path"], timeout=30).status == 200
