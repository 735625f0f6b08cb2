//! What an operator asks to be changed about a budget, made into changes: for the commands and for the admin listener.

use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::parse_duration;
use crate::budget::{BudgetRule, Change, Effect, Subject, Unit};
use crate::identity::{Principal, Principals};
use crate::types::{Money, Owners, Per, Tags};

/// A change as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    /// The budget's name.
    pub budget: String,
    /// The principal whose count it is.
    pub principal: Option<String>,
    /// Or the group.
    pub group: Option<String>,
    /// Or all whom the budget is for.
    pub everyone: bool,
    /// Dollars.
    pub usd: Option<String>,
    /// Tokens of all kinds.
    pub tokens: Option<u64>,
    /// Input tokens.
    pub input_tokens: Option<u64>,
    /// Output tokens.
    pub output_tokens: Option<u64>,
    /// Calls.
    pub requests: Option<u64>,
    /// The limits of the configuration again.
    pub configured: bool,
    /// For how long a limit is raised.
    #[serde(rename = "for")]
    pub span: Option<String>,
    /// Or until when.
    pub until: Option<String>,
    /// Why.
    pub reason: String,
    /// Who asks.
    pub by: Option<String>,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Another limit, or the configured one again.
    Set,
    /// A higher limit for a while.
    Raise,
    /// The count of the open window begins anew.
    Reset,
}

/// Against what a change is asked for, and how its parts are called where it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The budgets.
    pub rules: &'a [BudgetRule],
    /// The principals.
    pub principals: &'a [Arc<Principal>],
    /// Whether there may be others of whom nothing is known before they call: whoever has a token, an AWS role or a certificate.
    pub open: bool,
    /// What stands before the name of a part: `--` for an option.
    pub prefix: &'a str,
}

impl Asking<'_> {
    /// The changes, one for each unit. The error says what to ask instead.
    pub fn changes(&self, doing: Doing, asked: &Asked, now: SystemTime) -> Result<Vec<Change>, String> {
        let rule = self.rule(&asked.budget)?;
        let strange = [
            (asked.span.is_some() && doing != Doing::Raise, "for"),
            (asked.until.is_some() && doing != Doing::Raise, "until"),
            (asked.configured && doing != Doing::Set, "configured"),
        ];
        if let Some((_, part)) = strange.into_iter().find(|(strange, _)| *strange) {
            let what = "only a limit that is raised ends by itself, and only one that is set can be the configured one";
            return Err(format!("{} makes no sense here: {what}", self.part(part)));
        }
        if doing == Doing::Reset && !given(asked, 0).is_empty() {
            return Err("a reset takes no amount: the count begins anew".to_owned());
        }
        let effects = match doing {
            Doing::Set if asked.configured => {
                if !given(asked, 0).is_empty() {
                    let what = self.part("configured");
                    return Err(format!("{what} takes no amount: it is the limit of the configuration"));
                }
                vec![Effect::Configured]
            }
            Doing::Set => {
                self.amounts(rule, asked)?.into_iter().map(|(unit, amount)| Effect::Limit(unit, amount)).collect()
            }
            Doing::Raise => {
                let until = self.end(asked, now)?;
                let amounts = self.amounts(rule, asked)?.into_iter();
                amounts.map(|(unit, amount)| Effect::Raise(unit, amount, until)).collect()
            }
            Doing::Reset => vec![Effect::Reset],
        };
        let subject = self.subject(rule, asked)?;
        if asked.reason.trim().is_empty() {
            return Err(format!("{} is empty: say why, so that the history does", self.part("reason")));
        }
        let by = asked.by.clone().filter(|by| !by.trim().is_empty()).unwrap_or_else(|| "unknown".to_owned());
        let change = |effect| Change {
            budget: asked.budget.as_str().into(),
            subject: subject.clone(),
            effect,
            by: by.clone(),
            reason: asked.reason.clone(),
        };
        Ok(effects.into_iter().map(change).collect())
    }

    /// A budget of the configuration.
    pub fn rule(&self, name: &str) -> Result<&BudgetRule, String> {
        self.rules.iter().find(|rule| rule.name == name).ok_or_else(|| {
            let known: Vec<_> = self.rules.iter().map(|rule| rule.name.as_str()).collect();
            format!("{} {name}: the configuration has no such budget; it has {}", self.part("budget"), known.join(", "))
        })
    }

    /// A principal of the configuration, or one who may come from elsewhere: in which groups is not known of those.
    pub fn principal(&self, name: &str) -> Result<Arc<Principal>, String> {
        let known = self.principals.iter().find(|principal| principal.name() == name).map(Arc::clone);
        let stranger = || {
            let named = Principals::new([Principal::new(name, Vec::new(), Tags::default())]).ok()?;
            named.named(name).filter(|_| self.open).map(Arc::clone)
        };
        known.or_else(stranger).ok_or_else(|| {
            format!(
                "{} {name}: the configuration lists nobody of that name; `tollgate check` shows who is listed",
                self.part("principal")
            )
        })
    }

    /// Whether a count may be that of somebody whom nobody knows yet.
    fn may_be_counted(&self, rule: &BudgetRule, named: &Subject) -> bool {
        let (name, mut groups) = match named {
            Subject::Principal(name) if self.principals.iter().all(|known| known.name() != name.as_ref()) => {
                (Arc::clone(name), vec![])
            }
            Subject::Group(group) => (Arc::from(""), vec![group.to_string()]),
            Subject::Principal(_) | Subject::Everyone => return false,
        };
        if let (Subject::Principal(_), Per::Principal, Owners::Only { groups: own, .. }) =
            (named, rule.per, &rule.owners)
        {
            groups.clone_from(own);
        }
        let is_for = rule.owners.rank(&name, &groups).is_some();
        self.open && is_for && rule.subjects(&name, &groups).contains(named)
    }

    /// The subject that is named, if the budget counts for it.
    fn subject(&self, rule: &BudgetRule, asked: &Asked) -> Result<Subject, String> {
        let named = match (&asked.principal, &asked.group, asked.everyone) {
            (Some(name), None, false) => Subject::Principal(self.principal(name)?.name().into()),
            (None, Some(name), false) => Subject::Group(name.as_str().into()),
            (None, None, true) => Subject::Everyone,
            _ => {
                let [principal, group, everyone] = ["principal", "group", "everyone"].map(|part| self.part(part));
                return Err(format!("whose count? Give {principal} NAME, {group} NAME or {everyone}, and one of them"));
            }
        };
        let own = self.principals.iter().filter(|principal| rule.is_for(principal));
        let mut counted: Vec<_> =
            own.flat_map(|principal| rule.subjects(principal.shared_name(), principal.groups())).collect();
        counted.sort();
        counted.dedup();
        if counted.contains(&named) || self.may_be_counted(rule, &named) {
            return Ok(named);
        }
        let shown: Vec<_> = counted.iter().take(SHOWN).map(|subject| self.shown(subject)).collect();
        let more = if counted.len() > SHOWN { ", …" } else { "" };
        Err(format!(
            "budget {} has no count of its own for {}: it has {}{more}",
            rule.name,
            self.shown(&named),
            shown.join(", ")
        ))
    }

    fn amounts(&self, rule: &BudgetRule, asked: &Asked) -> Result<Vec<(Unit, u64)>, String> {
        let dollars = asked.usd.as_deref().map(|text| {
            let money: Money = text.parse().map_err(|error| format!("{} {text}: {error}", self.part("usd")))?;
            u64::try_from(money.nanos()).map_err(|_| format!("{} {text} is below nothing", self.part("usd")))
        });
        let given = given(asked, dollars.transpose()?.unwrap_or(0));
        if given.is_empty() {
            let units = ["usd", "tokens", "input_tokens", "output_tokens", "requests"].map(|unit| self.part(unit));
            return Err(format!("how much? Give {}", units.join(", ")));
        }
        match given.iter().find(|(unit, _)| rule.limits.of(*unit).is_none()) {
            Some((unit, _)) => Err(format!("budget {} does not limit {}", rule.name, unit.as_str().replace('_', " "))),
            None => Ok(given),
        }
    }

    fn end(&self, asked: &Asked, now: SystemTime) -> Result<SystemTime, String> {
        let (span, until) = (self.part("for"), self.part("until"));
        let end = match (&asked.span, &asked.until) {
            (Some(text), None) => {
                let length = parse_duration(text).map_err(|error| format!("{span} {text}: {error}"))?;
                now.checked_add(length).ok_or_else(|| format!("{span} {text} is too long"))?
            }
            (None, Some(text)) => {
                let end: Timestamp = text.parse().map_err(|error: jiff::Error| {
                    format!("{until} {text} is no time with its zone, such as 2027-01-31T00:00:00Z: {error}")
                })?;
                end.into()
            }
            _ => return Err(format!("how long? Give {span} DURATION or {until} TIME")),
        };
        if end <= now { Err("the raise would have ended already: give a time to come".to_owned()) } else { Ok(end) }
    }

    /// A part as it is called where it is asked.
    fn part(&self, name: &str) -> String {
        let dashes = !self.prefix.is_empty();
        format!("{}{}", self.prefix, if dashes { name.replace('_', "-") } else { name.to_owned() })
    }

    fn shown(&self, subject: &Subject) -> String {
        match subject {
            Subject::Everyone => self.part("everyone"),
            Subject::Principal(_) | Subject::Group(_) => format!("{} {}", self.part(subject.kind()), subject.name()),
        }
    }
}

