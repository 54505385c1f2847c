"""The CloudFormation template: linted, made by moto, and its replica started for real."""

import fnmatch
import json
import pathlib
import re
import subprocess
import sys
import urllib.request

import boto3
import moto
import pytest
import yaml

import easel

TEMPLATE = easel.ROOT / "infrastructure/bedrock-image-chat-stack.yaml"
ACCOUNT, REGION = "123456789012", "us-west-2"


class Tags(yaml.SafeLoader):
    """CloudFormation's short forms, as the long ones."""


def _long(loader, name, node):
    build = {
        yaml.ScalarNode: loader.construct_scalar,
        yaml.SequenceNode: lambda node: loader.construct_sequence(node, deep=True),
        yaml.MappingNode: lambda node: loader.construct_mapping(node, deep=True),
    }
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": build[type(node)](node)}


Tags.add_multi_constructor("!", _long)


@pytest.fixture(scope="module")
def template():
    return yaml.load(TEMPLATE.read_text(), Tags)


@pytest.fixture(scope="module")
def config(template):
    return template["Parameters"]["Config"]["Default"]


SECRETS = {"LITELLM_MASTER_KEY": "m" * 48, "EASEL_LINKS_SECRET": "l" * 64, "EASEL_LINKS_BUCKET": "pictures"}


def attribute(template, resource, attributes, key):
    pairs = template["Resources"][resource]["Properties"][attributes]
    return next(pair["Value"] for pair in pairs if pair["Key"] == key)


def test_cfn_lint_finds_nothing():
    lint = pathlib.Path(sys.executable).with_name("cfn-lint")
    found = subprocess.run([lint, "--include-checks", "I", "--", TEMPLATE], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, ""), found.stdout + found.stderr


def test_every_parameter_has_a_default(template):
    assert [name for name, parameter in template["Parameters"].items() if "Default" not in parameter] == []
    # AWS's own bound.
    assert len(template["Parameters"]["Config"]["Default"]) < 4096


def test_the_config_is_without_a_mistake(config, tmp_path):
    (tmp_path / "config.yaml").write_text(config)
    said = easel.run("check", "--strict", "config.yaml", environment=SECRETS, folder=tmp_path)
    assert said.returncode == 0, said.stdout


def called(config):
    """The models that a config calls, as a policy names them."""
    profile = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/"
    for entry in yaml.safe_load(config)["model_list"]:
        model = entry["litellm_params"]["model"].removeprefix("bedrock/")
        base = model.removeprefix("us.")
        if model != base:
            yield profile + model
            # A profile may send a call to any of these.
            for region in ("us-east-1", "us-east-2", "us-west-2"):
                yield f"arn:aws:bedrock:{region}::foundation-model/{base}"
        else:
            yield f"arn:aws:bedrock:{REGION}::foundation-model/{base}"


