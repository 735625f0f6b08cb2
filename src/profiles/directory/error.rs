//! Why a directory cannot be built.

/// Why a directory cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// A name outside the grammar.
    #[error(
        "`{name}` cannot name a profile: 1 to 64 letters, digits, spaces, `_`, `-` and `.`, with no space at its ends"
    )]
    Name {
        /// The name, escaped and cut.
        name: String,
    },
    /// Two profiles have the same name.
    #[error(
        "two profiles are named `{name}`: give each a name of its own, and let them share an alias if their owners differ"
    )]
    NameTwice {
        /// The name.
        name: String,
    },
    /// An alias outside the grammar.
    #[error(
        "profile `{profile}` has the alias `{alias}`, which no caller can ask for: letters, digits, `_`, `-`, `.` and `:`, no ARN"
    )]
    Alias {
        /// The profile's name.
        profile: String,
        /// The alias, escaped and cut.
        alias: String,
    },
    /// One word for two profiles of one owner.
    #[error("`{word}` means both profile `{first}` and profile `{second}` for {owner}: rename it in one of them")]
    Clash {
        /// The name, id, ARN or alias that both have.
        word: String,
        /// For whom.
        owner: String,
        /// One profile.
        first: String,
        /// The other.
        second: String,
    },
    /// One ARN with two sources: one of the two would be metered at a wrong price.
    #[error("profiles `{first}` and `{second}` have the same ARN {arn} and different sources: correct the wrong one")]
    Sources {
        /// The ARN.
        arn: String,
        /// One profile.
        first: String,
        /// The other.
        second: String,
    },
    /// A profile for nobody, or for a name that is empty.
    #[error(
        "profile `{profile}` belongs to nobody: list its principals or its groups by name, or say that it is everyone's"
    )]
    Nobody {
        /// The profile's name.
        profile: String,
    },
}