/// A change as it is shown, with the keys of its JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Made<'a> {
    /// When it was made; nothing where that is being done.
    pub made: Option<Timestamp>,
    /// The budget's name.
    pub budget: &'a str,
    /// Whose count: `principal`, `group` or `everyone`.
    pub subject_kind: &'static str,
    /// The principal's name, or the group's.
    pub subject: &'a str,
    /// What was done: `limit`, `raise`, `configured` or `reset`.
    pub effect: &'static str,
    /// In which unit.
    pub unit: Option<&'static str>,
    /// How much, dollars in nano-dollars.
    pub amount: Option<u64>,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// Who asked.
    pub by: &'a str,
    /// Why.
    pub reason: &'a str,
}

impl<'a> Made<'a> {
    /// A change, and when it was made.
    pub fn of(change: &'a Change, made: Option<SystemTime>) -> Self {
        let (time, amount) = (|instant| Timestamp::try_from(instant).ok(), change.effect.amount());
        Self {
            made: made.and_then(time),
            budget: &change.budget,
            subject_kind: change.subject.kind(),
            subject: change.subject.name(),
            effect: change.effect.word(),
            unit: amount.map(|(unit, _)| unit.as_str()),
            amount: amount.map(|(_, amount)| amount),
            until: change.effect.until().and_then(time),
            by: &change.by,
            reason: &change.reason,
        }
    }
}

/// The units for which there is an amount.
fn given(asked: &Asked, nanodollars: u64) -> Vec<(Unit, u64)> {
    let given = [
        (Unit::Usd, asked.usd.as_ref().map(|_| nanodollars)),
        (Unit::Tokens, asked.tokens),
        (Unit::InputTokens, asked.input_tokens),
        (Unit::OutputTokens, asked.output_tokens),
        (Unit::Requests, asked.requests),
    ];
    given.into_iter().filter_map(|(unit, amount)| Some((unit, amount?))).collect()
}

/// How many subjects an error names.
const SHOWN: usize = 10;
