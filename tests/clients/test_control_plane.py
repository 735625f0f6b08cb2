"""The control plane that the look-alike plays, as boto3 sees it: the gateway's own calls of it are tested against this."""

import boto3
import botocore.config
import botocore.exceptions
import house as houses
import pytest
from house import ACCOUNT, EXAMPLE, REGION, SONNET, Program, arn

OTHER_REGION = "eu-central-1"
ROLE = "arn:aws:iam::210987654321:role/tollgate"
SECRETIVE_ROLE = "arn:aws:iam::210987654321:role/secretive"
SOURCE = f"arn:aws:bedrock:{REGION}::inference-profile/{SONNET}"
KIND = "bedrock:application-inference-profile"


class Aws:
    """The look-alike alone, and boto3's clients of its services."""

    def __init__(self, folder):
        command = [houses.default_binary(), "mock", "--listen", "127.0.0.1:0", "--output", "json"]
        command += ["--profile", f"{arn('configured')}={SONNET}", "--other-region", OTHER_REGION]
        command += ["--role", ROLE, "--role", f"{SECRETIVE_ROLE}=tollgate-1"]
        self.program = Program(command, folder / "aws.log", houses.clean_environment(folder))
        self.url = self.program.ready["url"]

    def client(self, service, region=REGION, credentials=None, attempts=1):
        keys = credentials or {"AccessKeyId": EXAMPLE[0], "SecretAccessKey": EXAMPLE[1], "SessionToken": None}
        return boto3.session.Session(
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
            region_name=region,
        ).client(
            service,
            endpoint_url=self.url,
            config=botocore.config.Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
        )

    def assume(self, role=ROLE, name="alice", **more):
        return self.client("sts").assume_role(RoleArn=role, RoleSessionName=name, **more)["Credentials"]

    def fail(self, **order):
        houses.fetch(f"{self.url}/_mock/failures", "POST", order)

    def last(self):
        return houses.json.loads(houses.fetch(f"{self.url}/_mock/requests"))[-1]


@pytest.fixture(scope="module")
def aws(tmp_path_factory, only_our_environment):
    aws = Aws(tmp_path_factory.mktemp("aws"))
    with pytest.MonkeyPatch.context() as own:
        # Whoever came before may have left a key of theirs, which boto3 prefers.
        own.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
        yield aws
    aws.program.stop()


@pytest.fixture
def bedrock(aws):
    return aws.client("bedrock")


def tags(**pairs):
    return [{"key": key, "value": value} for key, value in pairs.items()]


def create(bedrock, name, **more):
    return bedrock.create_inference_profile(
        inferenceProfileName=name, modelSource={"copyFrom": SOURCE}, **more
    )["inferenceProfileArn"]


def listed(client, **question):
    pages = client.get_paginator("list_inference_profiles").paginate(**question)
    return [profile for page in pages for profile in page["inferenceProfileSummaries"]]


def found(aws, **question):
    pages = aws.client("resourcegroupstaggingapi").get_paginator("get_resources").paginate(**question)
    return [mapping for page in pages for mapping in page["ResourceTagMappingList"]]


def test_a_profile_lives_from_its_making_to_its_deletion(aws, bedrock):
    made = create(bedrock, "alice sonnet", description="For Alice", tags=tags(owner="alice"))
    shown = bedrock.get_inference_profile(inferenceProfileIdentifier=made)
    assert (shown["inferenceProfileName"], shown["status"], shown["type"]) == ("alice sonnet", "ACTIVE", "APPLICATION")
    assert shown["createdAt"].tzinfo is not None
    assert len(shown["models"]) == 3
    by_id = bedrock.get_inference_profile(inferenceProfileIdentifier=shown["inferenceProfileId"])
    assert by_id["inferenceProfileArn"] == made

    answer = aws.client("bedrock-runtime").converse(
        modelId=made, messages=[{"role": "user", "content": [{"text": "hello"}]}]
    )
    assert answer["usage"]["outputTokens"] > 0
    assert aws.last()["billed_to"] == made

    bedrock.tag_resource(resourceARN=made, tags=tags(team="red"))
    bedrock.untag_resource(resourceARN=made, tagKeys=["owner"])
    assert bedrock.list_tags_for_resource(resourceARN=made)["tags"] == tags(team="red")

    bedrock.delete_inference_profile(inferenceProfileIdentifier=made)
    with pytest.raises(bedrock.exceptions.ResourceNotFoundException):
        bedrock.get_inference_profile(inferenceProfileIdentifier=made)


def test_lists_are_paged_and_say_which_kind_a_profile_is(bedrock):
    made = [create(bedrock, f"page {at}") for at in range(5)]
    everyone = listed(bedrock, typeEquals="APPLICATION", PaginationConfig={"PageSize": 2})
    assert [profile["inferenceProfileArn"] for profile in everyone][-5:] == made
    assert {profile["type"] for profile in listed(bedrock)} == {"SYSTEM_DEFINED"}
    assert SONNET in [profile["inferenceProfileId"] for profile in listed(bedrock, typeEquals="SYSTEM_DEFINED")]
    for profile in made:
        bedrock.delete_inference_profile(inferenceProfileIdentifier=profile)


def test_errors_have_the_types_of_the_model(bedrock):
    create(bedrock, "taken")
    with pytest.raises(bedrock.exceptions.ConflictException) as refused:
        create(bedrock, "taken")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    for name, more in (("two  spaces", {}), ("x", {"tags": tags(**{"aws:x": "y"})})):
        with pytest.raises(bedrock.exceptions.ValidationException):
            create(bedrock, name, **more)
    with pytest.raises(bedrock.exceptions.TooManyTagsException):
        create(bedrock, "many tags", tags=tags(**{f"k{at}": "v" for at in range(51)}))
    with pytest.raises(bedrock.exceptions.ValidationException) as refused:
        bedrock.create_inference_profile(
            inferenceProfileName="a copy of a copy", modelSource={"copyFrom": arn("configured")}
        )
    assert "copyFrom" in str(refused.value)


