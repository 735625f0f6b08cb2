//! Which IAM actions an identity's policy allows: enough of IAM to try a least-privilege policy, without resources and
//! conditions.

/// What a policy allows, as IAM's names of actions, such as `bedrock:ListInferenceProfiles`, with `*` and `?` as in IAM and
/// no difference between capitals and small letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MockActions {
    /// Everything.
    #[default]
    All,
    /// These and nothing else.
    Only(Vec<String>),
    /// Everything but these.
    AllBut(Vec<String>),
}

impl MockActions {
    pub(super) fn allow(&self, action: &str) -> bool {
        let named = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern.as_bytes(), action.as_bytes()));
        match self {
            Self::All => true,
            Self::Only(patterns) => named(patterns),
            Self::AllBut(patterns) => !named(patterns),
        }
    }
}

fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            matches(rest, text) || text.split_first().is_some_and(|(_, text)| matches(pattern, text))
        }
        (Some((b'?', rest)), Some((_, text))) => matches(rest, text),
        (Some((wanted, rest)), Some((byte, text))) => wanted.eq_ignore_ascii_case(byte) && matches(rest, text),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_iam() {
        for (pattern, action, allowed) in [
            ("bedrock:ListInferenceProfiles", "bedrock:ListInferenceProfiles", true),
            ("bedrock:listinferenceprofiles", "bedrock:ListInferenceProfiles", true),
            ("bedrock:List*", "bedrock:ListTagsForResource", true),
            ("bedrock:List*", "bedrock:GetInferenceProfile", false),
            ("*", "tag:GetResources", true),
            ("bedrock:?etInferenceProfile", "bedrock:GetInferenceProfile", true),
            ("bedrock:*Profile", "bedrock:ListInferenceProfiles", false),
            ("bedrock", "bedrock:GetInferenceProfile", false),
        ] {
            assert_eq!(MockActions::Only(vec![pattern.to_owned()]).allow(action), allowed, "{pattern} {action}");
            assert_eq!(MockActions::AllBut(vec![pattern.to_owned()]).allow(action), !allowed, "{pattern} {action}");
        }
        assert!(MockActions::All.allow("sts:AssumeRole"));
    }
}
