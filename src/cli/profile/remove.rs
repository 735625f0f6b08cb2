//! Deleting profiles in AWS, one by one, each looked at once more just before.

use serde_json::{Value, json};

use super::desk::{Desk, told};
use super::plan::{Consent, Plan, Planned, Verdict};
use crate::cli::stored::printable;
use crate::cli::{Output, Streams};
use crate::profiles::control::{ControlError, Place, SharedControlPlane, bedrock};
use crate::profiles::vending::OWNER_TAG;
use crate::types::ProfileArn;

/// A profile that is to be deleted.
pub(super) struct Doomed {
    pub(super) arn: ProfileArn,
    pub(super) planned: Planned,
}

impl Doomed {
    pub(super) fn place(&self) -> Place {
        Place { account: self.arn.account().clone(), region: self.arn.region().clone() }
    }
}

/// What was planned, what was deleted of it, and what could not be.
pub(super) type Removed = (Plan, Vec<Value>, Vec<Value>);

/// Shows the plan, and deletes them where that is agreed to.
pub(super) async fn planned(
    desk: &Desk,
    doomed: &[Doomed],
    consent: Consent,
    output: Output,
    streams: &mut Streams<'_>,
) -> anyhow::Result<Result<Removed, String>> {
    let plan = Plan { create: Vec::new(), delete: doomed.iter().map(|doomed| doomed.planned.clone()).collect() };
    let verdict = match plan.consent(consent, output, streams)? {
        Ok(verdict) => verdict,
        Err(reason) => return Ok(Err(reason)),
    };
    Ok(match verdict {
        Verdict::Do => remove(desk, doomed, streams).await?.map(|(deleted, failed)| (plan, deleted, failed)),
        Verdict::Shown | Verdict::Nothing => Ok((plan, Vec::new(), Vec::new())),
    })
}

/// Deletes them; what is known of AWS is written down without them. Gives what was deleted and what could not be.
async fn remove(
    desk: &Desk,
    doomed: &[Doomed],
    streams: &mut Streams<'_>,
) -> anyhow::Result<Result<(Vec<Value>, Vec<Value>), String>> {
    let control = match desk.control().await {
        Ok(control) => control,
        Err(reason) => return Ok(Err(reason)),
    };
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    for one in doomed {
        let (name, arn) = (printable(&one.planned.name), one.arn.as_str());
        match delete(control, one).await {
            Ok(()) => {
                writeln!(streams.err, "{name}: deleted: {arn}")?;
                deleted.push(json!({ "name": one.planned.name, "arn": arn }));
                // What cannot be taken up here is read again later.
                let _ = desk.directory.forget(&one.arn).await;
            }
            Err(error) => {
                let why = told(&error, "bedrock:DeleteInferenceProfile and bedrock:ListTagsForResource");
                writeln!(streams.err, "error: {name}: {why}")?;
                failed.push(json!({ "name": one.planned.name, "arn": arn, "error": why }));
                match error {
                    // Of this one alone.
                    ControlError::Conflict(_) | ControlError::NotFound(_) | ControlError::Invalid(_) => {}
                    ControlError::Denied(_)
                    | ControlError::Throttled(_)
                    | ControlError::Unavailable(_)
                    | ControlError::Quota(_) => break,
                }
            }
        }
    }
    let untried = match doomed.len() - deleted.len() - failed.len() {
        0 => String::new(),
        untried => format!(", {untried} not tried"),
    };
    writeln!(streams.err, "{} deleted, {} failed{untried}.", deleted.len(), failed.len())?;
    if !deleted.is_empty()
        && let Err(reason) = desk.keep().await
    {
        writeln!(streams.err, "warning: {reason}")?;
    }
    Ok(Ok((deleted, failed)))
}

/// Deletes one, unless it has another owner by now than when it was planned. One that is gone is deleted.
async fn delete(control: &SharedControlPlane, doomed: &Doomed) -> Result<(), ControlError> {
    let place = doomed.place();
    let gone = |error| if matches!(error, ControlError::NotFound(_)) { Ok(()) } else { Err(error) };
    let tags = match bedrock::tags(control, &place, &doomed.arn).await {
        Ok(tags) => tags,
        Err(error) => return gone(error),
    };
    if tags.get(OWNER_TAG) != doomed.planned.tags.get(OWNER_TAG) {
        let now = tags.get(OWNER_TAG).map_or("nothing", String::as_str);
        return Err(ControlError::Conflict(format!("its tag {OWNER_TAG} says {now} by now")));
    }
    bedrock::delete(control, &place, doomed.arn.as_str()).await.or_else(gone)
}
