//! Characters: names, white space, references.

use std::borrow::Cow;

use super::XmlFault;

/// White space as XML has it.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Removes white space at both ends without copying a borrowed text.
pub(super) fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(is_space)),
        Cow::Owned(text) => Cow::Owned(text.trim_matches(is_space).to_owned()),
    }
}

/// Tells whether `name` may name an element or attribute; of letters beyond ASCII all are taken.
pub(super) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let starts_well = bytes.next().is_some_and(starts_a_name);
    starts_well
        && bytes.all(|byte| starts_a_name(byte) || matches!(byte, b'0'..=b'9' | b'-' | b'.'))
}

pub(super) fn starts_a_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte == b':' || !byte.is_ascii()
}

/// Finds the first control character that XML does not allow.
pub(super) fn forbidden_control(text: &str) -> Option<(usize, u32)> {
    let forbidden = |byte: u8| (byte < b' ') & (byte != b'\t') & (byte != b'\n') & (byte != b'\r');
    // The first look is over all bytes at once, which the compiler turns into vector code.
    if !text
        .bytes()
        .fold(false, |seen, byte| seen | forbidden(byte))
    {
        return None;
    }
    let at = text.bytes().position(forbidden)?;
    Some((at, u32::from(*text.as_bytes().get(at)?)))
}

/// Resolves what stands between `&` and `;`.
pub(super) fn resolve(name: &str) -> Result<char, XmlFault> {
    match name {
        "amp" => return Ok('&'),
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "quot" => return Ok('"'),
        "apos" => return Ok('\''),
        _ => {}
    }
    let Some(number) = name.strip_prefix('#') else {
        return Err(XmlFault::UnknownEntity(name.to_owned()));
    };
    let code = match number.strip_prefix('x') {
        Some(hex) if is_all(hex, |byte| byte.is_ascii_hexdigit()) => {
            u32::from_str_radix(hex, 16).ok()
        }
        None if is_all(number, |byte| byte.is_ascii_digit()) => number.parse().ok(),
        _ => None,
    };
    code.and_then(char::from_u32)
        .filter(|c| is_allowed(*c))
        .ok_or_else(|| XmlFault::BadCharacterReference(name.to_owned()))
}

fn is_all(digits: &str, test: impl Fn(u8) -> bool) -> bool {
    !digits.is_empty() && digits.bytes().all(test)
}

fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Tells what is wrong with an attribute's value as it stands in the document.
pub(super) fn check_attribute_value(raw: &str) -> Result<(), XmlFault> {
    // References are rare: most values need no second look.
    if !raw
        .bytes()
        .fold(false, |seen, byte| seen | (byte == b'&') | (byte == b'<'))
    {
        return Ok(());
    }
    if raw.contains('<') {
        return Err(XmlFault::LessThanInAttribute);
    }
    attribute_value(raw).map(drop)
}

/// Resolves the references in an attribute's value; each white space becomes a blank.
pub(super) fn attribute_value(raw: &str) -> Result<Cow<'_, str>, XmlFault> {
    if !raw.contains(['&', '\t', '\r', '\n']) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['&', '\t', '\r', '\n']) {
        let (before, special) = rest.split_at(at);
        value.push_str(before);
        rest = match special.strip_prefix("\r\n") {
            Some(after) => {
                value.push(' ');
                after
            }
            None => push_special(&mut value, special)?,
        };
    }
    value.push_str(rest);
    Ok(Cow::Owned(value))
}

/// Appends what `text` begins with, a reference or a white space, and returns what follows it.
fn push_special<'a>(value: &mut String, text: &'a str) -> Result<&'a str, XmlFault> {
    let mut characters = text.chars();
    if characters.next() != Some('&') {
        value.push(' ');
        return Ok(characters.as_str());
    }
    let (name, after) = characters
        .as_str()
        .split_once(';')
        .ok_or(XmlFault::LoneAmpersand)?;
    if !name
        .strip_prefix('#')
        .map_or_else(|| is_name(name), |_| true)
    {
        return Err(XmlFault::LoneAmpersand);
    }
    value.push(resolve(name)?);
    Ok(after)
}
