//! `tollgate profile explain`: the steps by which a name leads somebody to a profile, or to none.
//!
//! The steps are the directory's own, by which calls are resolved too.

use serde_json::{Value, json};

use super::desk::{Desk, Known, Person};
use super::list::{awaited, doubtful};
use crate::bedrock::Operation;
use crate::cli::stored::{printable, table};
use crate::cli::{Output, Streams};
use crate::config::assembly;
use crate::identity::Principal;
use crate::profiles::{
    Directory, Explanation, Fit, Match, Owner, Profile, PromptBounds, ResolveError, Rule, Source, Step, Unsourced,
};
use crate::types::{ModelId, ModelName};

pub(super) async fn run(
    desk: &Desk,
    person: &Person,
    model: &str,
    live: bool,
    output: Output,
    streams: &mut Streams<'_>,
) -> anyhow::Result<Result<(), String>> {
    let (principal, known) = match desk.person(person) {
        Ok(found) => found,
        Err(reason) => return Ok(Err(reason)),
    };
    if live && let Err(reason) = desk.read_whole(streams).await? {
        return Ok(Err(reason));
    }
    let directory = desk.directory.load();
    let name = ModelName::classify(model);
    let explained = Explained {
        desk,
        principal: &principal,
        known,
        text: model,
        name: &name,
        steps: directory.explain(&principal, &name, model),
        refused: directory.resolve(&principal, Operation::Converse, &name, model).err(),
    };
    if known == Known::Nobody {
        writeln!(streams.err, "note: {}", printable(&desk.of_nobody(principal.name())))?;
    }
    match output {
        Output::Json => streams.json(&explained.json(&directory))?,
        Output::Table => explained.show(&directory, streams)?,
    }
    Ok(Ok(()))
}

struct Explained<'e> {
    desk: &'e Desk,
    principal: &'e Principal,
    known: Known,
    text: &'e str,
    name: &'e ModelName,
    steps: Explanation<'e>,
    refused: Option<ResolveError>,
}

