//! What a notice is about: something seen, something foreseen, the observatory, or a test.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The role of a VOEvent (VOEvent 2.0, section 3.1); other formats are given one by their readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Something that was observed. A document without a role has this one.
    #[default]
    Observation,
    /// Something that is expected.
    Prediction,
    /// About the observatory itself, such as where it points.
    Utility,
    /// Not real: never to be acted on.
    Test,
}

impl Role {
    /// Reads a role; `None` for a word that is none.
    ///
    /// Letter case and white space around the word are ignored: whoever writes `Test` means test,
    /// and to take it for an observation would move telescopes.
    ///
    /// ```
    /// use gwasp_formats::Role;
    ///
    /// assert_eq!(Role::from_word("Test"), Some(Role::Test));
    /// assert_eq!(Role::from_word("observe"), None);
    /// ```
    pub fn from_word(word: &str) -> Option<Self> {
        let roles = [
            Self::Observation,
            Self::Prediction,
            Self::Utility,
            Self::Test,
        ];
        let word = word.trim();
        roles
            .into_iter()
            .find(|role| role.as_str().eq_ignore_ascii_case(word))
    }

    /// Returns the word for it, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observation => "observation",
            Self::Prediction => "prediction",
            Self::Utility => "utility",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
