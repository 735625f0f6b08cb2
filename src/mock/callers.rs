//! Who signed a request: credentials of the configuration, or a session that `AssumeRole` made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::actions::MockActions;
use super::place::Place;
use super::refusal::Refusal;
use crate::types::{AccountId, Arn, Secret, Tags};

/// A role that can be assumed.
#[derive(Clone, Debug)]
pub struct MockRole {
    /// Its ARN, such as `arn:aws:iam::210987654321:role/tollgate`. Sessions act in the account that it names.
    pub arn: String,
    /// Whom its trust policy names: access key ids of the configuration, or ARNs of roles for chaining.
    pub trusts: Vec<String>,
    /// The external id that its trust policy demands.
    pub external_id: Option<String>,
    /// What its trust policy says of `sts:TagSession`.
    pub session_tags: MockSessionTags,
    /// How long a session may last at most. AWS has an hour unless told otherwise, and twelve at most.
    pub max_session: Duration,
    /// Its own tags: principal tags of every session, unless the session has a tag of that name.
    pub tags: Tags,
    /// What its sessions may do.
    pub actions: MockActions,
    /// The name of a tag that must agree for model calls, as where the role's only statement for them has the condition
    /// `"StringEquals": {"aws:ResourceTag/K": "${aws:PrincipalTag/K}"}`: a session whose principal tag differs from the
    /// profile's tag is refused, and so is one that has no such tag.
    pub matching_tag: Option<String>,
}

impl MockRole {
    /// A role that trusts one access key id and takes session tags, for an hour at most, to do everything in its account.
    pub fn new(arn: &str, trusts: &str) -> Self {
        Self {
            arn: arn.to_owned(),
            trusts: vec![trusts.to_owned()],
            external_id: None,
            session_tags: MockSessionTags::Allow,
            max_session: Duration::from_hours(1),
            tags: Tags::default(),
            actions: MockActions::All,
            matching_tag: None,
        }
    }

    /// The account that it belongs to, where its ARN is a role's.
    pub(super) fn account(&self) -> Option<AccountId> {
        let arn = Arn::parse(&self.arn)?;
        let is_role = arn.service == "iam" && arn.region.is_empty() && arn.resource.starts_with("role/");
        arn.account.parse().ok().filter(|_| is_role)
    }

    /// Its name without its path.
    fn name(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    /// AWS's unique id of a role; here, one that its name decides.
    fn unique_id(&self) -> String {
        let digest = hex::encode_upper(Sha256::digest(&self.arn));
        format!("AROA{}", digest.get(..17).unwrap_or_default())
    }
}

/// Whether a role's trust policy allows `sts:TagSession`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MockSessionTags {
    /// Session tags may be passed.
    #[default]
    Allow,
    /// A call that passes session tags is refused.
    Refuse,
}

/// A session as a request's record shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionSeen {
    /// The ARN of the role that was assumed.
    pub role_arn: String,
    /// The role session name.
    pub name: String,
    /// The session tags, inherited ones among them, without the role's own tags.
    pub tags: BTreeMap<String, String>,
    /// The source identity, where one was given.
    pub source_identity: Option<String>,
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: Secret,
    pub(super) token: Secret,
    pub(super) role: Arc<MockRole>,
    pub(super) account: AccountId,
    pub(super) name: String,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) transitive: BTreeSet<String>,
    pub(super) source_identity: Option<String>,
    pub(super) expires: SystemTime,
}

impl Session {
    pub(super) fn arn(&self, partition: &str) -> String {
        format!("arn:{partition}:sts::{}:assumed-role/{}/{}", self.account, self.role.name(), self.name)
    }

    pub(super) fn unique_id(&self) -> String {
        format!("{}:{}", self.role.unique_id(), self.name)
    }

    pub(super) fn seen(&self) -> SessionSeen {
        SessionSeen {
            role_arn: self.role.arn.clone(),
            name: self.name.clone(),
            tags: self.tags.clone(),
            source_identity: self.source_identity.clone(),
        }
    }

    /// A principal tag. IAM tells keys apart by their letters alone, values by every byte.
    pub(super) fn principal_tag(&self, key: &str) -> Option<&str> {
        let of_session = self.tags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        of_session.chain(self.role.tags.iter()).find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
    }
}

/// The sessions that there are, by access key id.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    sessions: BTreeMap<String, Arc<Session>>,
    /// Those that were made to expire before their time.
    expired: BTreeSet<String>,
}

impl Sessions {
    pub(super) fn add(&self, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.sessions.insert(session.access_key_id.clone(), Arc::clone(&session));
        session
    }

    pub(super) fn find(&self, access_key_id: &str, now: SystemTime) -> Option<(Arc<Session>, Standing)> {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = book.sessions.get(access_key_id)?;
        let expired = session.expires <= now || book.expired.contains(access_key_id);
        Some((Arc::clone(session), if expired { Standing::Expired } else { Standing::Good }))
    }

    /// Makes every session that there is expire at once.
    pub(super) fn expire(&self) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<String> = book.sessions.keys().cloned().collect();
        book.expired.extend(all);
    }
}

/// Whether a session still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    Expired,
}

/// Who signed a request, and where to.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) access_key_id: String,
    /// The account that the credentials belong to, in the Region that the signature is scoped to.
    pub(super) place: Place,
    pub(super) session: Option<Arc<Session>>,
}

impl Caller {
    pub(super) fn arn(&self) -> String {
        let Self { access_key_id, place, session } = self;
        let (partition, account) = (place.partition(), &place.account);
        session.as_ref().map_or_else(
            || format!("arn:{partition}:sts::{account}:assumed-role/bedrock-caller/{access_key_id}"),
            |session| session.arn(partition),
        )
    }

    pub(super) fn unique_id(&self) -> String {
        match &self.session {
            Some(session) => session.unique_id(),
            None => format!("AROA3XFRBF535EXAMPLE:{}", self.access_key_id),
        }
    }

    /// The beginning of IAM's refusals. Actions that have no resource are told without one.
    pub(super) fn refused(&self, action: &str, resource: Option<&str>) -> String {
        let on = resource.map_or_else(String::new, |resource| format!(" on resource: {resource}"));
        format!("User: {} is not authorized to perform: {action}{on}", self.arn())
    }

    /// IAM's refusal where no policy allows an action: of the caller's own where the resource is in the caller's account,
    /// otherwise of the resource's.
    pub(super) fn not_allowed(&self, action: &str, resource: Option<&str>) -> Refusal {
        let owner = resource.and_then(Arn::parse).map_or("", |arn| arn.account);
        let policy = if owner.is_empty() || owner == self.place.account.as_str() { "identity" } else { "resource" };
        Refusal::access_denied(&format!(
            "{} because no {policy}-based policy allows the {action} action",
            self.refused(action, resource)
        ))
    }
}