def test_a_replica_may_paint_with_the_models_of_its_config_and_nothing_else(template, config):
    policies = {p["PolicyName"]: p["PolicyDocument"] for p in template["Resources"]["TaskRole"]["Properties"]["Policies"]}
    assert policies.keys() == {"Paint", "KeepPictures"}
    (statement,) = policies["Paint"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", "bedrock:InvokeModel")
    known = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT}
    patterns = [re.sub(r"\$\{(.+?)\}", lambda name: known[name[1]], text["Fn::Sub"]) for text in statement["Resource"]]
    arns = list(called(config))
    assert [arn for arn in arns if not any(fnmatch.fnmatchcase(arn, pattern) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not fnmatch.filter(arns, pattern)] == []
    # The guide gives the same policy, for any account and the region of the living models.
    guide = (easel.ROOT / "docs/API-KEYS.md").read_text()
    block = next(json.loads(b) for b in re.findall(r"```json\n(.*?)```", guide, re.S) if "InvokeModel" in b)
    guided = next(s["Resource"] for s in block["Statement"] if s["Action"] == "bedrock:InvokeModel")
    assert [pattern.replace(ACCOUNT, "*") for pattern in patterns] == guided
    # And what links need is what the configuration's page says they need.
    kept = {action for s in policies["KeepPictures"]["Statement"] for action in [s["Action"]] if isinstance(action, str)}
    kept |= {action for s in policies["KeepPictures"]["Statement"] if isinstance(s["Action"], list) for action in s["Action"]}
    page = (easel.ROOT / "docs/CONFIGURATION.md").read_text()
    assert kept == set(re.findall(r"`(s3:\w+)`", page))


def test_the_times_fit_each_other(template, config):
    """A caller waits in the queue, then for Bedrock; the load balancer has to wait longer, and Easel longer than that."""
    silent = yaml.safe_load(config)["easel_settings"]["queue"]["time"] + 300
    idle = int(attribute(template, "Balancer", "LoadBalancerAttributes", "idle_timeout.timeout_seconds"))
    source = (easel.ROOT / "src/server/accept.rs").read_text()
    kept = int(re.search(r"const IDLE: Duration = Duration::from_secs\((\d+)\)", source)[1])
    assert silent < idle < kept
    drain = int(attribute(template, "Targets", "TargetGroupAttributes", "deregistration_delay.timeout_seconds"))
    assert drain > silent
    (container,) = template["Resources"]["Task"]["Properties"]["ContainerDefinitions"]
    assert container["StopTimeout"] == 120, "Fargate's most"


@pytest.mark.filterwarnings("ignore:Tried to parse:UserWarning")
@pytest.mark.parametrize("public", [False, True])
def test_moto_makes_the_stack(public, monkeypatch):
    """moto passes over what it cannot make: secrets, alarms, scaling, the bucket's policy."""
    for name, value in easel.BARE.items():
        monkeypatch.setenv(name, value)
    with moto.mock_aws():
        client = lambda service: boto3.client(service, region_name=REGION)
        certificate = client("acm").request_certificate(DomainName="easel.example")["CertificateArn"] if public else ""
        parameters = [{"ParameterKey": "CertificateArn", "ParameterValue": certificate}]
        stack = {"StackName": "easel", "TemplateBody": TEMPLATE.read_text(), "Parameters": parameters}
        client("cloudformation").create_stack(**stack, Capabilities=["CAPABILITY_IAM"])
        (made,) = client("cloudformation").describe_stacks(StackName="easel")["Stacks"]
        assert made["StackStatus"] == "CREATE_COMPLETE"
        outputs = {output["OutputKey"]: output["OutputValue"] for output in made["Outputs"]}
        assert outputs["Url"].startswith("https://" if public else "http://")
        (balancer,) = client("elbv2").describe_load_balancers()["LoadBalancers"]
        assert balancer["Scheme"] == ("internet-facing" if public else "internal")
        listeners = client("elbv2").describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        assert [(l["Port"], l["Protocol"]) for l in listeners] == [(443, "HTTPS") if public else (80, "HTTP")]
        (definition,) = client("ecs").list_task_definitions()["taskDefinitionArns"]
        described = client("ecs").describe_task_definition(taskDefinition=definition)["taskDefinition"]
        names = {pair["name"]: pair["value"] for pair in described["containerDefinitions"][0]["environment"]}
        assert names["EASEL_LINKS_BUCKET"] == outputs["Pictures"] and names["AWS_REGION"] == REGION
        assert client("s3").head_bucket(Bucket=outputs["Pictures"])


def test_a_replica_starts_from_its_environment_and_paints(template, config):
    """What the container is given: the config in a variable, secrets, a role; here the emulator stands for Bedrock."""
    (container,) = template["Resources"]["Task"]["Properties"]["ContainerDefinitions"]
    given = {pair["Name"] for pair in container["Environment"] + container["Secrets"]}
    assert given == {"EASEL_CONFIG_YAML", "AWS_REGION", *SECRETS}
    health = template["Resources"]["Targets"]["Properties"]["HealthCheckPath"]
    with easel.running("emulate", "--port", "0") as bedrock:
        environment = SECRETS | {"EASEL_CONFIG_YAML": config, "AWS_BEDROCK_RUNTIME_ENDPOINT": bedrock}
        with easel.running("serve", "--port", "0", "--host", "0.0.0.0", environment=environment) as url:
            assert urllib.request.urlopen(url + health, timeout=30).status == 200
            check = container["HealthCheck"]["Command"]
            assert check[:2] == ["CMD", "easel"]
            assert easel.run(*check[2:], "--port", url.rsplit(":")[-1]).returncode == 0
            for model in ("stable-image-core", "nova-canvas"):
                body = json.dumps({"model": model, "prompt": "a fox", "response_format": "b64_json"}).encode()
                headers = {"Authorization": "Bearer " + SECRETS["LITELLM_MASTER_KEY"], "Content-Type": "application/json"}
                request = urllib.request.Request(f"{url}/v1/images/generations", body, headers)
                with urllib.request.urlopen(request, timeout=60) as reply:
                    assert reply.headers["x-easel-model"] == "stability.stable-image-core-v1:1"
                    assert json.load(reply)["data"][0]["b64_json"]
