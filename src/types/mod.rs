//! Floor 0: the nouns that every stage speaks of.
//!
//! Nothing here knows of HTTP, of configuration or of another module. Each type with a rule can only be made by a
//! function that checks the rule.

mod arn;
mod clock;
mod geography;
mod model;
mod money;
mod owners;
mod principal_tags;
mod quick_map;
mod regions;
mod secret;
mod segments;
mod sharing;
mod usage;

pub use arn::{AccountId, Arn, ArnError, ProfileArn, Region};
pub use clock::{Clock, ManualClock, SystemClock};
pub use geography::Geography;
pub use model::{ModelId, ModelIdError, ModelName};
pub use money::{Money, MoneyError, PlainMoney, TokenPrice};
pub use owners::{Owners, Rank};
pub use principal_tags::{Tags, is_tag_key, is_tag_value};
pub use quick_map::{QuickMap, QuickSet};
pub use regions::{RegionPattern, RegionPatternError};
pub use secret::Secret;
pub use segments::Segments;
pub use sharing::{Models, Per, Subject};
pub use usage::{GuardrailUnits, ServiceTier, TokenUsage};
