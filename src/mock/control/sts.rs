//! `AssumeRole`: who may become whom, and the credentials that are given for it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::Answer;
use super::assume::{Assumption, packed};
use super::form::Form;
use crate::mock::account::Received;
use crate::mock::callers::{Caller, MockRole, MockSessionTags, Session};
use crate::mock::calls::Calls;
use crate::mock::refusal::Refusal;
use crate::types::{AccountId, Arn, Secret};

impl Calls {
    pub(super) fn assume_role(&self, caller: &Caller, form: &Form, record: &mut Received) -> Result<Answer, Refusal> {
        record.subject = form.value("RoleArn").map(str::to_owned);
        let asked = Assumption::read(form)?;
        if !Arn::parse(&asked.role_arn).is_some_and(|arn| arn.service == "iam" && arn.resource.starts_with("role/")) {
            return Err(Refusal::validation(&format!("{} is invalid", asked.role_arn)));
        }
        let (role, account) = self.trusted(caller, &asked)?;
        let from = caller.session.as_deref();
        let lasts = asked.lasts(&role, from.is_some())?;
        let (tags, transitive) = asked.session_tags(from)?;
        let percent = packed(&tags)?;
        let now = self.now();
        let session = self.verifier.sessions.add(Session {
            access_key_id: access_key_id(),
            secret_access_key: Secret::new(random_text(30)),
            token: Secret::new(format!("IQoJb3JpZ2luX2Vj{}", random_text(240))),
            role,
            account,
            name: asked.session_name,
            tags,
            transitive,
            source_identity: asked.source_identity.or_else(|| from.and_then(|from| from.source_identity.clone())),
            expires: now + lasts,
        });
        let mut body = json!({
            "AssumedRoleUser": {
                "Arn": session.arn(caller.place.partition()),
                "AssumedRoleId": session.unique_id(),
            },
            "Credentials": {
                "AccessKeyId": session.access_key_id,
                "SecretAccessKey": session.secret_access_key.expose(),
                "SessionToken": session.token.expose(),
                "Expiration": Timestamp::try_from(session.expires).map_or_else(|_| String::new(), whole_seconds),
            },
        });
        if let Some(body) = body.as_object_mut() {
            if percent > 0 {
                body.insert("PackedPolicySize".to_owned(), percent.into());
            }
            if let Some(name) = &session.source_identity {
                body.insert("SourceIdentity".to_owned(), name.as_str().into());
            }
        }
        Ok(Answer::ok(body))
    }

    /// The role, where both policies let the caller in: the caller's own, and the role's trust policy. Whatever the reason,
    /// STS says the same.
    fn trusted(&self, caller: &Caller, asked: &Assumption) -> Result<(Arc<MockRole>, AccountId), Refusal> {
        let refused = |action: &str| Refusal::access_denied(&caller.refused(action, Some(&asked.role_arn)));
        let denied = || refused("sts:AssumeRole");
        self.iam.demand(caller, "sts:AssumeRole", Some(&asked.role_arn)).map_err(|_| denied())?;
        let role = self.control.roles.iter().find(|role| role.arn == asked.role_arn).ok_or_else(denied)?;
        let account = role.account().ok_or_else(denied)?;
        let by_key = |trusted: &String| *trusted == caller.access_key_id;
        let by_role = |trusted: &String| caller.session.as_ref().is_some_and(|session| session.role.arn == *trusted);
        if !role.trusts.iter().any(|trusted| by_key(trusted) || by_role(trusted)) {
            return Err(denied());
        }
        if role.external_id.is_some() && role.external_id != asked.external_id {
            return Err(denied());
        }
        if !asked.tags.is_empty() {
            let tagging = "sts:TagSession";
            self.iam.demand(caller, tagging, Some(&asked.role_arn)).map_err(|_| refused(tagging))?;
            if role.session_tags == MockSessionTags::Refuse {
                return Err(refused(tagging));
            }
        }
        Ok((Arc::clone(role), account))
    }
}

fn access_key_id() -> String {
    // The alphabet of base 32; a byte of the sixteen gives one letter.
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letter = |byte: u8| LETTERS.get(usize::from(byte % 32)).copied().map_or('A', char::from);
    let letters: String = Uuid::new_v4().into_bytes().into_iter().map(letter).collect();
    format!("ASIA{letters}")
}

/// Base 64 of so many random bytes.
fn random_text(bytes: usize) -> String {
    let random: Vec<u8> = std::iter::repeat_with(|| Uuid::new_v4().into_bytes()).flatten().take(bytes).collect();
    STANDARD.encode(random)
}

fn whole_seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
