//! Characters: names, white space, references.

use std::borrow::Cow;

use super::XmlFault;

/// White space as XML has it.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// White space as XML has it.
pub(super) fn is_space_byte(byte: u8) -> bool {
    is(byte, SPACE)
}

/// A quote, or what makes an attribute's value more than its bytes: reference, markup, white space.
pub(super) fn interrupts_value(byte: u8) -> bool {
    is(byte, INTERRUPTS_VALUE)
}

/// Kinds of bytes, as bits of [`KINDS`]: every byte of every tag is looked up.
const STARTS_NAME: u8 = 1;
const IN_NAME: u8 = 2;
const SPACE: u8 = 4;
const INTERRUPTS_VALUE: u8 = 8;

const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0_u8;
    loop {
        kinds[byte as usize] = kinds_of(byte);
        if byte == u8::MAX {
            break kinds;
        }
        byte += 1;
    }
};

const fn kinds_of(byte: u8) -> u8 {
    match byte {
        b' ' => SPACE,
        b'\t' | b'\r' | b'\n' => SPACE | INTERRUPTS_VALUE,
        b'"' | b'\'' | b'&' | b'<' => INTERRUPTS_VALUE,
        b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':' | 0x80.. => STARTS_NAME | IN_NAME,
        b'0'..=b'9' | b'-' | b'.' => IN_NAME,
        _ => 0,
    }
}

fn is(byte: u8, kind: u8) -> bool {
    KINDS[usize::from(byte)] & kind != 0
}

/// Removes white space at both ends without copying a borrowed text.
pub(super) fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(is_space)),
        Cow::Owned(text) => Cow::Owned(text.trim_matches(is_space).to_owned()),
    }
}

/// Checks that `name` may name an element or attribute and returns it without its prefix.
///
/// Of letters beyond ASCII all are taken.
pub(super) fn local_name(name: &str) -> Option<&str> {
    let mut local = 0;
    for (at, byte) in name.bytes().enumerate() {
        if !is(byte, IN_NAME) {
            return None;
        }
        if byte == b':' {
            local = at + 1;
        }
    }
    let starts_well = name.bytes().next().is_some_and(starts_a_name);
    name.get(local..)
        .filter(|local| starts_well && !local.is_empty())
}

/// Makes each line end of a text from the document one `\n`; a character that was written as a
/// reference stays what it is.
pub(super) fn line_ends(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(raw) if raw.contains('\r') => {
            Cow::Owned(raw.replace("\r\n", "\n").replace('\r', "\n"))
        }
        _ => text,
    }
}

pub(super) fn starts_a_name(byte: u8) -> bool {
    is(byte, STARTS_NAME)
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

/// Resolves the references in an attribute's value; each white space becomes a blank.
pub(super) fn attribute_value(raw: &str) -> Result<Cow<'_, str>, XmlFault> {
    if raw.contains('<') {
        return Err(XmlFault::LessThanInAttribute);
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
    if !name.starts_with('#') && local_name(name).is_none() {
        return Err(XmlFault::LoneAmpersand);
    }
    value.push(resolve(name)?);
    Ok(after)
}
