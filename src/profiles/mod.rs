//! Floor 4: through which inference profile a call goes.
//!
//! What holds: a call to a model goes through an application inference profile that was granted to its caller, or nowhere.
//! There is no default profile and no passing through; a name that is not understood leads nowhere. This floor does not
//! decide whether the caller may use the operation (`policy`), and asks AWS nothing: it knows the profiles it was told of.

pub mod control;
mod directory;
pub mod discovery;
mod explain;
pub mod fleet;
mod live;
pub mod look_alike;
pub mod price;
mod resolve;
mod rule;
mod sources;
pub mod vending;

use std::sync::Arc;

use crate::types::{ModelId, Owners, ProfileArn, Region};

pub use directory::{Directory, DirectoryError, Fit, Owner};
pub use explain::{Explanation, Step};
pub use live::{Discovery, LiveDirectory, PlaceReading, Seen};
pub use resolve::ResolveError;
pub use rule::{Found, Match, Rule};
pub use sources::{Listing, Source, Sources, Unsourced};

/// An application inference profile and the model behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    arn: ProfileArn,
    name: Arc<str>,
    source: ModelId,
    base_model: ModelId,
    prompt: Option<PromptBounds>,
}

/// What a call of a prompt of Prompt management uses at most beyond what its request says, which only whoever wrote the prompt
/// can tell: its text, its tools and its output limit are in none of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptBounds {
    /// The most input tokens of the prompt's own text and tools.
    pub input_tokens: u64,
    /// The most output tokens.
    pub output_tokens: u64,
    /// In how many places of its text one variable is filled in at most.
    pub variable_uses: u64,
}

impl Profile {
    /// A profile by its name, its ARN, and what it was made from: a system-defined profile's id (`us.anthropic.…`) or a
    /// foundation model's. AWS does not tell the source afterwards, so whoever lists the profile must.
    pub fn new(name: impl Into<Arc<str>>, arn: ProfileArn, source: ModelId) -> Self {
        let base_model = source.base();
        Self { arn, name: name.into(), source, base_model, prompt: None }
    }

    /// The same, of a prompt of Prompt management that asks no more than this.
    #[must_use]
    pub fn of_prompt(self, bounds: PromptBounds) -> Self {
        Self { prompt: Some(bounds), ..self }
    }

    /// What a prompt of Prompt management asks at most; nothing where it is none.
    pub const fn prompt(&self) -> Option<&PromptBounds> {
        self.prompt.as_ref()
    }

    /// What a call is sent to.
    pub const fn arn(&self) -> &ProfileArn {
        &self.arn
    }

    /// The name; it labels metrics and logs. Those of the configuration are unique, and AWS's in an account and Region: found ones of
    /// two places may be called alike.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name, to be kept.
    pub const fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it was made from. Prices depend on this, not on the base model: a geography has its own.
    pub const fn source(&self) -> &ModelId {
        &self.source
    }

    /// The foundation model.
    pub const fn base_model(&self) -> &ModelId {
        &self.base_model
    }
}

/// A profile and who may call through it, under which further names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The profile.
    pub profile: Profile,
    /// Whose it is.
    pub owners: Owners,
    /// By what it is reached.
    pub reach: Reach,
    /// Words that its owners may call it by, besides its name, its id, its ARN and its model's ids. A model's id may be
    /// one: it sends those who ask for that model through this profile.
    pub aliases: Vec<String>,
}

/// By what names a grant is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// By its name, id, ARN, aliases, and the models that it is of.
    #[default]
    AnyName,
    /// By its ARN alone, word for word: it is no inference profile. No list shows it, and no model's name leads there.
    ArnAlone,
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Through one of the caller's own profiles.
    Profile(Arc<Profile>),
    /// To the foundation model behind one of the caller's own profiles: `CountTokens` may not know profiles, and is free.
    BaseModel(Arc<Profile>),
    /// To a guardrail by itself, for `ApplyGuardrail`.
    Guardrail {
        /// Id or ARN.
        identifier: String,
        /// A number or `DRAFT`.
        version: String,
    },
}

impl Target {
    /// The profile of the caller's that the call is for; a guardrail has none.
    pub const fn profile(&self) -> Option<&Arc<Profile>> {
        match self {
            Self::Profile(profile) | Self::BaseModel(profile) => Some(profile),
            Self::Guardrail { .. } => None,
        }
    }

    /// What stands in the upstream path in place of the caller's `modelId`; a guardrail has none.
    pub fn model_id(&self) -> Option<&str> {
        match self {
            Self::Profile(profile) => Some(profile.arn.as_str()),
            Self::BaseModel(profile) => Some(profile.base_model.as_str()),
            Self::Guardrail { .. } => None,
        }
    }

    /// The Region whose endpoint serves the call, where the profile says so.
    pub fn region(&self) -> Option<&Region> {
        self.profile().map(|profile| profile.arn.region())
    }
}
