//! What `tollgate profile create` makes: by which rule, from what, where, under which name and with which tags.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use super::Create;
use crate::cli::profile::desk::{Desk, Known, pairs};
use crate::identity::{Principal, Template};
use crate::profiles::control::Place;
use crate::profiles::vending::{Ask, Geographies, VendError, VendingRule};
use crate::profiles::{Match, Rule};
use crate::types::{ModelId, ModelName, Models, Owners};

/// A profile that is to be made, with a rule that says how.
pub(super) struct Order {
    pub(super) principal: Arc<Principal>,
    pub(super) known: Known,
    pub(super) source: ModelId,
    pub(super) rule: VendingRule,
    /// The rule's place in the configuration.
    pub(super) at: Option<usize>,
    pub(super) name: Option<String>,
}

/// What is not made, and why.
pub(super) struct Left {
    pub(super) principal: String,
    pub(super) model: String,
    pub(super) why: String,
    /// Whether that is as it should be.
    pub(super) fine: bool,
}

impl Left {
    pub(super) fn json(&self) -> Value {
        json!({ "principal": self.principal, "model": self.model, "why": self.why, "error": !self.fine })
    }
}

/// What is to be made for a principal who wants a model; what is not is left.
pub(super) fn order(
    desk: &Desk,
    create: &Create,
    principal: &Arc<Principal>,
    known: Known,
    model: &str,
) -> Result<Order, Left> {
    let left = |why: String, fine| Left { principal: principal.name().to_owned(), model: model.to_owned(), why, fine };
    let name = ModelName::classify(model);
    let ModelName::Model(asked) = &name else {
        return Err(left(
            "it is no model's id, such as us.anthropic.claude-sonnet-4-5-20250929-v1:0".to_owned(),
            false,
        ));
    };
    let asked_of_rules = desk.vending.ask(principal, &name);
    if !create.is_explicit() {
        let directory = desk.directory.load();
        let explained = directory.explain(principal, &name, model);
        if let Some(own) = explained.awaited() {
            let why = format!(
                "it may be {}, of which is not known what it was made from: `tollgate profile list --live` says why",
                own.name
            );
            return Err(left(why, false));
        }
        if let Some((_, _, profile)) = explained.chosen() {
            return Err(left(format!("{} is theirs already: {}", profile.name(), profile.arn()), true));
        }
        return match asked_of_rules {
            Some(Ok(ask)) => Ok(Order {
                principal: Arc::clone(principal),
                known,
                source: ask.source.clone(),
                rule: ask.rule.clone(),
                at: ask.at,
                name: None,
            }),
            Some(Err(error)) => Err(left(error.to_string(), false)),
            None if create.everyone => Err(left("no [[vending]] rule is for them and this model".to_owned(), true)),
            None => Err(left(
                "no [[vending]] rule is for them and this model; --source says from what to make one all the same"
                    .to_owned(),
                false,
            )),
        };
    }
    let base = asked_of_rules.and_then(Result::ok);
    let source = match (&create.source, &base) {
        (None, Some(ask)) => ask.source.clone(),
        (Some(_), _) | (None, None) => asked.clone(),
    };
    let rule = explicit(desk, create, base.map(|ask| ask.rule), &source).map_err(|why| left(why, false))?;
    if create.name.is_none() {
        let directory = desk.directory.load();
        let same =
            directory.owned_by(principal).find(|(_, own)| *own.source() == source && rule.place.holds(own.arn()));
        if let Some((_, profile)) = same {
            let why =
                format!("{} is theirs already, made from it in the same place: --name makes another", profile.name());
            return Err(left(why, true));
        }
    }
    let name = create.name.clone();
    Ok(Order { principal: Arc::clone(principal), known, source, rule, at: None, name })
}

/// The rule that the command line makes, on what a rule of the configuration says.
fn explicit(desk: &Desk, create: &Create, base: Option<&VendingRule>, source: &ModelId) -> Result<VendingRule, String> {
    if create.name.as_deref().is_some_and(|name| !is_name(name)) {
        return Err("--name takes 1 to 64 letters and digits, with single spaces, - and _ between them".to_owned());
    }
    let mut tags: BTreeMap<String, Template> =
        base.map_or_else(|| tags_by_rules(desk.directory.rules()), |rule| rule.tags.clone());
    for (key, value) in pairs(&create.tags)? {
        let template = Template::parse(&value).map_err(|error| format!("--tag {key}: {error}"))?;
        tags.insert(key, template);
    }
    let name = match base {
        Some(rule) => rule.name.clone(),
        None => Template::parse("{principal}-{model}").map_err(|error| error.to_string())?,
    };
    Ok(VendingRule {
        owners: Owners::Everyone,
        models: Models::All,
        place: place(desk, create, base)?,
        geographies: Geographies(vec![source.geography()]),
        name,
        tags,
        per_principal: usize::MAX,
        most: None,
    })
}

/// The tags that make a profile somebody's by the first rule that one person's profiles can be by.
fn tags_by_rules(rules: &[Rule]) -> BTreeMap<String, Template> {
    let filled = rules.iter().find_map(|rule| {
        let field = match &rule.owner {
            Match::Tag(key) => format!("{{{key}}}"),
            Match::Name => "{principal}".to_owned(),
            Match::Group => return None,
        };
        Some((rule.profile_tag.clone(), Template::parse(&field).ok()?))
    });
    filled.into_iter().collect()
}

