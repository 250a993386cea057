//! Names that one table takes from another: a typing error is found at the start, not at the
//! first alert.

use super::Config;

/// A name that is used and not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// Where it is used.
    pub(super) place: String,
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
        let place = |key| format!("[grants.{plugin}] {key}");
        missing(&grant.services, &services, "services", || place("services"))
            .or_else(|| missing(&grant.secrets, &secrets, "secrets", || place("secrets")))
    });
    of_grants.or_else(|| {
        config.secrets.iter().find_map(|(name, secret)| {
            let place = || format!("[secrets.{name}] services");
            missing(&secret.services, &services, "services", place)
        })
    })
}

/// The name among `known` that differs from `name` by a typing error.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    const TYPING_ERROR: usize = 2;
    known
        .filter(|known| *known != name)
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .filter(|(distance, _)| *distance <= TYPING_ERROR)
        .min()
        .map(|(_, known)| known.to_owned())
}

/// The end of a sentence about a name that is not there; empty where `nearest` is none.
pub fn is_meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (is `{name}` meant?)"))
}

fn missing(
    used: &[String],
    there: &[&str],
    table: &'static str,
    place: impl Fn() -> String,
) -> Option<Unknown> {
    let name = used.iter().find(|name| !there.contains(&name.as_str()))?;
    let nearest = there
        .iter()
        .min_by_key(|known| strsim::damerau_levenshtein(known, name));
    Some(Unknown {
        place: place(),
        table,
        name: name.clone(),
        hint: nearest.map_or_else(String::new, |near| format!(", or write `{near}`")),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigError};

    #[track_caller]
    fn check_refused(text: &str, says: &[&str]) {
        let error = Config::parse(text, "gwasp.toml").unwrap_err();
        assert!(matches!(error, ConfigError::Unknown { .. }), "{error}");
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
