//! How a name is resolved, step by step, for people who ask why.
//!
//! The steps are those of [`resolve`](super::resolve): it takes the first that has a fit, so that what is explained cannot be
//! another thing than what is done.

use std::collections::HashSet;
use std::sync::Arc;

use super::directory::{Directory, Fit, Owner};
use super::{Profile, Unsourced};
use crate::identity::Principal;
use crate::types::{ModelName, ProfileArn};

/// What is looked at for one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'d> {
    /// As whom the principal owns what is looked at.
    pub owner: Owner<'d>,
    /// How many profiles that are.
    pub profiles: usize,
    /// The one that fits the name best, and how closely.
    pub fit: Option<(Fit, &'d Arc<Profile>)>,
    /// One that the name means, or may mean, and of which is not known what it was made from; then nothing else is taken.
    pub awaited: Option<&'d Arc<Unsourced>>,
}

/// How a name is resolved for a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation<'d> {
    /// Everything that may be looked at, the closest owner first; what comes after the first fit is not looked at.
    pub steps: Vec<Step<'d>>,
}

impl Step<'_> {
    /// Whether nothing further is looked at.
    pub fn decides(&self) -> bool {
        self.fit.is_some() || self.awaited.is_some()
    }
}

impl<'d> Explanation<'d> {
    /// The place of the step that decides; nothing where no profile of the principal's fits or may fit.
    pub fn decided_at(&self) -> Option<usize> {
        self.steps.iter().position(Step::decides)
    }

    /// What decides, where that is a profile of which is not known what it was made from.
    pub fn awaited(&self) -> Option<&'d Arc<Unsourced>> {
        self.steps.iter().find(|step| step.decides())?.awaited
    }

    /// The profile that is meant, how closely it fits, and as whose.
    pub fn chosen(&self) -> Option<(Owner<'d>, Fit, &'d Arc<Profile>)> {
        let step = self.steps.iter().find(|step| step.decides())?;
        step.fit.map(|(fit, profile)| (step.owner, fit, profile))
    }
}

impl Directory {
    /// How a name is resolved for a principal. `text` is the name as the caller writes it.
    pub fn explain<'d>(&'d self, principal: &'d Principal, name: &ModelName, text: &str) -> Explanation<'d> {
        Explanation { steps: self.looked_at(principal, name, text).collect() }
    }

    /// The steps, made as they are asked for.
    pub(super) fn looked_at<'d>(
        &'d self,
        principal: &'d Principal,
        name: &ModelName,
        text: &str,
    ) -> impl Iterator<Item = Step<'d>> {
        self.candidates(principal).map(move |(owner, names)| match names {
            None => Step { owner, profiles: 0, fit: None, awaited: None },
            Some(names) => {
                let fit = match name {
                    // What is no inference profile may have been granted by this very ARN.
                    ModelName::Refused(_) => names.by_arn(text).map(|profile| (Fit::Exact, profile)),
                    ModelName::Model(_) | ModelName::ApplicationProfile(_) | ModelName::Word(_) => names.best(name),
                };
                let awaited = names.awaited(name, fit.map(|(fit, _)| fit));
                Step { owner, profiles: names.granted().len(), fit: fit.filter(|_| awaited.is_none()), awaited }
            }
        })
    }

    /// The profiles of a principal and as whose they are theirs, the closest first, each once.
    pub fn owned_by<'d>(&'d self, principal: &'d Principal) -> impl Iterator<Item = (Owner<'d>, &'d Arc<Profile>)> {
        let mut seen: HashSet<&ProfileArn> = HashSet::new();
        let owners = self.owners_of(principal);
        let all = owners.flat_map(|(owner, names)| names.granted().iter().map(move |own| (owner, &own.profile)));
        all.filter(move |(_, profile)| seen.insert(profile.arn()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bedrock::Operation;
    use crate::profiles::{Found, Grant, Match, Reach, Rule};
    use crate::types::{Owners, Tags};

    fn profile(name: &str) -> Profile {
        let arn = format!("arn:aws:bedrock:us-east-1:012345678901:application-inference-profile/{name}");
        Profile::new(name, arn.parse().unwrap(), "us.amazon.nova-lite-v1:0".parse().unwrap())
    }

    #[test]
    fn every_owner_is_a_step_also_one_who_has_nothing_or_lacks_the_tag() {
        let grant = Grant { profile: profile("all"), owners: Owners::Everyone, reach: Reach::AnyName, aliases: vec![] };
        let rules = [Match::Tag("Mail".to_owned()), Match::Name, Match::Group];
        let rules = rules.map(|owner| Rule { profile_tag: "Owner".to_owned(), owner });
        let tags: Box<[(Arc<str>, Box<str>)]> = Box::new([("Owner".into(), "eng".into())]);
        let found = Found { profile: Arc::new(profile("engs")), tags };
        let directory = Directory::build(vec![grant], &rules, [found]).unwrap();
        let alice = Principal::new("alice", vec!["eng".to_owned()], Tags::default());
        let text = "amazon.nova-lite-v1:0";
        let explained = directory.explain(&alice, &ModelName::classify(text), text);
        let steps: Vec<_> =
            explained.steps.iter().map(|step| (step.owner, step.profiles, step.fit.is_some())).collect();
        let rule = |at: usize, value| Owner::Rule { at, rule: &rules[at], value };
        let wanted = [
            (Owner::Principal, 0, false),
            (rule(0, None), 0, false),
            (rule(1, Some("alice")), 0, false),
            (Owner::Group("eng"), 0, false),
            (rule(2, Some("eng")), 1, true),
            (Owner::Everyone, 1, true),
        ];
        assert_eq!((steps.as_slice(), explained.decided_at()), (&wanted[..], Some(4)));
        let chosen = explained.chosen().map(|(_, fit, profile)| (fit, profile.name()));
        assert_eq!(chosen, Some((Fit::BaseModel, "engs")));
    }
    #[test]
    fn what_is_granted_by_its_very_arn_is_explained_as_it_is_resolved() {
        let text = "arn:aws:bedrock:us-east-1:012345678901:provisioned-model/abc";
        let source = "amazon.nova-lite-v1:0".parse().unwrap();
        let profile = Profile::new("own", ProfileArn::of_exact(text).unwrap(), source);
        let owners = Owners::Only { principals: vec!["alice".to_owned()], groups: vec![] };
        let grant = Grant { profile, owners, reach: Reach::ArnAlone, aliases: vec![] };
        let directory = Directory::build(vec![grant], &[], []).unwrap();
        for (who, text, own) in [("alice", text, true), ("bob", text, false), ("alice", "amazon.nova-lite-v1:0", false)]
        {
            let (who, name) = (Principal::new(who, vec![], Tags::default()), ModelName::classify(text));
            let explained = directory.explain(&who, &name, text);
            assert_eq!(explained.chosen().is_some(), own, "{text}");
            assert_eq!(directory.resolve(&who, Operation::Converse, &name, text).is_ok(), own, "{text}");
        }
    }
}
