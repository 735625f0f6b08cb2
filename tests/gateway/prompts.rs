//! Prompts of Prompt management: called by those whom a rule names, by their very ARN, with the guardrail owed and within a budget
//! that is told how much they ask.

use http::StatusCode;
use serde_json::{Value, json};
use tollgate::mock::{MockActions, MockGuardrail, MockPrompt};

use crate::client::Answer;
use crate::harness::{Plan, Scene};

const PROMPT: &str = "arn:aws:bedrock:us-east-1:123456789012:prompt/PROMPT1234:1";
const OTHER_VERSION: &str = "arn:aws:bedrock:us-east-1:123456789012:prompt/PROMPT1234:2";
const SONNET: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const VERBS: [&str; 2] = ["converse", "converse-stream"];

/// Alice's prompt, in two versions of which a rule names the first, in an account that demands a guardrail of every call.
fn plan(bounds: &str) -> Plan {
    let rule = format!(
        "[[exact_arns]]\nname = \"playlist\"\narn = \"{PROMPT}\"\nsource = \"{SONNET}\"\nprincipals = [\"alice\"]\n{bounds}\n\
         [[guardrails]]\nidentifier = \"gr1\"\nversion = \"3\"\neveryone = true"
    );
    let prompt = |arn: &str| MockPrompt {
        arn: arn.to_owned(),
        model: SONNET.parse().unwrap(),
        // 44 letters without the variable.
        text: "Make me a {{genre}} playlist of ten songs, and say why.".to_owned(),
        max_tokens: Some(20),
    };
    Plan::default().with(&rule).mock(|mock| {
        mock.prompts = vec![prompt(PROMPT), prompt(OTHER_VERSION)];
        mock.guardrail = Some(MockGuardrail { identifier: "gr1".to_owned(), version: "3".to_owned() });
    })
}

const BOUNDS: &str = "most_input_tokens = 200\nmost_output_tokens = 100";

fn path(arn: &str, verb: &str) -> String {
    format!("/model/{}/{verb}", arn.replace(':', "%3A").replace('/', "%2F"))
}

async fn ask(scene: &Scene, who: &str, arn: &str, verb: &str, body: &Value) -> Answer {
    scene.send(scene.post(who, &path(arn, verb), body.to_string())).await
}

fn pop() -> Value {
    json!({ "promptVariables": { "genre": { "text": "pop" } } })
}

#[tokio::test]
async fn a_prompt_is_called_with_the_guardrail_owed_and_charged_by_what_it_used() {
    let further = json!([{ "role": "user", "content": [{ "text": "In French, please." }] }]);
    let named = json!({ "guardrailIdentifier": "gr1", "guardrailVersion": "3", "trace": "enabled" });
    let bodies = [
        pop(),
        json!({}),
        json!({ "promptVariables": { "genre": { "text": "pop" } }, "messages": further }),
        json!({ "promptVariables": { "guardContent": { "text": "a name like any other" } } }),
        json!({ "promptVariables": {}, "guardrailConfig": named }),
    ];
    for verb in VERBS {
        for body in &bodies {
            let scene = plan(BOUNDS).open().await;
            let answer = ask(&scene, "alice", PROMPT, verb, body).await;
            assert_eq!((answer.status, &answer.broke), (StatusCode::OK, &None), "{body}: {:?}", answer.body);
            let received = scene.received(1).await.remove(0);
            assert_eq!(received.subject.as_deref(), Some(PROMPT));
            let seen = received.guardrail.unwrap();
            assert_eq!((seen.identifier.as_str(), seen.version.as_str()), ("gr1", "3"), "{body}");
            let (outcome, input, output, cost) = scene.bill_of(1).await.only();
            assert_eq!((outcome.as_str(), input, output), ("complete", received.usage.input, 20), "{body}");
            assert!(input > 10 && cost.nanos() > 0, "the prompt's own text is on the bill: {input}");
            assert_eq!(scene.bill().await.rows()[0]["profile"], "playlist");
        }
    }
}

#[tokio::test]
async fn nobody_else_and_no_other_version_is_let_through() {
    let scene = plan(BOUNDS).open().await;
    let refused = (403, "AccessDeniedException", "model_refused_kind");
    let draft = PROMPT.strip_suffix(":1").unwrap();
    let elsewhere = PROMPT.replace("us-east-1", "eu-west-1");
    for verb in VERBS {
        for (who, arn) in [
            ("bob", PROMPT),
            ("alice", OTHER_VERSION),
            ("alice", draft),
            ("alice", elsewhere.as_str()),
            ("alice", &PROMPT.to_lowercase()),
        ] {
            let answer = ask(&scene, who, arn, verb, &pop()).await;
            assert_eq!(answer.refusal(), refused, "{who} {arn}: {}", answer.message());
        }
        // Its name and its id are no names of it.
        for name in ["playlist", "PROMPT1234:1"] {
            assert_eq!(ask(&scene, "alice", name, verb, &pop()).await.refusal().2, "no_such_model", "{name}");
        }
    }
    assert!(scene.mock.received().is_empty());
}

