//! A plan: what would be made and deleted in AWS, as people know it from Terraform, and their word on it.
//!
//! Nothing is done without a yes: `--yes`, or the word typed at a terminal. Where nobody can be asked, that is an error.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, IsTerminal as _};

use serde::Serialize;

use crate::cli::stored::printable;
use crate::cli::{Output, Streams};

/// Whether what is planned is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Consent {
    /// Show the plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do it without asking
    #[arg(long, conflicts_with = "dry_run")]
    pub yes: bool,
}

/// What is planned.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Plan {
    pub(super) create: Vec<Planned>,
    pub(super) delete: Vec<Planned>,
}

/// A profile that would be made or deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Planned {
    pub(super) name: String,
    /// Of one that is there.
    pub(super) arn: Option<String>,
    pub(super) account: String,
    pub(super) region: String,
    pub(super) source: Option<String>,
    /// Whose it is, or would be.
    pub(super) owner: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    /// Why: the rule, or what is wrong with it.
    pub(super) why: String,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (sign, planned) in [('+', &self.create), ('-', &self.delete)] {
            for planned in planned {
                planned.write(sign, f)?;
            }
        }
        write!(f, "Plan: {} to create, {} to delete.", self.create.len(), self.delete.len())
    }
}

impl Planned {
    fn write(&self, sign: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| format!("\"{}\"", printable(text).replace('\\', "\\\\").replace('"', "\\\""));
        writeln!(f, "  # {}", printable(&self.why))?;
        writeln!(f, "  {sign} inference profile {} {{", quoted(&self.name))?;
        let attributes = [
            ("account", Some(&self.account)),
            ("region", Some(&self.region)),
            ("arn", self.arn.as_ref()),
            ("source", self.source.as_ref()),
            ("owner", self.owner.as_ref()),
        ];
        for (key, value) in attributes {
            if let Some(value) = value {
                writeln!(f, "      {sign} {key:<7} = {}", quoted(value))?;
            }
        }
        if !self.tags.is_empty() {
            let width = self.tags.keys().map(|key| quoted(key).chars().count()).max().unwrap_or_default();
            writeln!(f, "      {sign} tags    = {{")?;
            for (key, value) in &self.tags {
                writeln!(f, "          {sign} {:<width$} = {}", quoted(key), quoted(value))?;
            }
            writeln!(f, "        }}")?;
        }
        writeln!(f, "    }}\n")
    }
}

/// What becomes of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done.
    Do,
    /// It was only to be shown.
    Shown,
    /// There is nothing in it.
    Nothing,
}

impl Plan {
    /// Shows the plan and asks whether it is to be done. The error says why it is not.
    pub(super) fn consent(
        &self,
        consent: Consent,
        output: Output,
        streams: &mut Streams<'_>,
    ) -> std::io::Result<Result<Verdict, String>> {
        let empty = self.create.is_empty() && self.delete.is_empty();
        if output == Output::Table && !empty {
            writeln!(streams.out, "{self}")?;
        }
        if empty {
            return Ok(Ok(Verdict::Nothing));
        }
        if consent.dry_run {
            return Ok(Ok(Verdict::Shown));
        }
        if consent.yes {
            return Ok(Ok(Verdict::Do));
        }
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Ok(Err(UNASKED.to_owned()));
        }
        if output == Output::Json {
            // Standard output holds one JSON value alone.
            writeln!(streams.err, "{self}")?;
        }
        Ok(if asked(&mut stdin.lock(), streams)? { Ok(Verdict::Do) } else { Err(REFUSED.to_owned()) })
    }
}

/// Asks a person. Nothing but the whole word is a yes.
fn asked(answers: &mut dyn BufRead, streams: &mut Streams<'_>) -> std::io::Result<bool> {
    write!(streams.err, "\nDo this? Only \"yes\" is taken for a yes: ")?;
    streams.err.flush()?;
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

const UNASKED: &str = "nothing was changed: nobody can be asked here, as standard input is no terminal; --yes does it \
                       without asking, --dry-run shows the plan alone";
const REFUSED: &str = "nothing was changed";

#[cfg(test)]
mod tests {
    use super::*;

    fn planned() -> Planned {
        let tags = [("UserEmail", "alice@example.com"), ("tollgate:owner", "al\"ice\n")];
        Planned {
            name: "alice-sonnet".to_owned(),
            account: "111122223333".to_owned(),
            region: "us-east-1".to_owned(),
            source: Some("us.amazon.nova-lite-v1:0".to_owned()),
            owner: Some("alice".to_owned()),
            tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            why: "by [[vending]] rule 1".to_owned(),
            arn: None,
        }
    }

    #[test]
    fn a_plan_reads_like_terraforms() {
        let plan = Plan { create: vec![planned()], delete: vec![] };
        let wanted = "  # by [[vending]] rule 1
  + inference profile \"alice-sonnet\" {
      + account = \"111122223333\"
      + region  = \"us-east-1\"
      + source  = \"us.amazon.nova-lite-v1:0\"
      + owner   = \"alice\"
      + tags    = {
          + \"UserEmail\"      = \"alice@example.com\"
          + \"tollgate:owner\" = \"al\\\"ice\u{fffd}\"
        }
    }

Plan: 1 to create, 0 to delete.";
        assert_eq!(plan.to_string(), wanted);
    }

    #[test]
    fn only_the_whole_word_is_a_yes() {
        for (answer, yes) in
            [("yes\n", true), (" yes ", true), ("y\n", false), ("", false), ("Yes\n", false), ("no\nyes\n", false)]
        {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut streams = Streams { out: &mut out, err: &mut err };
            assert_eq!(asked(&mut answer.as_bytes(), &mut streams).unwrap(), yes, "{answer:?}");
            assert!(out.is_empty() && !err.is_empty());
        }
    }

    #[test]
    fn a_plan_that_is_empty_or_only_to_be_shown_is_not_done() {
        let full = || Plan { create: vec![], delete: vec![planned()] };
        let (dry, yes) = (Consent { dry_run: true, yes: false }, Consent { dry_run: false, yes: true });
        for (plan, consent, verdict) in [
            (Plan::default(), yes, Verdict::Nothing),
            (Plan::default(), Consent::default(), Verdict::Nothing),
            (full(), dry, Verdict::Shown),
            (full(), yes, Verdict::Do),
        ] {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut streams = Streams { out: &mut out, err: &mut err };
            assert_eq!(plan.consent(consent, Output::Table, &mut streams).unwrap(), Ok(verdict));
        }
    }
}
