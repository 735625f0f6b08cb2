//! `tollgate profile create`: the profiles that `[[vending]]` would have made, made now, or others on request.
//!
//! AWS is read first, so that nothing is planned that is there already. What is made is what a gateway would make, by the same
//! code: a name that is taken is adopted where its tags prove it to be that profile, and left alone otherwise.

mod order;

use std::sync::Arc;

use serde_json::{Value, json};

use super::desk::{Desk, Known, Person, told};
use super::plan::{Consent, Plan, Planned, Verdict};
use crate::cli::stored::printable;
use crate::cli::{Output, Streams};
use crate::identity::Principal;
use crate::profiles::vending::{Ask, How, VendError};
use order::{Left, Order, asks, order};

/// What to make.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Create {
    /// For whom; may be repeated
    #[arg(long = "principal", value_name = "NAME", required_unless_present = "everyone")]
    pub principals: Vec<String>,
    /// For everybody of whom the configuration or a key knows, where a `[[vending]]` rule is for them
    #[arg(long, conflicts_with_all = ["principals", "groups", "principal_tags", "source", "account", "region", "name", "tags"])]
    pub everyone: bool,
    /// Of which model, by its id; may be repeated
    #[arg(long = "model", value_name = "MODEL", required_unless_present = "source")]
    pub models: Vec<String>,
    /// A group of the principal, where neither the configuration nor a key tells; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// A principal tag, such as UserEmail=alice@example.com, where neither tells; may be repeated
    #[arg(long = "principal-tag", value_name = "KEY=VALUE")]
    pub principal_tags: Vec<String>,
    /// From exactly this system-defined profile or foundation model, whatever the rules say
    #[arg(long, value_name = "ID", conflicts_with = "models")]
    pub source: Option<String>,
    /// In this account, one of `[[accounts]]`, whatever the rules say
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
    /// In this Region of the account's, whatever the rules say
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Under exactly this name, whatever the rules say
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// With this tag, in which {principal}, {model}, {source} and the principal's tags are filled in; may be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub tags: Vec<String>,
    /// Whether it is done
    #[command(flatten)]
    pub consent: Consent,
}

impl Create {
    /// Whether more is asked for than what the rules say.
    fn is_explicit(&self) -> bool {
        let texts = [&self.source, &self.account, &self.region, &self.name];
        texts.iter().any(|text| text.is_some()) || !self.tags.is_empty()
    }
}

pub(super) async fn run(
    desk: &Desk,
    create: &Create,
    output: Output,
    streams: &mut Streams<'_>,
) -> anyhow::Result<Result<(), String>> {
    if create.name.is_some() && create.principals.len() * create.models.len().max(1) > 1 {
        return Ok(Err("--name names one profile: give one --principal and one --model with it".to_owned()));
    }
    let people = match people(desk, create) {
        Ok(people) => people,
        Err(reason) => return Ok(Err(reason)),
    };
    if let Err(reason) = desk.read_whole(streams).await? {
        return Ok(Err(reason));
    }
    desk.vending.read_quotas(desk.now).await;
    let (mut orders, mut left) = (Vec::new(), Vec::new());
    for (principal, known) in &people {
        for model in create.models.iter().chain(&create.source) {
            match order(desk, create, principal, *known, model) {
                Ok(order) => orders.push(order),
                Err(why) => left.push(why),
            }
        }
    }
    let asks = asks(desk, &orders, &mut left);
    let plan = Plan { create: asks.iter().map(|(order, ask)| planned(order, ask)).collect(), delete: Vec::new() };
    if output == Output::Table {
        for left in &left {
            let sort = if left.fine { "note" } else { "error" };
            let (whose, what, why) = (printable(&left.principal), printable(&left.model), printable(&left.why));
            writeln!(streams.err, "{sort}: {whose}, {what}: {why}")?;
        }
    }
    let verdict = match plan.consent(create.consent, output, streams)? {
        Ok(verdict) => verdict,
        Err(reason) => return Ok(Err(reason)),
    };
    let (made, failed) = match verdict {
        Verdict::Do => make(desk, &asks, streams).await?,
        Verdict::Shown | Verdict::Nothing => (Vec::new(), Vec::new()),
    };
    let kept = if made.is_empty() { Ok(()) } else { desk.keep().await };
    match output {
        Output::Json => {
            let left: Vec<_> = left.iter().map(Left::json).collect();
            let dry_run = create.consent.dry_run;
            streams.json(&json!({ "plan": plan, "dry_run": dry_run, "left": left, "made": made, "failed": failed }))?;
        }
        Output::Table if verdict == Verdict::Nothing => writeln!(streams.out, "There is nothing to make.")?,
        Output::Table => {}
    }
    if verdict == Verdict::Do {
        let (made, failed, all) = (made.len(), failed.len(), asks.len());
        let untried = match all - made - failed {
            0 => String::new(),
            untried => format!(", {untried} not tried"),
        };
        writeln!(
            streams.err,
            "{made} made, {failed} failed{untried}. Gateways that run find them within [discovery] every."
        )?;
    }
    let refused = left.iter().filter(|left| !left.fine).count();
    Ok(match (kept, failed.len() + refused) {
        (Err(reason), _) => Err(reason),
        (Ok(()), 0) => Ok(()),
        (Ok(()), faults) => Err(format!("{faults} of the profiles that were asked for could not be made")),
    })
}

