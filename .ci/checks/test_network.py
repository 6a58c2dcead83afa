"""Enterprise networks and buckets: a private CA, a proxy on the way, encryption by a key, credentials of a role."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kit import network
from kit.account import Account
from kit.job import Job
from kit.lake import Lake, assert_equal
from kit.network import Ca
from kit.program import BAD_CONFIG, COMPLETE, UNAVAILABLE
from kit.stores import BUCKET, Store, free_port

STREAMS = ["organizations", "visibility_v2_by_day"]


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Ca:
    """A CA that no system knows."""
    return network.private_ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def gateway(ca: Ca, account: Account) -> Iterator[str]:
    """The account behind a gateway whose certificate the private CA signed."""
    with network.tls(ca, account.url) as url:
        yield url


def test_untrusted_ca_ends_the_run_before_the_key_is_sent(tmp_path: Path, account: Account, gateway: str) -> None:
    ended = Job(tmp_path, gateway, STREAMS).run("run").expect(UNAVAILABLE)

    assert f"the certificate of {gateway} is not trusted" in ended.stderr
    assert "api.ca_file" in ended.stderr
    assert account.requests() == []


def test_private_ca_is_trusted_when_ca_file_names_it(tmp_path: Path, account: Account, gateway: str, ca: Ca) -> None:
    job = Job(tmp_path, gateway, STREAMS, api_settings={"ca_file": str(ca.roots)})

    job.run("run").expect(COMPLETE)

    assert_equal(Lake(str(job.lake)), "duckdb", job.truths(account))


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot read the certificate roots"), ("no certificate\n", "no certificate in PEM")]
)
def test_unusable_ca_file_is_named_with_a_remedy(tmp_path: Path, gateway: str, content: str | None, says: str) -> None:
    path = tmp_path / "roots.pem"
    if content:
        path.write_text(content)

    ended = Job(tmp_path / "job", gateway, STREAMS, api_settings={"ca_file": str(path)}).run("check")

    ended.expect(BAD_CONFIG)
    assert str(path) in ended.stderr
    assert says in ended.stderr
    assert "help:" in ended.stderr


def test_everything_goes_through_the_proxy_that_the_environment_names(
    tmp_path: Path, account: Account, gateway: str, ca: Ca, moto: Store
) -> None:
    with network.proxy() as proxy, network.tls(ca, moto.endpoint) as bucket:
        options = moto.options | {"endpoint": bucket}
        # One file of roots for API and bucket alike.
        variables = {"HTTPS_PROXY": proxy.url, "NO_PROXY": "", "SSL_CERT_FILE": str(ca.roots)}
        job = Job(tmp_path, gateway, STREAMS, f"s3://{BUCKET}/proxied", options)

        job.run("run", env=variables).expect(COMPLETE)

        assert {f"CONNECT {url.removeprefix('https://')}" for url in (gateway, bucket)} == set(proxy.asked)
    assert_equal(Lake("proxied", moto), "duckdb", job.truths(account))


def test_host_of_no_proxy_is_reached_without_one(tmp_path: Path, gateway: str, ca: Ca) -> None:
    with network.proxy() as proxy:
        variables = {"HTTPS_PROXY": proxy.url, "NO_PROXY": "localhost"}

        Job(tmp_path, gateway, STREAMS, api_settings={"ca_file": str(ca.roots)}).run("run", env=variables).expect(
            COMPLETE
        )

        assert proxy.asked == []


def test_unreachable_proxy_is_named_with_what_to_check(tmp_path: Path, account: Account, gateway: str, ca: Ca) -> None:
    variables = {"HTTPS_PROXY": f"http://127.0.0.1:{free_port()}", "NO_PROXY": ""}
    job = Job(tmp_path, gateway, STREAMS, api_settings={"ca_file": str(ca.roots)})

    ended = job.run("check", env=variables).expect(UNAVAILABLE)

    assert "HTTPS_PROXY" in ended.stderr
    assert account.requests() == []


def test_bucket_with_a_private_ca_is_untrusted_until_its_roots_are_named(
    tmp_path: Path, account: Account, ca: Ca, moto: Store
) -> None:
    with network.tls(ca, moto.endpoint) as bucket:
        job = Job(tmp_path, account.url, STREAMS, f"s3://{BUCKET}/private", moto.options | {"endpoint": bucket})

        ended = job.run("check").expect(UNAVAILABLE)
        assert "SSL_CERT_FILE" in ended.stderr

        # In addition to the roots of the system: every file of the directory counts.
        job.run("check", env={"SSL_CERT_DIR": str(ca.roots.parent)}).expect(COMPLETE)


def test_files_are_encrypted_with_the_key_that_the_options_name(tmp_path: Path, account: Account, moto: Store) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/0f1ceea1-9dee-5622-91b3-9e7159f9b8f1"
    options = moto.options | {
        "server_side_encryption": "aws:kms",
        "sse_kms_key_id": key,
        "sse_bucket_key_enabled": "true",
    }
    job = Job(tmp_path, account.url, STREAMS, f"s3://{BUCKET}/encrypted", options)

    job.run("run").expect(COMPLETE)

    client = moto.client()
    found = [client.head_object(Bucket=BUCKET, Key=f"encrypted/{path}") for path in moto.objects("encrypted")]
    assert found
    assert {(one["ServerSideEncryption"], one["SSEKMSKeyId"]) for one in found} == {("aws:kms", key)}
    job.run("verify").expect(COMPLETE)


def test_workload_token_gives_the_credentials_of_a_role(
    tmp_path: Path, account: Account, ministack: Store, ca: Ca
) -> None:
    token = tmp_path / "token"
    token.write_text("a.b.c")
    options = {name: ministack.options[name] for name in ("endpoint", "region", "allow_http")}
    job = Job(tmp_path, account.url, STREAMS, f"s3://{BUCKET}/role", options)
    # Such a token is never sent over plain HTTP.
    with network.tls(ca, ministack.endpoint) as sts:
        variables = {
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/profound",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_ENDPOINT_URL_STS": sts,
        }
        roots = {"SSL_CERT_FILE": str(ca.roots)}

        # As EKS sets them, and as options.
        job.run("run", env=roots | variables).expect(COMPLETE)
        job.options = options | {name.removeprefix("AWS_").lower(): value for name, value in variables.items()}
        job.write()
        job.run("check", env=roots).expect(COMPLETE)

    assert_equal(Lake("role", ministack), "duckdb", job.truths(account))
