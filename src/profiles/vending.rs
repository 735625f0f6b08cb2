//! Vending: a principal who asks for a model and has no profile of it gets one, where a rule says so.
//!
//! What is made is decided by the rule, the principal and the model alone, so that any number of requests at any number of gateways
//! ask AWS for the same profile, and AWS makes it once. A name that is taken is adopted only when its tags say that it is this
//! principal's and of this source. Everything is written to the log, with `tollgate::audit` as its target.

mod ask;
mod making;
mod quota;
mod rule;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::control::{ControlError, Creation, Place, bedrock};
use super::discovery::SOURCE_TAG;
use super::{LiveDirectory, Profile};
use crate::identity::Principal;
use crate::types::{ModelName, Models, Owners, ProfileArn};
use making::{Joined, Makings, ProfileKey};
use quota::Quotas;

pub use ask::Ask;
pub use quota::{Headroom, QUOTA_CODE, QUOTA_NAME};
pub use rule::{Geographies, Vend, VendingRule};

/// The tag that says whose a profile is that was made here.
pub const OWNER_TAG: &str = "tollgate:owner";

/// Makes profiles for those who have none.
#[derive(Debug)]
pub struct Vending {
    rules: Vec<Vend>,
    /// How long a request waits for its profile.
    wait: Duration,
    live: Arc<LiveDirectory>,
    makings: Arc<Makings>,
    at_once: Semaphore,
    quotas: Quotas,
}

/// A profile that there is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its ARN.
    pub arn: ProfileArn,
    /// How it came.
    pub how: How,
}

/// How a profile came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was made.
    Created,
    /// It was there, with the tags that prove it to be the one that was asked for.
    Adopted,
}

impl How {
    /// The word in the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Adopted => "adopted",
        }
    }
}

/// Why there is no profile although a rule would have one made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VendError {
    /// The rule's templates take something that the principal does not have.
    #[error("the profile's tags or its name take {0}, which the caller does not have, or which no tag may hold")]
    Lacks(String),
    /// The principal has as many as they may.
    #[error("the caller has {0} profiles already, which is as many as may be made for one")]
    Enough(usize),
    /// The account is as full as it may get.
    #[error("there are {0} profiles in {1} already, which is as many as the rule allows")]
    Full(usize, String),
    /// AWS lets the account have no more, as far as is known.
    #[error(
        "there are {used} inference profiles in {place} already, and AWS's quota \"{QUOTA_NAME}\" ({QUOTA_CODE}) is {quota}: ask \
         for more in Service Quotas, or delete what nobody needs (`tollgate profile orphans`)"
    )]
    NoRoom {
        /// How many there are.
        used: usize,
        /// How many there may be.
        quota: usize,
        /// Where.
        place: String,
    },
    /// AWS has said that the account may have no more.
    #[error(
        "AWS lets there be no more inference profiles in {place} ({said}): ask for more of \"{QUOTA_NAME}\" ({QUOTA_CODE}) in Service \
         Quotas, or delete what nobody needs (`tollgate profile orphans`)"
    )]
    UsedUp {
        /// Where.
        place: String,
        /// AWS's words.
        said: String,
    },
    /// A profile of that name is somebody else's.
    #[error(
        "a profile named {0} is there already, and its tags do not say that it is the caller's: delete it, or retag it"
    )]
    Taken(String),
    /// AWS did not make it.
    #[error("{0}")]
    Control(#[from] ControlError),
    /// It is being made, and takes longer than a request waits.
    #[error("it is being made, and takes longer than {0:?}")]
    Late(Duration),
    /// As many are being made as may be at a time.
    #[error("as many profiles are being made as may be at a time")]
    Busy,
    /// The principal was refused so often that AWS is not asked for them for a while.
    #[error("the caller was refused so often within a minute that AWS is not asked for them")]
    Often,
    /// What there is has not been read yet.
    #[error("the profiles of {0} have not been read yet: whether there is one already is not known")]
    Unread(String),
    /// It was made, and by no rule of discovery is it its owner's.
    #[error("{0} was made, and no rule of [discovery] says that it is the caller's: see the tags of [[vending]]")]
    Unowned(ProfileArn),
}

impl Vending {
    /// Makes profiles by `rules`, the first that fits counting, and puts them in force in `live`.
    pub fn new(rules: Vec<Vend>, wait: Duration, live: Arc<LiveDirectory>) -> Arc<Self> {
        Arc::new(Self {
            rules,
            wait,
            live,
            makings: Arc::default(),
            at_once: Semaphore::new(AT_ONCE),
            quotas: Quotas::default(),
        })
    }

    /// Whether anything is ever made.
    pub fn is_idle(&self) -> bool {
        self.rules.is_empty()
    }

