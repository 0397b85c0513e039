"""deploy/lambda/template.yaml: well-formed, and deployed to a local AWS whose scheduler really fires."""

import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests import servers
from tests.aws.test_lambda import seat
from tests.ports import free_port
from tests.webhooks.receiver import SECRET, Receiver

TEMPLATE = Path(__file__).parents[2] / "deploy/lambda/template.yaml"
REGION = "eu-central-1"

Client = Callable[[str], Any]


def test_cfn_lint_finds_nothing() -> None:
    program = Path(sys.executable).with_name("cfn-lint")
    if not program.exists():
        servers.missing("no cfn-lint here (make setup)")
    found = subprocess.run([program, TEMPLATE], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_sam_finds_nothing() -> None:
    program = Path(__file__).parents[2] / ".venv-sam/bin/sam"
    if not program.exists():
        servers.missing("no SAM command line here (make sam)")
    own = {"AWS_DEFAULT_REGION": REGION, "SAM_CLI_TELEMETRY": "0"}
    command = [program, "validate", "--lint", "--template", TEMPLATE]
    found = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@contextmanager
def ministack(folder: Path) -> Iterator[Client]:
    """A local AWS on loopback; clients of its services."""
    port = free_port()
    own = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "TMPDIR": str(folder), "MINISTACK_REGION": REGION}
    own |= {"IOT_MTLS_ENABLED": "false", "SFTP_ENABLED": "false", "AWS_DEFAULT_REGION": REGION}
    with (folder / "ministack.log").open("wb") as log:
        command = [sys.executable, "-m", "ministack"]
        process = subprocess.Popen(command, env=os.environ | own, cwd=folder, stdout=log, stderr=log)
    session = import_module("botocore.session").get_session()
    session.set_credentials("test", "test")

    def client(service: str) -> Any:
        return session.create_client(service, region_name=REGION, endpoint_url=f"http://127.0.0.1:{port}")

    def is_up() -> bool:
        try:
            return bool(client("sts").get_caller_identity())
        except import_module("botocore.exceptions").BotoCoreError:
            return False

    try:
        servers.wait_until(is_up, "ministack")
        yield client
    finally:
        process.terminate()
        process.wait(20)


def deploy(client: Client, settings: dict[str, Any], schedule: str) -> None:
    """The template as it is, but for where the code lies: here the functions find the package installed."""
    secret = client("secretsmanager").create_secret(Name="streamlimit", SecretString=json.dumps(settings))
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("README", "the package is installed")
    client("s3").create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": REGION})
    client("s3").put_object(Bucket="code", Key="code.zip", Body=code.getvalue())
    parameters = {
        "SettingsSecretArn": secret["ARN"],
        "SubnetIds": "subnet-1",
        "SecurityGroupIds": "sg-1",
        "SegmentSeconds": "0.2",
        "Deliver": "yes",
        "Schedule": schedule,
    }
    client("cloudformation").create_stack(
        StackName="streamlimit",
        TemplateBody=TEMPLATE.read_text().replace("CodeUri: .", "CodeUri: s3://code/code.zip"),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    )
    deadline = time.monotonic() + 30
    while (status := _status(client)) != "CREATE_COMPLETE":
        assert "FAILED" not in status, status
        assert "ROLLBACK" not in status, status
        assert time.monotonic() < deadline, status
        time.sleep(0.1)


def _status(client: Client) -> str:
    [stack] = client("cloudformation").describe_stacks(StackName="streamlimit")["Stacks"]
    return str(stack["StackStatus"])


def test_the_scheduler_expires_an_idle_session_and_it_is_called_back(tmp_path: Path) -> None:
    if find_spec("ministack") is None or find_spec("samtranslator") is None:
        servers.missing("no ministack here (make setup)")
    with servers.single("valkey") as server, Receiver() as receiver, ministack(tmp_path) as client:
        callback = {"url": receiver.url, "secret": SECRET, "name": "hook"}
        settings = {"store": server.url, "callbacks": [callback], "allow_private_callbacks": True}
        seat(server.url, 2)
        soon = datetime.now(UTC) + timedelta(seconds=4)
        deploy(client, settings, f"at({soon:%Y-%m-%dT%H:%M:%S})")
        functions = {f["Handler"]: f["FunctionName"] for f in client("lambda").list_functions()["Functions"]}
        deadline = time.monotonic() + 60
        while sorted(got.type for got in receiver.accepted) != ["expired", "expired", "started", "started"]:
            assert time.monotonic() < deadline, (receiver.got, (tmp_path / "ministack.log").read_text()[-2_000:])
            time.sleep(0.5)  # the schedule fires once; the next minute's delivery is made by hand
            client("lambda").invoke(FunctionName=functions["streamlimit.aws.deliver"])
        assert receiver.invalid == []
        again = client("lambda").invoke(FunctionName=functions["streamlimit.aws.expire"])
        document = json.loads(again["Payload"].read())
        assert document == {"expired": 0, "abandoned": 0, "finished": True, "callbacks_pending": 0}
