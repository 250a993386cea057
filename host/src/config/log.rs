//! `[log]`: what is logged, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// What a host logs to stderr.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// A level, or levels by target: `info`, `warn,gwasp::task=debug`.
    #[serde(deserialize_with = "filter")]
    pub filter: String,
    /// Lines for people, or JSON.
    pub format: LogFormat,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

impl LogConfig {
    /// Checks a filter.
    ///
    /// # Errors
    /// With what to write instead.
    pub fn parse_filter(text: &str) -> Result<String, String> {
        // A word is read as the name of a part of the program, of which everything is logged.
        let is_word = |part: &str| !part.contains(['=', '[', ':']) && part != "gwasp";
        let is_level = |part: &str| part.parse::<LevelFilter>().is_ok();
        let mut parts = text.split(',').map(str::trim);
        if let Some(word) = parts.find(|part| is_word(part) && !is_level(part)) {
            return Err(format!(
                "`{word}` is no level of a log; there are error, warn, info, debug, trace and off; \
                 write e.g. \"info\" or \"warn,gwasp::task=debug\""
            ));
        }
        match EnvFilter::try_new(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(format!(
                "`{text}` is no filter of a log ({error}); write e.g. \"info\" or \
                 \"warn,gwasp::task=debug\""
            )),
        }
    }
}

fn filter<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    LogConfig::parse_filter(&text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::{LogConfig, LogFormat};

    #[test]
    fn a_filter_that_is_none_is_refused_with_one_that_is() {
        let log: LogConfig = toml::from_str("filter = \"warn\"\nformat = \"json\"").unwrap();
        assert_eq!((log.filter.as_str(), log.format), ("warn", LogFormat::Json));
        let error = toml::from_str::<LogConfig>("filter = \"gwasp=loud\"").unwrap_err();
        assert!(error.to_string().contains("is no filter"), "{error}");
        assert!(error.to_string().contains("gwasp::task=debug"), "{error}");
        let error = toml::from_str::<LogConfig>("filter = \"loud\"").unwrap_err();
        assert!(error.to_string().contains("`loud` is no level"), "{error}");
        for filter in [
            "off",
            "INFO",
            "gwasp",
            "gwasp::task",
            "warn,gwasp::task=debug",
        ] {
            assert!(LogConfig::parse_filter(filter).is_ok(), "{filter}");
        }
    }
}