/// One of the places in which profiles are found.
fn place(desk: &Desk, create: &Create, base: Option<&VendingRule>) -> Result<Place, String> {
    let places = desk.directory.discovery().map(|discovery| discovery.places.as_slice()).unwrap_or_default();
    let of_rule = base.map(|rule| &rule.place);
    let account = create.account.as_deref().or_else(|| of_rule.map(|place| place.account.as_str()));
    // The Region of the rule is its own account's.
    let region = match (&create.region, &create.account) {
        (Some(region), _) => Some(region.as_str()),
        (None, Some(_)) => None,
        (None, None) => of_rule.map(|place| place.region.as_str()),
    };
    let fits = |place: &&Place| {
        account.is_none_or(|account| place.account.as_str() == account)
            && region.is_none_or(|region| place.region.as_str() == region)
    };
    places.iter().find(fits).cloned().ok_or_else(|| {
        let known: Vec<_> = places.iter().map(ToString::to_string).collect();
        format!("[[accounts]] has no such account and Region: there are {}", known.join(", "))
    })
}

/// What would be asked of AWS for each order; what cannot be made is left.
pub(super) fn asks<'o>(desk: &Desk, orders: &'o [Order], left: &mut Vec<Left>) -> Vec<(&'o Order, Ask<'o>)> {
    let mut asks: Vec<(&Order, Ask<'_>)> = Vec::new();
    let mut of_person: HashMap<(&str, &Place), usize> = HashMap::new();
    let mut in_place: HashMap<&Place, usize> = HashMap::new();
    for order in orders {
        let principal = &order.principal;
        let mut leave = |why: String, fine| {
            let (principal, model) = (principal.name().to_owned(), order.source.to_string());
            left.push(Left { principal, model, why, fine });
        };
        let mut ask = match Ask::new(&order.rule, principal, order.source.clone()) {
            Ok(ask) => ask,
            Err(VendError::Lacks(what)) => {
                leave(
                    format!("the name or the tags take {what}, which they do not have, or which no tag may hold"),
                    false,
                );
                continue;
            }
            Err(error) => {
                leave(error.to_string(), false);
                continue;
            }
        };
        ask.at = order.at;
        if let Some(name) = &order.name {
            ask = ask.named(name.clone());
        }
        if !ask.is_owned_by(principal, desk.directory.rules()) {
            let keys: Vec<_> = desk.directory.rules().iter().map(|rule| rule.profile_tag.as_str()).collect();
            let how = if order.known == Known::CommandLine { " or --principal-tag" } else { "" };
            leave(
                format!(
                    "with its tags no rule of [discovery] would make it theirs: see --tag{how}, and {}",
                    keys.join(", ")
                ),
                false,
            );
            continue;
        }
        if asks.iter().any(|(_, other)| other.name == ask.name && other.rule.place == ask.rule.place) {
            leave("it is in the plan already".to_owned(), true);
            continue;
        }
        if let Some(outside) = desk.outside(&ask) {
            leave(format!("[policy] refuses calls through it: {outside}"), false);
            continue;
        }
        let place = &order.rule.place;
        let planned = (
            of_person.get(&(principal.name(), place)).copied().unwrap_or_default(),
            in_place.get(place).copied().unwrap_or_default(),
        );
        if let Err(error) = desk.vending.check_room(&ask, principal, planned) {
            leave(error.to_string(), false);
            continue;
        }
        *of_person.entry((principal.name(), place)).or_default() += 1;
        *in_place.entry(place).or_default() += 1;
        asks.push((order, ask));
    }
    asks
}

/// AWS's grammar of a profile's name: `([0-9a-zA-Z][ _-]?)+`.
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let separator = |byte: &u8| b" _-".contains(byte);
    let plain = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || separator(byte));
    let single = !bytes.windows(2).any(|pair| pair.iter().all(separator));
    plain && single && (1..=64).contains(&bytes.len()) && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_aws_takes() {
        for (name, taken) in [
            ("alice sonnet-4_5", true),
            ("a", true),
            ("", false),
            ("-a", false),
            ("a--b", false),
            ("a.b", false),
            (&*"a".repeat(64), true),
            (&*"a".repeat(65), false),
        ] {
            assert_eq!(is_name(name), taken, "{name}");
        }
    }

    #[test]
    fn a_profile_without_tags_of_ones_own_gets_those_of_the_first_rule_that_is_for_one_person() {
        let rule = |tag: &str, owner| Rule { profile_tag: tag.to_owned(), owner };
        let of = |rules: &[Rule]| {
            tags_by_rules(rules)
                .into_iter()
                .map(|(key, value)| (key, value.bare().unwrap().to_owned()))
                .collect::<Vec<_>>()
        };
        let group = || rule("Team", Match::Group);
        let pair = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        assert_eq!(of(&[group(), rule("Mail", Match::Tag("UserEmail".to_owned()))]), pair("Mail", "UserEmail"));
        assert_eq!(of(&[rule("Owner", Match::Name)]), pair("Owner", "principal"));
        assert_eq!(of(&[group()]), []);
    }
}