    /// What would be made for a principal who asks by this name; nothing where no rule fits.
    pub fn ask(&self, principal: &Principal, name: &ModelName) -> Option<Result<Ask<'_>, VendError>> {
        let ModelName::Model(asked) = name else { return None };
        let fits = |owners: &Owners, models: &Models| {
            owners.rank(principal.name(), principal.groups()).is_some() && models.contain(Some(asked))
        };
        for (at, rule) in self.rules.iter().enumerate() {
            match rule {
                Vend::Not { owners, models } if fits(owners, models) => return None,
                Vend::Profile(rule) if fits(&rule.owners, &rule.models) => {
                    if let Some(source) = rule.geographies.source(asked) {
                        return Some(Ask::new(rule, principal, source).map(|ask| Ask { at: Some(at), ..ask }));
                    }
                }
                Vend::Not { .. } | Vend::Profile(_) => {}
            }
        }
        None
    }

    /// Makes a principal's profile of the model that they ask for, or waits for whoever is making it. Nothing where no rule has one
    /// made. The making goes on if the caller leaves.
    pub async fn vend(
        self: &Arc<Self>,
        principal: &Arc<Principal>,
        name: &ModelName,
        now: SystemTime,
    ) -> Option<Result<(), VendError>> {
        let (key, place) = match self.ask(principal, name)? {
            Ok(ask) => (ask.key(principal), &ask.rule.place),
            Err(error) => return Some(Err(error)),
        };
        // Before that nobody knows whether they have one.
        if !self.live.is_read(place) {
            return Some(Err(VendError::Unread(place.to_string())));
        }
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut told = match self.makings.join(&key, now) {
            Joined::Refused(error) => return Some(Err(error)),
            Joined::Waiting(told) => told,
            Joined::First(ticket, told) => {
                let (own, principal, name) = (Arc::clone(self), Arc::clone(principal), name.clone());
                tokio::spawn(async move {
                    let making = own.alone(&principal, &name, now);
                    let made = match tokio::time::timeout(PATIENCE, making).await {
                        Ok(made) => made,
                        Err(_) => Err(ControlError::Unavailable("AWS takes too long".to_owned()).into()),
                    };
                    ticket.end(made, now);
                });
                told
            }
        };
        let outcome = tokio::time::timeout(self.wait, told.wait_for(Option::is_some)).await;
        Some(match outcome {
            Ok(Ok(outcome)) => outcome.clone().unwrap_or(Ok(())),
            Ok(Err(_)) => Err(ControlError::Unavailable("it was given up".to_owned()).into()),
            Err(_) => Err(VendError::Late(self.wait)),
        })
    }

    /// One after another for one principal, so that their limit holds; whoever comes second may find it made.
    async fn alone(&self, principal: &Principal, name: &ModelName, now: Timestamp) -> Result<(), VendError> {
        let turn = self.makings.turn(principal.name());
        let _turn = turn.lock().await;
        let has = || self.live.load().owns(principal, name);
        if has() {
            return Ok(());
        }
        let Ok(_room) = self.at_once.acquire().await else { return Ok(()) };
        let Some(ask) = self.ask(principal, name) else { return Ok(()) };
        let ask = ask?;
        let plan = self.makings.plan(&ask.rule.place);
        self.check_room(&ask, principal, (0, plan.others))?;
        let Made { arn, .. } = self.make(&ask, principal, now).await?;
        if has() { Ok(()) } else { Err(VendError::Unowned(arn)) }
    }

    /// Makes one profile and puts it in force; one that is there already is taken where its tags prove it to be that one.
    pub async fn make(&self, ask: &Ask<'_>, principal: &Principal, now: Timestamp) -> Result<Made, VendError> {
        let Some(discovery) = self.live.discovery() else {
            return Err(ControlError::Unavailable("there is no discovery".to_owned()).into());
        };
        let (control, place) = (&discovery.control, &ask.rule.place);
        self.check_room(ask, principal, (0, 0))?;
        let creation = ask.creation(principal, now);
        let (arn, how) = match bedrock::create(control, place, &creation).await {
            Ok(arn) => (arn, How::Created),
            Err(ControlError::Conflict(_)) => (self.adopted(ask, &creation).await?, How::Adopted),
            Err(ControlError::Quota(said)) => return Err(VendError::UsedUp { place: place.to_string(), said }),
            Err(error) => return Err(error.into()),
        };
        if !place.holds(&arn) {
            let why = format!("AWS made {arn}, which is not in {place}: look at the credentials, and delete it");
            return Err(ControlError::Denied(why).into());
        }
        tracing::info!(
            target: "tollgate::audit",
            principal = principal.name(), %arn, name = creation.name, source = %ask.source, how = how.word(),
            "an inference profile was made for somebody who had none",
        );
        let found = super::Found::of(arn.clone(), &creation.name, &ask.source, &creation.tags);
        self.live.adopt(place, found, now).await?;
        Ok(Made { arn, how })
    }

    /// A profile of that name, if its tags prove it to be the one that would be made.
    async fn adopted(&self, ask: &Ask<'_>, creation: &Creation) -> Result<ProfileArn, VendError> {
        let Some(discovery) = self.live.discovery() else { return Err(VendError::Taken(creation.name.clone())) };
        let (control, place) = (&discovery.control, &ask.rule.place);
        // Whoever is making it at this moment is listed a little later.
        for pause in PAUSES {
            let listed = bedrock::list(control, place, &|_| {}).await?;
            if let Some(listed) = listed.into_iter().find(|listed| listed.name == creation.name) {
                let tags = bedrock::tags(control, place, &listed.arn).await?;
                let proved = creation.tags.iter().all(|(key, value)| tags.get(key) == Some(value));
                return if proved { Ok(listed.arn) } else { Err(VendError::Taken(creation.name.clone())) };
            }
            tokio::time::sleep(pause).await;
        }
        Err(ControlError::Conflict(format!("{} is there, and is not listed", creation.name)).into())
    }

    /// Whether the rule leaves room for one more, when so many are planned for this principal and so many in its place.
    pub fn check_room(
        &self,
        ask: &Ask<'_>,
        principal: &Principal,
        (own_planned, all_planned): (usize, usize),
    ) -> Result<(), VendError> {
        let (own, all) = self.live.count(&ask.rule.place, |found| found.tag(OWNER_TAG) == Some(principal.name()));
        let (own, all) = (own + own_planned, all + all_planned);
        if own >= ask.rule.per_principal {
            return Err(VendError::Enough(own));
        }
        let place = &ask.rule.place;
        if ask.rule.most.is_some_and(|most| all >= most) {
            return Err(VendError::Full(all, place.to_string()));
        }
        let used = self.live.used(place) + all_planned;
        match self.quotas.of(place) {
            Some(quota) if used >= quota => Err(VendError::NoRoom { used, quota, place: place.to_string() }),
            Some(_) | None => Ok(()),
        }
    }

    /// Reads AWS's own quota again where a rule can make profiles and it is time to: once an hour, or oftener while nothing is left.
    pub async fn read_quotas(&self, now: SystemTime) {
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
        for place in self.places() {
            self.quotas.read(&self.live, place, now).await;
        }
    }

    /// How much room AWS leaves where a rule can make profiles.
    pub fn headrooms(&self) -> Vec<Headroom> {
        self.places().into_iter().map(|place| self.quotas.headroom(&self.live, place)).collect()
    }

    /// Where a rule can make profiles, each once.
    fn places(&self) -> Vec<&Place> {
        let mut places: Vec<&Place> = Vec::new();
        for rule in &self.rules {
            match rule {
                Vend::Profile(rule) if !places.contains(&&rule.place) => places.push(&rule.place),
                Vend::Profile(_) | Vend::Not { .. } => {}
            }
        }
        places
    }

    /// Whether a profile is so young that Bedrock's runtime may not know it yet.
    pub fn is_fresh(&self, profile: &Profile, now: SystemTime) -> bool {
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
        self.live.made_within(profile.arn(), now, FRESH)
    }
}

