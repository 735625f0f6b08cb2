//! `[[budgets]]`, as plain values.

use std::time::Duration;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::{Choice, Reserve};
use crate::budget::{Apart, Enforcement, Limits};
use crate::types::{Models, Owners, Per};

/// A budget.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetSettings {
    /// Its name.
    pub name: String,
    /// Whom it is for.
    pub owners: Owners,
    /// Whether it is only for those who have no other.
    pub default: bool,
    /// Whose spending is added up.
    pub per: Per,
    /// On which models.
    pub models: Models,
    /// Whether models have counts apart.
    pub apart: Apart,
    /// How often it begins anew.
    pub window: WindowSettings,
    /// Where its hours, days, weeks and months begin.
    pub zone: TimeZone,
    /// The most that may be spent and used; at least one amount is there.
    pub limits: Limits,
    /// What is done with a call that does not fit.
    pub enforcement: Enforcement,
    /// What is held before a call.
    pub reserve: Reserve,
    /// The most that is held for one call.
    pub caps: Limits,
}

/// How often a budget begins anew, with what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowSettings {
    /// At every full hour.
    Hour,
    /// At midnight.
    Day,
    /// At midnight of this day of the week.
    Week(Weekday),
    /// At midnight of the first.
    Month,
    /// Never: the time that has just passed counts, this long.
    Rolling(Duration),
    /// Never.
    Lifetime,
}

impl Choice for Per {
    const WORDS: &'static [(&'static str, Self)] =
        &[("principal", Self::Principal), ("group", Self::Group), ("everyone", Self::Everyone)];
}

impl Choice for Apart {
    const WORDS: &'static [(&'static str, Self)] =
        &[("together", Self::Together), ("model", Self::Model), ("family", Self::Family)];
}

impl Choice for Enforcement {
    const WORDS: &'static [(&'static str, Self)] = &[("hard", Self::Hard), ("soft", Self::Soft)];
}

impl Choice for Weekday {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("monday", Self::Monday),
        ("tuesday", Self::Tuesday),
        ("wednesday", Self::Wednesday),
        ("thursday", Self::Thursday),
        ("friday", Self::Friday),
        ("saturday", Self::Saturday),
        ("sunday", Self::Sunday),
    ];
}
