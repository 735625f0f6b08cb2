//! Settings to paste into real clients. Each was tried as printed.

use std::io::{self, Write};

use super::Place;
use super::scene::{HAIKU, SONNET, Scene};

/// A column's head.
pub(super) fn heading(text: &str) -> String {
    text.to_uppercase()
}

/// The settings, with the first person's key.
pub(super) fn settings(scene: &Scene, place: &Place, out: &mut dyn Write) -> io::Result<()> {
    let Some(person) = scene.people.first() else { return Ok(()) };
    let (who, key) = (person.name, person.key.expose());
    let Place { plain, tls, ca_bundle, .. } = place;
    write!(
        out,
        r#"
Try it yourself, as {who}. (The prompt is not read by any model: the look-alike makes its answers up.)

── AWS CLI and boto3 (they send keys over TLS only, so they are told which CA to trust)
export AWS_BEARER_TOKEN_BEDROCK={key}
export AWS_ENDPOINT_URL_BEDROCK_RUNTIME={tls}
export AWS_CA_BUNDLE={ca_bundle}
export AWS_DEFAULT_REGION=us-east-1
aws bedrock-runtime converse --model-id {SONNET} \
  --messages '[{{"role":"user","content":[{{"text":"Hello"}}]}}]'

python3 - <<'EOF'
import boto3
answer = boto3.client("bedrock-runtime").converse_stream(
    modelId="{SONNET}",
    messages=[{{"role": "user", "content": [{{"text": "Hello"}}]}}])
for event in answer["stream"]:
    print(event.get("contentBlockDelta", {{}}).get("delta", {{}}).get("text", ""), end="", flush=True)
print()
EOF

── Claude Code
CLAUDE_CODE_USE_BEDROCK=1 ANTHROPIC_BEDROCK_BASE_URL={plain} AWS_REGION=us-east-1 \
AWS_BEARER_TOKEN_BEDROCK={key} \
ANTHROPIC_MODEL={SONNET} ANTHROPIC_SMALL_FAST_MODEL={HAIKU} \
claude -p "Hello"

── Cline (VS Code: API Provider "Amazon Bedrock")
Authentication: API Key       AWS Bedrock API Key: {key}
AWS Region: us-east-1         Use custom VPC endpoint: {plain}
Model: {SONNET}

── anything else: curl
curl {plain}/model/{SONNET}/converse \
  -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \
  -d '{{"messages":[{{"role":"user","content":[{{"text":"Hello"}}]}}]}}'
"#
    )
}