/// For whom profiles are made.
fn people(desk: &Desk, create: &Create) -> Result<Vec<(Arc<Principal>, Known)>, String> {
    if create.everyone {
        if let Some(why) = &desk.keys_unread {
            return Err(format!("the keys cannot be read, so that those whom they describe are not known: {why}"));
        }
        return Ok(desk.people.iter().map(|person| (Arc::clone(person), Known::Configuration)).collect());
    }
    let mut people = Vec::new();
    for name in &create.principals {
        let (groups, tags) = (create.groups.clone(), create.principal_tags.clone());
        let (principal, known) = desk.person(&Person { principal: name.clone(), groups, tags })?;
        if known == Known::Nobody {
            let how = desk.of_nobody(name).replace("--group and --tag", "--group and --principal-tag");
            return Err(format!("nothing was made: {how}"));
        }
        people.push((principal, known));
    }
    Ok(people)
}

fn planned(order: &Order, ask: &Ask<'_>) -> Planned {
    let why =
        ask.at.map_or_else(|| "as the command line asks".to_owned(), |at| format!("by [[vending]] rule {}", at + 1));
    Planned {
        name: ask.name.clone(),
        arn: None,
        account: ask.rule.place.account.to_string(),
        region: ask.rule.place.region.to_string(),
        source: Some(ask.source.to_string()),
        owner: Some(order.principal.name().to_owned()),
        tags: ask.tags.clone(),
        why,
    }
}

/// Makes them one by one. What AWS refuses once it would refuse again: then no more are tried.
async fn make(
    desk: &Desk,
    asks: &[(&Order, Ask<'_>)],
    streams: &mut Streams<'_>,
) -> std::io::Result<(Vec<Value>, Vec<Value>)> {
    let (mut made, mut failed) = (Vec::new(), Vec::new());
    for (order, ask) in asks {
        let name = printable(&ask.name);
        match desk.vending.make(ask, &order.principal, desk.timestamp()).await {
            Ok(profile) => {
                let how = match profile.how {
                    How::Created => "made",
                    How::Adopted => "there already",
                };
                writeln!(streams.err, "{name}: {how}: {}", profile.arn)?;
                let (arn, how) = (profile.arn.as_str(), profile.how.word());
                made.push(json!({ "name": ask.name, "arn": arn, "principal": order.principal.name(), "how": how }));
            }
            Err(error) => {
                let given_up = matches!(error, VendError::Control(_) | VendError::UsedUp { .. });
                let why = if let VendError::Control(error) = &error {
                    told(error, "bedrock:CreateInferenceProfile and bedrock:TagResource")
                } else {
                    error.to_string()
                };
                writeln!(streams.err, "error: {name}: {why}")?;
                failed.push(json!({ "name": ask.name, "principal": order.principal.name(), "error": why }));
                if given_up {
                    break;
                }
            }
        }
    }
    Ok((made, failed))
}