impl Explained<'_> {
    fn show(&self, directory: &Directory, streams: &mut Streams<'_>) -> std::io::Result<()> {
        let principal = self.principal;
        writeln!(streams.out, "{} asks for {}", printable(principal.name()), printable(self.text))?;
        let tags: Vec<_> = principal.tags().iter().map(|(key, value)| format!("{key}={value}")).collect();
        let or_none =
            |texts: &[String]| if texts.is_empty() { "none".to_owned() } else { printable(&texts.join(", ")) };
        let (groups, tags) = (or_none(principal.groups()), or_none(&tags));
        writeln!(streams.out, "  groups: {groups}; tags: {tags}; known by {}\n", self.known.word())?;
        writeln!(streams.out, "The name is {}.\n", kind(self.name))?;
        let decided = self.steps.decided_at();
        let cells = self.steps.steps.iter().zip(1..).map(|(step, number)| {
            let fit = match (step.fit, decided) {
                (_, Some(at)) if number > at + 1 => "not looked at any more".to_owned(),
                (None, _) if let Some(own) = step.awaited => {
                    format!("may be {}, of unknown source", printable(&own.name))
                }
                (Some((fit, profile)), _) => format!("{}: {}", fit_word(fit), printable(profile.name())),
                (None, _) => "none".to_owned(),
            };
            [number.to_string(), printable(&owner(&step.owner, principal)), step.profiles.to_string(), fit]
        });
        writeln!(streams.out, "{}\n", table(["", "WHOSE PROFILES", "HOW MANY", "FIT"], cells))?;
        let Some((own, fit, profile)) = self.steps.chosen() else { return self.show_none(directory, streams) };
        let chosen = [
            ("Chosen", printable(profile.name())),
            ("  because", format!("{}; {}", printable(&owner(&own, principal)), fit_word(fit))),
            ("  ARN", profile.arn().to_string()),
            ("  made from", profile.source().to_string()),
            ("  model", profile.base_model().to_string()),
            ("  served in", served(profile.source())),
            ("  price", self.price(profile)),
            ("  Region", format!("{} of account {}", profile.arn().region(), profile.arn().account())),
            ("  endpoint", self.endpoint(profile)),
        ];
        for (what, value) in chosen {
            writeln!(streams.out, "{what:<12}{value}")?;
        }
        if let Some(prompt) = profile.prompt() {
            writeln!(streams.out, "{:<12}{}", "  prompt", prompt_text(prompt))?;
        }
        if let Err(outside) = self.desk.settings.policy.residency.check_profile(profile) {
            writeln!(
                streams.out,
                "\nCalls through it are refused all the same, with the reason `region_denied`: {outside}. Let [policy] \
                 allow it, or make a profile that cannot be served elsewhere."
            )?;
        }
        Ok(())
    }

    fn show_none(&self, directory: &Directory, streams: &mut Streams<'_>) -> std::io::Result<()> {
        if let Some(own) = self.steps.awaited() {
            return writeln!(streams.out, "{}", printable(&self.of_awaited(own)));
        }
        writeln!(streams.out, "None of them fits.\n")?;
        if let Some(refused) = self.told() {
            writeln!(streams.out, "They are told: {}\n", printable(&refused))?;
        }
        match self.desk.vending.ask(self.principal, self.name) {
            Some(Ok(ask)) => {
                let number = ask.at.map_or(0, |at| at + 1);
                writeln!(streams.out, "[[vending]] rule {number} has one made when they first ask:")?;
                let place = &ask.rule.place;
                let made = [("name", &ask.name), ("made from", &ask.source.to_string()), ("where", &place.to_string())];
                for (what, value) in made {
                    writeln!(streams.out, "  {what:<10}{}", printable(value))?;
                }
                for (key, value) in &ask.tags {
                    writeln!(streams.out, "  {:<10}{} = {}", "tag", printable(key), printable(value))?;
                }
                if let Some(outside) = self.desk.outside(&ask) {
                    return writeln!(
                        streams.out,
                        "\nNot so: [policy] refuses calls through it, with the reason `region_denied`: {outside}."
                    );
                }
                if let Err(error) = self.desk.vending.check_room(&ask, self.principal, (0, 0)) {
                    return writeln!(streams.out, "\nNow it could not be made: {error}.");
                }
            }
            Some(Err(error)) => {
                writeln!(streams.out, "A [[vending]] rule would have one made, but cannot: {error}.")?;
            }
            None => {}
        }
        writeln!(streams.out, "{}", printable(&self.remedy(directory)))
    }

    /// What there is to say of one that is meant, or may be.
    fn of_awaited(&self, own: &Unsourced) -> String {
        let why = match self.desk.directory.source_of(own) {
            Source::Awaited(why) => awaited(why.as_ref()),
            Source::Doubtful(doubt) => doubtful(&doubt),
            Source::Known(_) => String::new(),
        };
        format!(
            "It means {0}, or may mean it, and what {0} was made from is not known here: {why}. Until it is known, such calls wait for \
             some seconds and are refused with `profile_pending`.",
            own.name
        )
    }

    /// What they read who have none; whoever gets one made reads nothing.
    fn told(&self) -> Option<String> {
        let made =
            self.steps.awaited().is_none() && matches!(self.desk.vending.ask(self.principal, self.name), Some(Ok(_)));
        self.refused.as_ref().filter(|_| !made).map(ResolveError::caller_text)
    }

    /// What is to be done where there is none, for the operator.
    fn remedy(&self, directory: &Directory) -> String {
        if let Some(own) = self.steps.awaited() {
            return self.of_awaited(own);
        }
        let who = self.principal.name();
        match self.name {
            ModelName::Model(id) => match self.desk.vending.ask(self.principal, self.name) {
                Some(Ok(_)) => format!("`tollgate profile create --principal {who} --model {id}` makes it now."),
                Some(Err(_)) => format!("Give {who} what it takes, or change the rule's name and tags."),
                None => format!(
                    "No [[vending]] rule is for {who} and {}: add one, or list a profile in [[profiles]]; `tollgate profile \
                     create --principal {who} --source {id}` makes one all the same.",
                    id.base()
                ),
            },
            ModelName::ApplicationProfile(arn) => {
                let rules = self.desk.directory.rules();
                let places = self.desk.directory.places();
                let found = places.iter().flat_map(|place| place.found.iter()).find(|found| found.profile.arn() == arn);
                match found {
                    Some(found) => {
                        let tags = rules.iter().map(|rule| {
                            let value = found.tag(&rule.profile_tag).unwrap_or("not set");
                            format!("{} = {value}", rule.profile_tag)
                        });
                        let tags: Vec<_> = tags.collect();
                        format!("The profile is there, and its tags make it somebody else's: {}.", tags.join(", "))
                    }
                    None if self.desk.directory.lists(arn) => {
                        "The profile is in [[profiles]], and others' there.".to_owned()
                    }
                    None => "No such profile is known: `tollgate profile sync` reads AWS again.".to_owned(),
                }
            }
            ModelName::Word(_) if directory.profiles_of(self.principal).next().is_none() => {
                format!(
                    "{who} has no profile at all: give them one, or ask by a model's id where [[vending]] makes one."
                )
            }
            ModelName::Word(_) => {
                "Ask by a model's id, or add the word to the aliases of a profile of theirs.".to_owned()
            }
            ModelName::Refused(_) => {
                "Ask by a model's id: calls go through inference profiles, or to what [[exact_arns]] lists.".to_owned()
            }
        }
    }

    fn price(&self, profile: &Profile) -> String {
        let prices = assembly::price_table(&self.desk.settings);
        match prices.price(profile.source(), profile.arn().region()) {
            None => "not known: budgets in dollars refuse it; add it to [prices]".to_owned(),
            Some(price) if price.is_by_piece() => "by the image or the query, see `tollgate prices show`".to_owned(),
            Some(price) => {
                let rates = price.standard();
                format!(
                    "${} per million tokens of input, ${} of output, ${} read from the cache",
                    rates.input, rates.output, rates.cache_read
                )
            }
        }
    }

    fn endpoint(&self, profile: &Profile) -> String {
        assembly::endpoint(&self.desk.settings, profile.arn().region()).map_or_else(
            |error| error.to_string(),
            |endpoint| format!("{}://{}", if endpoint.is_tls() { "https" } else { "http" }, endpoint.authority()),
        )
    }

    fn json(&self, directory: &Directory) -> Value {
        let principal = self.principal;
        let tags: serde_json::Map<_, _> =
            principal.tags().iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        let decided = self.steps.decided_at();
        let steps = self.steps.steps.iter().enumerate().map(|(at, step)| {
            let looked_at = decided.is_none_or(|decided| at <= decided);
            step_json(step, principal, looked_at)
        });
        let steps: Vec<_> = steps.collect();
        let chosen = self.steps.chosen().map(|(own, fit, profile)| {
            let prices = assembly::price_table(&self.desk.settings);
            let price = prices.price(profile.source(), profile.arn().region()).map(|price| {
                let rates = price.standard();
                json!({
                    "input": rates.input.to_string(), "output": rates.output.to_string(),
                    "cache_read": rates.cache_read.to_string(), "by_piece": price.is_by_piece(),
                })
            });
            let outside = self.desk.settings.policy.residency.check_profile(profile).err();
            json!({
                "name": profile.name(), "arn": profile.arn().as_str(), "owner": owner(&own, principal),
                "fit": fit_word(fit), "source": profile.source().as_str(), "base_model": profile.base_model().as_str(),
                "geography": profile.source().prefix(), "dollars_per_million_tokens": price,
                "region": profile.arn().region().as_str(), "account": profile.arn().account().as_str(),
                "prompt": profile.prompt().map(|prompt| json!({
                    "most_input_tokens": prompt.input_tokens, "most_output_tokens": prompt.output_tokens,
                    "variable_uses": prompt.variable_uses,
                })),
                "endpoint": self.endpoint(profile), "region_denied": outside.map(|outside| outside.to_string()),
            })
        });
        let would_make = match self.desk.vending.ask(principal, self.name).filter(|_| decided.is_none()) {
            None => Value::Null,
            Some(Err(error)) => json!({ "error": error.to_string() }),
            Some(Ok(ask)) => {
                let full = self.desk.vending.check_room(&ask, principal, (0, 0)).err();
                json!({
                    "rule": ask.at.map(|at| at + 1), "name": ask.name, "source": ask.source.as_str(), "tags": ask.tags,
                    "account": ask.rule.place.account.as_str(), "region": ask.rule.place.region.as_str(),
                    "error": full.map(|error| error.to_string()), "region_denied": self.desk.outside(&ask),
                })
            }
        };
        let remedy = chosen.is_none().then(|| self.remedy(directory));
        json!({
            "principal": principal.name(), "groups": principal.groups(), "tags": tags, "known_by": self.known.word(),
            "model": self.text, "kind": kind(self.name), "steps": steps, "chosen": chosen,
            "told": self.told(), "would_make": would_make, "remedy": remedy,
        })
    }
}