def test_a_request_token_makes_one_profile(bedrock):
    first = create(bedrock, "once", clientRequestToken="a-token")
    assert create(bedrock, "once", clientRequestToken="a-token") == first


def test_foundation_models_are_told(bedrock):
    models = bedrock.list_foundation_models(byOutputModality="TEXT")["modelSummaries"]
    assert SONNET.removeprefix("us.") in [model["modelId"] for model in models]
    one = bedrock.get_foundation_model(modelIdentifier="amazon.nova-lite-v1:0")["modelDetails"]
    assert (one["providerName"], one["inferenceTypesSupported"]) == ("Amazon", ["ON_DEMAND"])


def test_the_tagging_api_finds_what_has_a_tag(aws, bedrock):
    alice = create(bedrock, "tagged alice", tags=tags(owner="alice", team="blue"))
    bob = create(bedrock, "tagged bob", tags=tags(owner="bob", team="blue"))
    blue = {"Key": "team", "Values": ["blue"]}
    everyone = found(aws, ResourceTypeFilters=[KIND], TagFilters=[blue], ResourcesPerPage=1)
    assert [mapping["ResourceARN"] for mapping in everyone] == [alice, bob]
    assert everyone[0]["Tags"] == [{"Key": "owner", "Value": "alice"}, {"Key": "team", "Value": "blue"}]
    assert [m["ResourceARN"] for m in found(aws, TagFilters=[blue, {"Key": "owner", "Values": ["bob"]}])] == [bob]
    tagging = aws.client("resourcegroupstaggingapi")
    with pytest.raises(tagging.exceptions.InvalidParameterException):
        tagging.get_resources(ResourcesPerPage=101)


def test_the_quota_is_told(aws):
    quotas = aws.client("service-quotas").list_service_quotas(ServiceCode="bedrock")["Quotas"]
    assert [quota["Value"] for quota in quotas if quota["QuotaCode"] == "L-40EC9882"] == [1000.0]


def test_a_session_has_the_profiles_of_its_roles_account(aws):
    session = aws.assume(name="alice@example.com", Tags=[{"Key": "person", "Value": "Änne"}], TransitiveTagKeys=["person"])
    me = aws.client("sts", credentials=session).get_caller_identity()
    assert me["Arn"] == "arn:aws:sts::210987654321:assumed-role/tollgate/alice@example.com"
    assert aws.client("sts").get_caller_identity()["Account"] == ACCOUNT
    theirs = aws.client("bedrock", credentials=session)
    assert listed(theirs, typeEquals="APPLICATION") == []
    made = create(theirs, "theirs")
    assert made.split(":")[4] == "210987654321"

    aws.client("bedrock-runtime", credentials=session).converse(
        modelId=made, messages=[{"role": "user", "content": [{"text": "hello"}]}]
    )
    seen = aws.last()
    assert (seen["account"], seen["billed_to"]) == ("210987654321", made)
    assert seen["session"] == {
        "role_arn": ROLE,
        "name": "alice@example.com",
        "tags": {"person": "Änne"},
        "source_identity": None,
    }
    ours = aws.client("bedrock-runtime")
    with pytest.raises(ours.exceptions.AccessDeniedException):
        ours.converse(modelId=made, messages=[{"role": "user", "content": [{"text": "hello"}]}])


def test_roles_are_given_to_those_they_trust(aws):
    sts = aws.client("sts")
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        sts.assume_role(RoleArn=SECRETIVE_ROLE, RoleSessionName="alice")
    error = refused.value.response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("AccessDenied", 403)
    assert f"not authorized to perform: sts:AssumeRole on resource: {SECRETIVE_ROLE}" in error["Error"]["Message"]
    credentials = aws.assume(role=SECRETIVE_ROLE, ExternalId="tollgate-1", DurationSeconds=900)
    assert credentials["Expiration"].tzinfo is not None
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        aws.client("sts", credentials=credentials | {"SessionToken": "made up"}).get_caller_identity()
    assert refused.value.response["Error"]["Code"] == "InvalidClientTokenId"


def test_each_region_has_its_own(aws):
    there = aws.client("bedrock", region=OTHER_REGION)
    assert listed(there, typeEquals="APPLICATION") == []
    assert {profile["inferenceProfileId"].split(".")[0] for profile in listed(there)} == {"eu", "global"}


@pytest.mark.parametrize(
    ("service", "name", "ask"),
    [
        ("bedrock", "bedrock", lambda client: client.list_inference_profiles()),
        ("tagging", "resourcegroupstaggingapi", lambda client: client.get_resources()),
        ("sts", "sts", lambda client: client.get_caller_identity()),
        ("service-quotas", "service-quotas", lambda client: client.list_service_quotas(ServiceCode="bedrock")),
    ],
)
def test_what_fails_for_a_while_is_asked_again(aws, service, name, ask):
    for failure in ("throttled", "outage", "cut"):
        aws.fail(service=service, failure=failure, times=1)
        with pytest.raises((botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError)):
            ask(aws.client(name))
        aws.fail(service=service, failure=failure, times=1)
        answer = ask(aws.client(name, attempts=2))
        assert answer["ResponseMetadata"]["RetryAttempts"] == 1, failure
