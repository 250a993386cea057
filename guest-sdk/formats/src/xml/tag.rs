//! The attributes of one start tag.
//!
//! Read here and not by the XML library, which would look at each byte once more and takes
//! attributes that XML does not allow.

use std::borrow::Cow;

use super::{XmlFault, chars};

/// Attributes of one element.
const MAX_ATTRIBUTES: usize = 256;
/// Bytes of one attribute's value, before references are resolved.
const MAX_VALUE: usize = 64 * 1024;

/// The attributes of the start tag that was read last, checked; the room is used again.
#[derive(Debug)]
pub(super) struct Tag<'t> {
    attributes: Vec<Attribute<'t>>,
}

#[derive(Debug)]
struct Attribute<'t> {
    name: &'t str,
    raw: &'t str,
    /// The value holds no references and no white space but blanks.
    is_plain: bool,
}

impl<'t> Tag<'t> {
    pub(super) fn new() -> Self {
        Self {
            attributes: Vec::with_capacity(8),
        }
    }

    /// Takes the tag `content`, from its name to its `>`, in place of the one before.
    pub(super) fn read(&mut self, content: &'t str, name_len: usize) -> Result<(), XmlFault> {
        self.attributes.clear();
        let within = content.strip_suffix('>').unwrap_or(content);
        let within = within.strip_suffix('/').unwrap_or(within);
        let mut rest = within.get(name_len..).unwrap_or_default();
        loop {
            let next = skip_space(rest);
            if next.is_empty() {
                return Ok(());
            }
            if next.len() == rest.len() {
                return Err(XmlFault::NoSpaceBetweenAttributes);
            }
            let (attribute, after) = split_attribute(next)?;
            self.add(attribute)?;
            rest = after;
        }
    }

    /// Returns an attribute's value, references resolved.
    ///
    /// The name is without prefix, as all attributes of VOEvent are.
    pub(super) fn value(&self, name: &str) -> Option<Cow<'t, str>> {
        let attribute = self
            .attributes
            .iter()
            .find(|attribute| attribute.name == name)?;
        if attribute.is_plain {
            return Some(Cow::Borrowed(attribute.raw));
        }
        // It was resolved once when the tag was read, so it can be resolved.
        chars::attribute_value(attribute.raw).ok()
    }

    fn add(&mut self, attribute: Attribute<'t>) -> Result<(), XmlFault> {
        let name = attribute.name;
        if attribute.raw.len() > MAX_VALUE {
            return Err(XmlFault::AttributeTooLong {
                name: name.to_owned(),
                limit: MAX_VALUE,
            });
        }
        if self.attributes.len() == MAX_ATTRIBUTES {
            return Err(XmlFault::TooManyAttributes {
                limit: MAX_ATTRIBUTES,
            });
        }
        if self.attributes.iter().any(|other| other.name == name) {
            return Err(XmlFault::AttributeTwice(name.to_owned()));
        }
        if !attribute.is_plain {
            chars::attribute_value(attribute.raw)?;
        }
        self.attributes.push(attribute);
        Ok(())
    }
}

/// Splits `name = "value"` from what follows it.
fn split_attribute(text: &str) -> Result<(Attribute<'_>, &str), XmlFault> {
    let ends_name = |byte: u8| byte == b'=' || chars::is_space_byte(byte);
    let name_len = text.bytes().position(ends_name).unwrap_or(text.len());
    let (name, after) = text.split_at_checked(name_len).unwrap_or((text, ""));
    if chars::local_name(name).is_none() {
        return Err(XmlFault::BadName(name.to_owned()));
    }
    let no_value = || XmlFault::NoAttributeValue(name.to_owned());
    let after = skip_space(after).strip_prefix('=').ok_or_else(no_value)?;
    let after = skip_space(after);
    let quote = after
        .bytes()
        .next()
        .filter(|byte| matches!(byte, b'"' | b'\''))
        .ok_or_else(no_value)?;
    let inside = after.get(1..).unwrap_or_default();
    let (value_len, is_plain) = value_len(inside.as_bytes(), quote).ok_or_else(no_value)?;
    let (raw, after) = inside.split_at_checked(value_len).unwrap_or_default();
    let attribute = Attribute {
        name,
        raw,
        is_plain,
    };
    Ok((attribute, after.get(1..).unwrap_or_default()))
}

/// Finds the closing quote; tells whether all before it stands for itself.
fn value_len(inside: &[u8], quote: u8) -> Option<(usize, bool)> {
    let mut is_plain = true;
    let mut looked_at = 0;
    loop {
        let rest = inside.get(looked_at..)?;
        let at = looked_at
            + rest
                .iter()
                .position(|byte| chars::interrupts_value(*byte))?;
        match inside.get(at)? {
            byte if *byte == quote => return Some((at, is_plain)),
            b'"' | b'\'' => {}
            _ => is_plain = false,
        }
        looked_at = at + 1;
    }
}

fn skip_space(text: &str) -> &str {
    let space = text
        .bytes()
        .take_while(|byte| chars::is_space_byte(*byte))
        .count();
    text.get(space..).unwrap_or_default()
}