fn step_json(step: &Step<'_>, principal: &Principal, looked_at: bool) -> Value {
    let fit = step.fit.filter(|_| looked_at);
    json!({
        "owner": owner(&step.owner, principal), "profiles": step.profiles, "looked_at": looked_at,
        "fit": fit.map(|(fit, _)| fit_word(fit)), "profile": fit.map(|(_, profile)| profile.name()),
        "awaited": step.awaited.filter(|_| looked_at).map(|own| own.name.as_str()),
    })
}

/// As whom somebody owns profiles.
pub(super) fn owner(owner: &Owner<'_>, principal: &Principal) -> String {
    match owner {
        Owner::Principal => format!("{}, in [[profiles]]", principal.name()),
        Owner::Group(group) => format!("group {group}, in [[profiles]]"),
        Owner::Everyone => "everyone, in [[profiles]]".to_owned(),
        Owner::Rule { at, rule, value } => {
            let number = at + 1;
            let value = value.map_or_else(
                || format!("which {} does not have", principal.name()),
                |value| format!("which is \"{value}\""),
            );
            format!("rule {number}: {}, {value}", rule_text(rule))
        }
    }
}

/// A rule of discovery in words.
pub(super) fn rule_text(rule: &Rule) -> String {
    let theirs = match &rule.owner {
        Match::Tag(key) => format!("principal tag {key}"),
        Match::Name => "principal's name".to_owned(),
        Match::Group => "group's name".to_owned(),
    };
    format!("profile tag {} = {theirs}", rule.profile_tag)
}

