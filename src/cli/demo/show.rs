//! What the demo prints around its calls.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};

use super::calls::{Outcome, short};
use super::scene::{GUARDRAIL, Scene};
use super::{Place, paste};
use crate::budget::Bill;
use crate::types::Money;

/// Who is who, and where.
pub(super) fn opening(scene: &Scene, place: &Place, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Tollgate demo: no AWS account, everything on this machine.\n")?;
    writeln!(out, "  Bedrock (a look-alike that checks signatures and IAM)   {}", scene.bedrock.url())?;
    writeln!(out, "  Tollgate, TLS with a CA of its own                      {}", place.tls)?;
    writeln!(out, "  Tollgate, the same port without TLS, this machine only  {}", place.plain)?;
    writeln!(out, "  metrics, health and the bill                            {}/metrics /readyz /bill", place.admin)?;
    writeln!(out, "  configuration                                           {}\n", scene.config.display())?;
    let mut table = plain(["who", "is", "dollars a day", "profiles"]);
    for person in &scene.people {
        let profiles: Vec<&str> = person.profiles.iter().map(|(name, _)| *name).collect();
        table.add_row([person.name, person.about, person.budget, &profiles.join(", ")]);
    }
    writeln!(out, "{table}")?;
    writeln!(out, "Everyone owes guardrail {}, version {}. Nobody holds AWS credentials.", GUARDRAIL.0, GUARDRAIL.1)
}

/// Who called what, what Bedrock saw of it, and what it cost.
pub(super) fn table(outcomes: &[Outcome], bill: &Bill, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nWhat was asked, and what Bedrock saw of it:\n")?;
    let mut table = plain(["who", "operation", "asked for", "through profile", "guardrail", "in", "out"]);
    for Outcome { who, operation, asked_for, result } in outcomes {
        match result {
            Ok(seen) => {
                let (through, guardrail) = (short(&seen.subject), seen.guardrail.clone());
                let (input, output) = (seen.input.to_string(), seen.output.to_string());
                table.add_row([
                    (*who).to_owned(),
                    (*operation).to_owned(),
                    asked_for.clone(),
                    through,
                    guardrail,
                    input,
                    output,
                ])
            }
            Err(refusal) => {
                let why = format!("refused: {} {}", refusal.status, refusal.code);
                table.add_row([*who, *operation, asked_for.as_str(), &why, "", "", ""])
            }
        };
    }
    writeln!(out, "{table}")?;
    writeln!(out, "\nThe bill, from Bedrock's own counts at the prices of the profile's source:\n")?;
    let mut table = plain(["who", "profile", "calls", "input", "output", "cost"]);
    let mut rows: Vec<(&str, &str, u64, u64, u64, Money)> = Vec::new();
    for row in &bill.rows {
        let (who, profile) = (&*row.heading.principal, row.heading.profile.as_deref().unwrap_or_default());
        let numbers = (row.calls, row.usage.input, row.usage.output, row.cost);
        match rows.iter_mut().find(|known| known.0 == who && known.1 == profile) {
            Some(known) => {
                known.2 += numbers.0;
                known.3 += numbers.1;
                known.4 += numbers.2;
                known.5 = known.5 + numbers.3;
            }
            None => rows.push((who, profile, numbers.0, numbers.1, numbers.2, numbers.3)),
        }
    }
    for (who, profile, calls, input, output, cost) in rows {
        table.add_row([
            who.to_owned(),
            profile.to_owned(),
            calls.to_string(),
            input.to_string(),
            output.to_string(),
            cost.to_string(),
        ]);
    }
    table.add_row(["", "total", &bill.calls().to_string(), "", "", &bill.cost().to_string()]);
    writeln!(out, "{table}")
}

/// The last lines before it waits.
pub(super) fn staying(place: &Place, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nIt stays up: paste and try. The bill so far is at {}/bill. Ctrl-C ends it.", place.admin)?;
    out.flush()
}

/// A table for people.
fn plain<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head.map(paste::heading));
    table
}
