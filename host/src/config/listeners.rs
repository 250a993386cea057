//! `[listeners.NAME]`: one stream each.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;
use toml::de::{DeValue, Error, ValueDeserializer};

use super::vtp::VtpConfig;

/// A stream to listen to; `kind` says by which protocol.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ListenerConfig {
    /// VOEvent Transport Protocol, as a subscriber.
    Vtp(VtpConfig),
}

#[derive(Deserialize)]
struct OfKind {
    kind: Kind,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Vtp,
}

/// Reads the table of listeners.
pub(super) fn read(
    mut listeners: Spanned<DeValue<'_>>,
) -> Result<BTreeMap<String, ListenerConfig>, Error> {
    let DeValue::Table(table) = listeners.get_mut() else {
        return read_apart(ValueDeserializer::from(listeners));
    };
    let table = std::mem::take(table);
    table
        .into_iter()
        .map(|(name, listener)| Ok((name.into_inner().into_owned(), read_one(listener)?)))
        .collect()
}

fn read_one(mut listener: Spanned<DeValue<'_>>) -> Result<ListenerConfig, Error> {
    let OfKind { kind } = OfKind::deserialize(ValueDeserializer::from(listener.clone()))?;
    if let DeValue::Table(table) = listener.get_mut() {
        table.remove("kind");
    }
    let listener = ValueDeserializer::from(listener);
    match kind {
        Kind::Vtp => VtpConfig::deserialize(listener).map(ListenerConfig::Vtp),
    }
}

/// Stands in the place of a table that [`read`] reads.
pub(super) fn read_apart<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<String, ListenerConfig>, D::Error> {
    BTreeMap::<String, IgnoredAny>::deserialize(from).map(|_| BTreeMap::new())
}