#[tokio::test]
async fn a_prompt_is_called_by_converse_alone() {
    let scene = plan(BOUNDS).open().await;
    for verb in ["invoke", "invoke-with-response-stream", "count-tokens"] {
        let answer = ask(&scene, "alice", PROMPT, verb, &pop()).await;
        assert_eq!(answer.refusal(), (403, "AccessDeniedException", "model_refused_kind"), "{verb}");
        assert!(answer.message().contains("with Converse or ConverseStream"), "{}", answer.message());
    }
    assert!(scene.mock.received().is_empty());
}

/// A token of input costs less than one of output: what is held is bounded by what the rule says, not by the request.
#[tokio::test]
async fn what_the_rule_says_of_a_prompt_is_held_for_each_call() {
    let budget =
        |tokens: u64| format!("[[budgets]]\nname = \"daily\"\neveryone = true\nwindow = \"day\"\ntokens = {tokens}");
    let body = pop();
    let own = u64::try_from(body.to_string().len()).unwrap();
    // The request, what the model's format adds, and what the rule says.
    let wanted = own + 1_024 + 200 + 100;
    for (tokens, status) in [(wanted, 200), (wanted - 1, 402)] {
        let scene = plan(BOUNDS).with(&budget(tokens)).open().await;
        let answer = ask(&scene, "alice", PROMPT, "converse", &body).await;
        assert_eq!(answer.status.as_u16(), status, "{}", String::from_utf8_lossy(&answer.body));
    }
    // A variable that the prompt uses three times is three times as long, and a limit in the request changes nothing.
    let bounds = format!("{BOUNDS}\nvariable_uses = 3");
    let mut limited = body.clone();
    limited["inferenceConfig"] = json!({ "maxTokens": 1 });
    let own = u64::try_from(limited.to_string().len()).unwrap();
    let wanted = 3 * own + 1_024 + 200 + 100;
    for (tokens, status) in [(wanted, 400), (wanted - 1, 402)] {
        let scene = plan(&bounds).with(&budget(tokens)).open().await;
        let answer = ask(&scene, "alice", PROMPT, "converse", &limited).await;
        assert_eq!(answer.status.as_u16(), status, "{}", String::from_utf8_lossy(&answer.body));
    }
}

#[tokio::test]
async fn what_only_the_prompt_may_say_is_refused_by_bedrock() {
    let scene = plan(BOUNDS).open().await;
    let members = [
        ("inferenceConfig", json!({ "maxTokens": 5 })),
        ("system", json!([{ "text": "Be brief." }])),
        ("toolConfig", json!({ "tools": [] })),
        ("additionalModelRequestFields", json!({ "top_k": 5 })),
    ];
    for (member, value) in members {
        let mut body = pop();
        body[member] = value;
        let answer = ask(&scene, "alice", PROMPT, "converse", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.header("x-amzn-errortype").unwrap().starts_with("ValidationException"), "{member}");
        assert_eq!(answer.header("x-tollgate-reason"), None, "{member}");
        assert!(answer.message().contains(member), "{}", answer.message());
    }
    let bill = scene.bill_of(4).await;
    assert_eq!(bill.cost().nanos(), 0);
}

#[tokio::test]
async fn the_role_needs_two_rights_and_the_prompt_has_to_be_there() {
    for (denied, text) in [
        ("bedrock:RenderPrompt", "with a prompt resource"),
        ("bedrock:InvokeModel", "is not authorized to perform: bedrock:InvokeModel on resource"),
    ] {
        let scene = plan(BOUNDS).mock(|mock| mock.actions = MockActions::AllBut(vec![denied.to_owned()])).open().await;
        let answer = ask(&scene, "alice", PROMPT, "converse", &pop()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(answer.message().contains(text), "{}", answer.message());
    }
    let scene = plan(BOUNDS).mock(|mock| mock.prompts.clear()).open().await;
    let answer = ask(&scene, "alice", PROMPT, "converse-stream", &pop()).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.header("x-amzn-errortype").unwrap().starts_with("ResourceNotFoundException"));
}