const fn fit_word(fit: Fit) -> &'static str {
    match fit {
        Fit::Exact => "called exactly so",
        Fit::Source => "made from it",
        Fit::BaseModel => "over the same foundation model",
    }
}

fn kind(name: &ModelName) -> String {
    match name {
        ModelName::Model(id) => match id.prefix() {
            Some(prefix) => {
                format!("the id of a system-defined profile: geography {prefix}, foundation model {}", id.base())
            }
            None => "the id of a foundation model, in any geography".to_owned(),
        },
        ModelName::ApplicationProfile(_) => {
            "the ARN of an application inference profile, which fits itself alone".to_owned()
        }
        ModelName::Word(_) => "a word: the name, id or alias of a profile, which has to be there exactly so".to_owned(),
        ModelName::Refused(kind) => {
            format!("{kind}, which leads to no profile and fits only what [[exact_arns]] lists")
        }
    }
}

/// What is held for a call of a prompt of Prompt management.
fn prompt_text(prompt: &PromptBounds) -> String {
    let uses = match prompt.variable_uses {
        1 => "the request".to_owned(),
        uses => format!("{uses} times the request"),
    };
    format!(
        "of Prompt management, for Converse and ConverseStream: at most {uses} and {} tokens of input, {} of output",
        prompt.input_tokens, prompt.output_tokens
    )
}

/// Where calls through a profile may be served, which decides the price too.
fn served(source: &ModelId) -> String {
    match source.prefix() {
        Some("global") => "any commercial Region (global)".to_owned(),
        Some(prefix) => format!("the Regions of its geography ({prefix})"),
        None => "its own Region alone".to_owned(),
    }
}
