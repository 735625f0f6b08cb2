//! `tollgate profile delete`: profiles by name, id or ARN, those that Tollgate has made.

use serde_json::json;

use super::desk::{Desk, told};
use super::plan::{Consent, Planned};
use super::remove::{Doomed, planned};
use crate::cli::{Output, Streams};
use crate::profiles::control::{Place, bedrock};
use crate::profiles::discovery::SOURCE_TAG;
use crate::profiles::vending::OWNER_TAG;
use crate::types::ProfileArn;

/// What to delete.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Delete {
    /// The profiles' names, ids or ARNs
    #[arg(required = true, value_name = "NAME|ARN")]
    pub profiles: Vec<String>,
    /// Also those that have no tag tollgate:owner, or that `[[profiles]]` lists
    #[arg(long)]
    pub foreign: bool,
    /// Whether it is done
    #[command(flatten)]
    pub consent: Consent,
}

pub(super) async fn run(
    desk: &Desk,
    delete: &Delete,
    output: Output,
    streams: &mut Streams<'_>,
) -> anyhow::Result<Result<(), String>> {
    if delete.profiles.iter().any(|text| text.parse::<ProfileArn>().is_err())
        && let Err(reason) = desk.read_whole(streams).await?
    {
        return Ok(Err(reason));
    }
    let mut doomed: Vec<Doomed> = Vec::new();
    for text in &delete.profiles {
        match found(desk, text, delete.foreign).await {
            Ok(one) if doomed.iter().any(|other| other.arn == one.arn) => {}
            Ok(one) => doomed.push(one),
            // All or none: whoever names a wrong one may have meant something else with the others too.
            Err(reason) => return Ok(Err(format!("nothing was deleted: {reason}"))),
        }
    }
    let (plan, deleted, failed) = match planned(desk, &doomed, delete.consent, output, streams).await? {
        Ok(done) => done,
        Err(reason) => return Ok(Err(reason)),
    };
    if output == Output::Json {
        let dry_run = delete.consent.dry_run;
        streams.json(&json!({ "plan": plan, "dry_run": dry_run, "deleted": deleted, "failed": failed }))?;
    }
    Ok(if failed.is_empty() { Ok(()) } else { Err(format!("{} could not be deleted", failed.len())) })
}

/// The profile that is meant, with its tags as AWS has them now.
async fn found(desk: &Desk, text: &str, foreign: bool) -> Result<Doomed, String> {
    let arn = match text.parse::<ProfileArn>() {
        Ok(arn) => arn,
        Err(_) => named(desk, text)?,
    };
    let place = Place { account: arn.account().clone(), region: arn.region().clone() };
    let control = desk.control().await?;
    let places = desk.directory.discovery().map(|discovery| discovery.places.as_slice()).unwrap_or_default();
    if !places.contains(&place) {
        return Err(format!("[[accounts]] does not have {place}, where {arn} is"));
    }
    let actions = "bedrock:GetInferenceProfile and bedrock:ListTagsForResource";
    let listed = bedrock::get(control, &place, arn.as_str()).await.map_err(|error| told(&error, actions))?;
    let listed = listed.ok_or_else(|| format!("{arn} is no application inference profile"))?;
    let tags = bedrock::tags(control, &place, &arn).await.map_err(|error| told(&error, actions))?;
    let owner = tags.get(OWNER_TAG).cloned();
    let granted = desk.directory.lists(&arn);
    if granted && !foreign {
        return Err(format!("[[profiles]] lists {arn}: take it out there first, or say --foreign"));
    }
    if owner.is_none() && !foreign {
        return Err(format!(
            "{} was not made by Tollgate, as it has no tag {OWNER_TAG}: --foreign deletes it all the same",
            listed.name
        ));
    }
    let why = match (&owner, granted) {
        (_, true) => "[[profiles]] lists it, and its owners cannot call through it any more",
        (Some(_), false) => "made by Tollgate",
        (None, false) => "not made by Tollgate",
    };
    let planned = Planned {
        name: listed.name.clone(),
        arn: Some(arn.to_string()),
        account: arn.account().to_string(),
        region: arn.region().to_string(),
        source: tags.get(SOURCE_TAG).cloned().or_else(|| listed.source().map(|source| source.to_string())),
        owner,
        tags,
        why: why.to_owned(),
    };
    Ok(Doomed { arn, planned })
}

/// The one profile that has a name or an id.
fn named(desk: &Desk, text: &str) -> Result<ProfileArn, String> {
    let places = desk.directory.places();
    let found =
        places.iter().flat_map(|place| place.found.iter()).map(|found| (found.profile.arn(), found.profile.name()));
    let unknown = places.iter().flat_map(|place| place.undetermined.iter()).map(|own| (&own.arn, own.name.as_str()));
    let mut arns: Vec<_> = found.chain(unknown).filter(|(arn, name)| *name == text || arn.id() == text).collect();
    match (arns.pop(), arns.is_empty()) {
        (Some((arn, _)), true) => Ok(arn.clone()),
        (None, _) => Err(format!(
            "no profile in [[accounts]] is named {text}, or has it as its id: `tollgate profile list --live`"
        )),
        (Some(last), false) => {
            let arns: Vec<_> = arns.into_iter().chain([last]).map(|(arn, _)| arn.as_str()).collect();
            Err(format!("several are named {text}: name one by its ARN: {}", arns.join(", ")))
        }
    }
}