impl VendError {
    /// Whether it may be otherwise a moment later.
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Control(error) => error.is_passing(),
            Self::Late(_) | Self::Busy | Self::Unread(_) => true,
            Self::Lacks(_)
            | Self::Enough(_)
            | Self::Full(..)
            | Self::NoRoom { .. }
            | Self::UsedUp { .. }
            | Self::Taken(_)
            | Self::Often
            | Self::Unowned(_) => false,
        }
    }

    /// Whether it is about the caller, and nothing that an operator has to mend at once.
    const fn is_callers(&self) -> bool {
        match self {
            Self::Lacks(_) | Self::Enough(_) | Self::Often | Self::Busy | Self::Late(_) | Self::Unread(_) => true,
            Self::Full(..)
            | Self::NoRoom { .. }
            | Self::UsedUp { .. }
            | Self::Taken(_)
            | Self::Control(_)
            | Self::Unowned(_) => false,
        }
    }

    /// For how long it is taken for AWS's answer: what passes by itself is asked about again soon.
    const fn remembered(&self) -> SignedDuration {
        if self.is_passing() { SignedDuration::from_secs(2) } else { making::MINUTE }
    }

    /// What the person at the keyboard reads.
    pub fn caller_text(&self) -> &'static str {
        match self {
            Self::Late(_) | Self::Busy | Self::Unread(_) => {
                "Your inference profile of this model is being made. Try again in some seconds."
            }
            Self::Enough(_) => {
                "You have as many inference profiles as may be made for you. Ask the operator of this gateway for another."
            }
            Self::NoRoom { .. } | Self::UsedUp { .. } => {
                "You have no inference profile of this model, and none could be made: the AWS account has as many as AWS lets it have. Ask the operator of this gateway to have the quota raised."
            }
            Self::Lacks(_) | Self::Full(..) | Self::Taken(_) | Self::Control(_) | Self::Often | Self::Unowned(_) => {
                "You have no inference profile of this model, and none could be made. Ask the operator of this gateway: its log says why."
            }
        }
    }
}

/// How many profiles are made at a time.
const AT_ONCE: usize = 4;
/// How long a making may take, whatever AWS does.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long Bedrock's runtime may take to know a profile.
const FRESH: SignedDuration = SignedDuration::from_mins(2);
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(2)];

/// The tags that a rule may not set, because they are set here.
pub const OWN_TAGS: [&str; 2] = [SOURCE_TAG, OWNER_TAG];
