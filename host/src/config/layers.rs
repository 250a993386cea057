//! Layers of a configuration: texts laid over one another. Every key and value of the result
//! remembers the text that it came from, so that a mistake is shown where it was made and a value
//! can say who set it.
//!
//! Tables are merged; anything else, lists included, is replaced as a whole. Which layers there
//! are, and in which order, the command line decides.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::fault::{Fault, Place};

/// Begins the name of each environment variable that is a layer.
pub const VARIABLES: &str = "GWASP__";

/// One text of a configuration.
#[derive(Clone, Debug)]
pub struct Layer {
    name: String,
    text: String,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// TOML.
    File,
    /// `NAME=value`, the name being a path of keys.
    Variable,
}

impl Layer {
    /// The text of the file `name`.
    pub fn file(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            // A byte order mark is no part of the text.
            text: text.trim_start_matches('\u{feff}').to_owned(),
            form: Form::File,
        }
    }

    /// An environment variable: `GWASP__DRAIN__DEADLINE` is the key `drain.deadline`. A value that
    /// is no TOML is taken as a text.
    pub fn variable(name: &str, value: &str) -> Self {
        Self {
            name: format!("${name}"),
            text: format!("{name}={value}"),
            form: Form::Variable,
        }
    }

    /// Reads it; the places in what it answers are those in its own text.
    fn parse(&self) -> Result<DeTable<'_>, Error> {
        match self.form {
            Form::File => DeTable::parse(&self.text).map(Spanned::into_inner),
            Form::Variable => Ok(self.parse_variable()),
        }
    }

    fn parse_variable(&self) -> DeTable<'_> {
        let (name, value) = self.text.split_once('=').unwrap_or((&self.text, ""));
        let begin = name.len() + 1;
        let value = match DeValue::parse(value) {
            Ok(value) => shifted(value, begin),
            Err(_) => Spanned::new(
                begin..self.text.len(),
                DeValue::String(Cow::Borrowed(value)),
            ),
        };
        let mut at = VARIABLES.len();
        let mut keys = Vec::new();
        for part in name.get(at..).unwrap_or_default().split("__") {
            keys.push(Spanned::new(
                at..at + part.len(),
                Cow::Owned(part.to_lowercase()),
            ));
            at += part.len() + "__".len();
        }
        let mut value = value;
        while let Some(key) = keys.pop() {
            let span = key.span();
            let mut table = DeTable::default();
            table.insert(key, value);
            if keys.is_empty() {
                return table;
            }
            value = Spanned::new(span, DeValue::Table(table));
        }
        DeTable::default()
    }
}

/// `value` with its places moved on by `by`.
fn shifted(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shifted_table(table, by)),
        DeValue::Array(array) => {
            DeValue::Array(array.into_iter().map(|value| shifted(value, by)).collect())
        }
        other => other,
    };
    Spanned::new(span.start + by..span.end + by, value)
}

fn shifted_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    let entries = table.into_iter().map(|(key, value)| {
        let span = key.span();
        let key = Spanned::new(span.start + by..span.end + by, key.into_inner());
        (key, shifted(value, by))
    });
    entries.collect()
}

/// Lays `over` on `under`.
fn lay<'a>(under: &mut DeTable<'a>, over: DeTable<'a>) {
    for (key, value) in over {
        let name = key.get_ref().clone();
        let is_table = value.get_ref().is_table();
        match under.get_mut(name.as_ref()).map(Spanned::get_mut) {
            Some(DeValue::Table(below)) if is_table => {
                if let DeValue::Table(above) = value.into_inner() {
                    lay(below, above);
                }
            }
            _ => {
                under.remove(name.as_ref());
                under.insert(key, value);
            }
        }
    }
}

/// Layers whose places count through all of their texts.
#[derive(Debug)]
pub(super) struct Layers<'a> {
    layers: &'a [Layer],
    files: DeTable<'a>,
    variables: DeTable<'a>,
    profiles: BTreeMap<String, DeTable<'a>>,
}

impl<'a> Layers<'a> {
    /// Reads the layers; a later one lies over an earlier one, and variables lie over all files.
    pub(super) fn read(layers: &'a [Layer]) -> Result<Self, Fault> {
        let mut read = Self {
            layers,
            files: DeTable::default(),
            variables: DeTable::default(),
            profiles: BTreeMap::new(),
        };
        let mut base = 0;
        for layer in layers {
            let table = layer.parse().map_err(|error| {
                let span = error.span().map(|at| at.start + base..at.end + base);
                read.fault(error.message(), span)
            })?;
            let table = shifted_table(table, base);
            match layer.form {
                Form::File => lay(&mut read.files, table),
                Form::Variable => lay(&mut read.variables, table),
            }
            base += layer.text.len() + 1;
        }
        read.take_profiles()?;
        Ok(read)
    }

    fn take_profiles(&mut self) -> Result<(), Fault> {
        let Some(profiles) = self.files.remove("profiles") else {
            return Ok(());
        };
        let span = profiles.span();
        let DeValue::Table(profiles) = profiles.into_inner() else {
            return Err(self.fault(
                "`profiles` is a table of tables: [profiles.NAME]",
                Some(span),
            ));
        };
        for (name, profile) in profiles {
            let span = profile.span();
            let DeValue::Table(profile) = profile.into_inner() else {
                let text = format!("a profile is a table: [profiles.{}]", name.get_ref());
                return Err(self.fault(&text, Some(span)));
            };
            if let Some((key, _)) = profile.get_key_value("profiles") {
                return Err(self.fault("a profile holds no profiles", Some(key.span())));
            }
            self.profiles
                .insert(name.into_inner().into_owned(), profile);
        }
        Ok(())
    }

    /// The name of the profile in force, if one is named.
    pub(super) fn profile(&self) -> Result<Option<String>, Fault> {
        let named = self.variables.get("profile").or(self.files.get("profile"));
        let Some(named) = named else {
            return Ok(None);
        };
        let at = || Some(named.span());
        let Some(name) = named.get_ref().as_str() else {
            return Err(self.fault("a profile's name is a text, in quotes", at()));
        };
        if self.profiles.contains_key(name) {
            return Ok(Some(name.to_owned()));
        }
        let nearest = crate::text::nearest(name, self.profile_names());
        let meant = crate::text::is_meant(nearest.as_deref());
        let text = format!("there is no profile `{name}`{meant}; add [profiles.{name}]");
        Err(self.fault(&text, at()))
    }

    /// The profiles that there are.
    pub(super) fn profile_names(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }

    /// All layers in one table, under `profile`.
    pub(super) fn merged(&self, profile: Option<&str>) -> DeTable<'a> {
        let mut table = self.files.clone();
        if let Some(overrides) = profile.and_then(|name| self.profiles.get(name)) {
            lay(&mut table, overrides.clone());
        }
        lay(&mut table, self.variables.clone());
        table
    }

    /// What is wrong at `span`, which counts through all texts.
    pub(super) fn fault(&self, message: &str, span: Option<Range<usize>>) -> Fault {
        let place = span.and_then(|span| self.place(&span));
        Fault::new(message, place)
    }

    /// Where `span` is.
    pub(super) fn place(&self, span: &Range<usize>) -> Option<Place> {
        let mut base = 0;
        for layer in self.layers {
            let end = base + layer.text.len();
            if span.start <= end {
                let inside = span.start - base..span.end.max(span.start).min(end) - base;
                return Some(Place::new(&layer.name, &layer.text, inside));
            }
            base = end + 1;
        }
        None
    }
}
