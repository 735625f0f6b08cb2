//! The control plane as a caller of it: every service, with whichever credentials, in whichever Region.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::{Method, Request};
use serde_json::{Value, json};

use super::{Reply, try_send};
use crate::mock::{MockConfig, Running};

/// A caller.
#[derive(Clone)]
pub(super) struct Plane<'a> {
    pub(super) mock: &'a Running,
    pub(super) keys: Credentials,
    pub(super) region: &'static str,
}

impl<'a> Plane<'a> {
    /// With the documented pair, in `us-east-1`.
    pub(super) fn of(mock: &'a Running) -> Self {
        let keys = Credentials::new(MockConfig::ACCESS_KEY_ID, MockConfig::SECRET_ACCESS_KEY, None, None, "test");
        Self { mock, keys, region: "us-east-1" }
    }

    pub(super) fn in_region(&self, region: &'static str) -> Self {
        Self { region, ..self.clone() }
    }

    async fn ask(&self, service: &str, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.try_ask(service, method, path, headers, body).await.unwrap()
    }

    async fn try_ask(
        &self,
        service: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<Reply> {
        let url = format!("{}{path}", self.mock.url());
        let mut request = Request::builder().method(method.clone()).uri(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.to_owned()).unwrap();
        let identity = self.keys.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let named = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let body = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new(method.as_str(), &url, named, body).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        try_send(self.mock.addr(), request).await
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.ask("bedrock", Method::GET, path, &[], "").await
    }

    pub(super) async fn delete(&self, name: &str) -> Reply {
        self.ask("bedrock", Method::DELETE, &format!("/inference-profiles/{}", encoded(name)), &[], "").await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Reply {
        let headers = [("content-type", "application/json")];
        self.ask("bedrock", Method::POST, path, &headers, &body.to_string()).await
    }

    /// Makes a profile over Claude Sonnet 4.5 of the United States and gives its ARN.
    pub(super) async fn create(&self, name: &str, tags: &[(&str, &str)]) -> String {
        let reply = self.post("/inference-profiles", &creation(name, tags)).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()["inferenceProfileArn"].as_str().unwrap().to_owned()
    }

    pub(super) async fn profile(&self, name: &str) -> Reply {
        self.get(&format!("/inference-profiles/{}", encoded(name))).await
    }

    /// The ARNs of the application inference profiles in the first page of a list.
    pub(super) async fn listed(&self) -> Vec<String> {
        let list = self.get("/inference-profiles?type=APPLICATION").await.json();
        let all = list["inferenceProfileSummaries"].as_array().unwrap().iter();
        all.map(|profile| profile["inferenceProfileArn"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) async fn tags(&self, arn: &str) -> Value {
        self.post("/listTagsForResource", &json!({ "resourceARN": arn })).await.json()["tags"].clone()
    }

    pub(super) async fn json(&self, service: &str, target: &str, body: &Value) -> Option<Reply> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        self.try_ask(service, Method::POST, "/", &headers, &body.to_string()).await
    }

    pub(super) async fn resources(&self, body: &Value) -> Reply {
        self.try_resources(body).await.unwrap()
    }

    /// `None` where the connection was cut.
    pub(super) async fn try_resources(&self, body: &Value) -> Option<Reply> {
        self.json("tagging", "ResourceGroupsTaggingAPI_20170126.GetResources", body).await
    }

    pub(super) async fn sts(&self, accept: &str, form: &str) -> Reply {
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", accept)];
        self.ask("sts", Method::POST, "/", &headers, form).await
    }

    /// Assumes a role; `more` is further members of the form.
    pub(super) async fn assume(&self, role: &str, name: &str, more: &str) -> Reply {
        let form = format!("Action=AssumeRole&Version=2011-06-15&RoleArn={role}&RoleSessionName={name}{more}");
        self.sts("application/json", &form).await
    }

    /// The same caller with the credentials that assuming a role gave.
    pub(super) async fn as_role(&self, role: &str, name: &str, more: &str) -> Self {
        let reply = self.assume(role, name, more).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let given = reply.json()["AssumeRoleResponse"]["AssumeRoleResult"]["Credentials"].clone();
        let text = |name: &str| given[name].as_str().unwrap().to_owned();
        let token = Some(text("SessionToken"));
        let keys = Credentials::new(text("AccessKeyId"), text("SecretAccessKey"), token, None, "test");
        Self { keys, ..self.clone() }
    }

    /// Calls a model through a profile.
    pub(super) async fn converse(&self, arn: &str) -> Reply {
        let body = json!({"messages": [{"role": "user", "content": [{"text": "hello"}]}]});
        self.post(&format!("/model/{}/converse", encoded(arn)), &body).await
    }
}

pub(super) fn creation(name: &str, tags: &[(&str, &str)]) -> Value {
    let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    let source = "arn:aws:bedrock:us-east-1::inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    json!({ "inferenceProfileName": name, "modelSource": { "copyFrom": source }, "tags": tags })
}

pub(super) fn encoded(name: &str) -> String {
    name.replace(':', "%3A").replace('/', "%2F")
}
