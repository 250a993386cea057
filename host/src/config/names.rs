//! Names that one table takes from another: a typing error is found at the start, not at the
//! first alert.

use super::Config;
use crate::text::nearest;

/// A name that is used and not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// The keys to where it is used.
    pub(super) path: [String; 3],
    /// The table that it should be in.
    pub(super) table: &'static str,
    /// It.
    pub(super) name: String,
    /// The most similar one, as a sentence; empty where there is none.
    pub(super) hint: String,
}

/// The first name that is used and not there.
pub(super) fn unknown(config: &Config) -> Option<Unknown> {
    let services: Vec<&str> = config.services.keys().map(String::as_str).collect();
    let secrets: Vec<&str> = config.secrets.keys().map(String::as_str).collect();
    let of_grants = config.grants.iter().find_map(|(plugin, grant)| {
        let path = |key: &str| ["grants".to_owned(), plugin.clone(), key.to_owned()];
        missing(&grant.services, &services, "services", || path("services"))
            .or_else(|| missing(&grant.secrets, &secrets, "secrets", || path("secrets")))
    });
    of_grants.or_else(|| {
        config.secrets.iter().find_map(|(name, secret)| {
            let path = || ["secrets", name, "services"].map(str::to_owned);
            missing(&secret.services, &services, "services", path)
        })
    })
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ([of, who, key], table, name) = (&self.path, self.table, &self.name);
        write!(
            f,
            "[{of}.{who}] {key} names `{name}`; add [{table}.{name}]{}",
            self.hint
        )
    }
}

fn missing(
    used: &[String],
    there: &[&str],
    table: &'static str,
    path: impl Fn() -> [String; 3],
) -> Option<Unknown> {
    let name = used.iter().find(|name| !there.contains(&name.as_str()))?;
    let nearest = nearest(name, there.iter().copied());
    Some(Unknown {
        path: path(),
        table,
        name: name.clone(),
        hint: nearest.map_or_else(String::new, |near| format!(", or write `{near}`")),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[track_caller]
    fn check_refused(text: &str, says: &[&str]) {
        let error = Config::parse(text, "gwasp.toml").unwrap_err();
        for part in says {
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    const GRACEDB: &str = "[services.gracedb]\norigin = \"https://gracedb.ligo.org\"\n";

    #[test]
    fn a_service_that_a_grant_names_is_there() {
        check_refused(
            &format!("{GRACEDB}[grants.p]\nservices = [\"gracdb\"]"),
            &["[grants.p] services", "[services.gracdb]", "`gracedb`"],
        );
    }

    #[test]
    fn a_secret_and_its_services_are_there() {
        check_refused("[grants.p]\nsecrets = [\"token\"]", &["[secrets.token]"]);
        check_refused(
            "[secrets.token]\nfile = \"t\"\nservices = [\"gracedb\"]",
            &["[secrets.token] services", "[services.gracedb]"],
        );
    }

    #[test]
    fn the_example_of_grants_and_services_is_a_configuration() {
        let text = include_str!("../../../examples/gwasp.toml");
        let config = Config::parse(text, "examples/gwasp.toml").unwrap();
        assert!(config.grants["superevents"].allows_task("annotate", "plot"));
        assert!(!config.grants["superevents"].allows_task("other", "plot"));
        assert_eq!(config.services.len(), 2);
    }
}
