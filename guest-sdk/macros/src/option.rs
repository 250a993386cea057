//! The options, which attribute takes which, and what their values must be.
//!
//! A value travels to the host as text, exactly as written here: an option more is no change of
//! the boundary.

use proc_macro2::{Ident, Span};
use syn::Lit;

use crate::attribute::{Attribute, Kind};
use crate::errors::{Errors, Mistake, nearest, one_of};
use crate::{duration, order};

/// What a value must be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Queue,
    Count,
    Duration,
    Order,
    Priority,
    Name,
    Zone,
    CatchUp,
    /// Words in parentheses, of these.
    Words(&'static [&'static str]),
}

struct Known {
    word: &'static str,
    form: Form,
    kinds: &'static [Kind],
}

const ALL: &[Kind] = &[Kind::Handler, Kind::Task, Kind::Periodic];
const HANDLER: &[Kind] = &[Kind::Handler];
const PERIODIC: &[Kind] = &[Kind::Periodic];

const fn known(word: &'static str, form: Form, kinds: &'static [Kind]) -> Known {
    Known { word, form, kinds }
}

const OPTIONS: &[Known] = &[
    known("accept", Form::Words(&["test", "old"]), HANDLER),
    known("backoff", Form::Duration, ALL),
    known("catch_up", Form::CatchUp, PERIODIC),
    known("deadline", Form::Duration, ALL),
    known("every", Form::Duration, PERIODIC),
    known("max_backoff", Form::Duration, ALL),
    known("name", Form::Name, ALL),
    known("only", Form::Words(ROLES), HANDLER),
    known("order_by", Form::Order, HANDLER),
    known("priority", Form::Priority, ALL),
    known("queue", Form::Queue, ALL),
    known("retries", Form::Count, ALL),
    known("timeout", Form::Duration, ALL),
    known("tz", Form::Zone, PERIODIC),
];

const ROLES: &[&str] = &["observation", "prediction", "utility", "test", "old"];

/// Tells whether any attribute has an option of this name.
pub(crate) fn is_option(word: &str) -> bool {
    OPTIONS.iter().any(|option| option.word == word)
}

/// What to say of an option's name without a value, or `None` if it is not one of this attribute.
pub(crate) fn lacks_value(kind: Kind, word: &str) -> Option<String> {
    let option = OPTIONS.iter().find(|option| option.word == word)?;
    option.kinds.contains(&kind).then(|| {
        let example = example(option);
        format!("`{word}` needs a value, e.g. `{example}`")
    })
}

/// Adds `name = value`.
pub(crate) fn set(
    kind: Kind,
    name: &Ident,
    value: &Lit,
    attribute: &mut Attribute,
    errors: &mut Errors,
) {
    let Some(option) = find(kind, name, errors) else {
        return;
    };
    match text(option, value) {
        Ok(text) if option.form == Form::Name => put_name(attribute, name, text, errors),
        Ok(text) => put(attribute, name.span(), (option.word, text), errors),
        Err(message) => errors.at(value, message),
    }
}

/// Adds `name(word, word)`.
pub(crate) fn call(
    kind: Kind,
    name: &Ident,
    words: &[Ident],
    attribute: &mut Attribute,
    errors: &mut Errors,
) {
    let Some(option) = find(kind, name, errors) else {
        return;
    };
    let Form::Words(allowed) = option.form else {
        return errors.at(name, format!("write `{}`", example(option)));
    };
    let mut texts = Vec::new();
    for word in words {
        let text = word.to_string();
        match allowed.contains(&text.as_str()) {
            true => texts.push(text),
            false => errors.at(
                word,
                format!("`{name}` takes {}, not `{word}`", one_of(allowed)),
            ),
        }
    }
    put(
        attribute,
        name.span(),
        (option.word, texts.join(",")),
        errors,
    );
}

/// Adds a checked pair, unless it is there.
pub(crate) fn put(
    attribute: &mut Attribute,
    span: Span,
    (word, text): (&str, String),
    errors: &mut Errors,
) {
    if attribute.options.iter().any(|(known, _)| known == word) {
        return errors.at_span(span, format!("`{word}` stands here twice"));
    }
    attribute.options.push((word.to_owned(), text));
}

fn put_name(attribute: &mut Attribute, place: &Ident, text: String, errors: &mut Errors) {
    if attribute.name.replace(text).is_some() {
        errors.at(place, "`name` stands here twice");
    }
}

fn find(kind: Kind, name: &Ident, errors: &mut Errors) -> Option<&'static Known> {
    let word = name.to_string();
    let allowed: Vec<&Known> = OPTIONS
        .iter()
        .filter(|option| option.kinds.contains(&kind))
        .collect();
    let found = allowed.iter().find(|option| option.word == word);
    if found.is_none() {
        let words: Vec<&str> = allowed.iter().map(|option| option.word).collect();
        let problem = match nearest(&word, &words) {
            Some(near) => format!("no option `{word}`: did you mean `{near}`?"),
            None => format!("no option `{word}`:"),
        };
        let kind = kind.word();
        errors.at(
            name,
            format!("{problem} `#[{kind}]` takes {}", one_of(&words)),
        );
    }
    found.copied()
}

fn example(option: &Known) -> String {
    let word = option.word;
    match option.form {
        Form::Queue => format!("{word} = \"superevent\""),
        Form::Count => format!("{word} = 3"),
        Form::Duration => format!("{word} = \"90s\""),
        Form::Order => format!("{word} = \"/object/superevent_id\""),
        Form::Priority => format!("{word} = 5"),
        Form::Name => format!("{word} = \"handle_burst\""),
        Form::Zone => format!("{word} = \"Europe/Rome\""),
        Form::CatchUp => format!("{word} = \"none\""),
        Form::Words(_) => format!("{word}(test)"),
    }
}

fn text(option: &Known, value: &Lit) -> Result<String, Mistake> {
    match (option.form, value) {
        (Form::Queue, Lit::Str(text)) => word(&text.value(), "a queue's name"),
        (Form::Name, Lit::Str(text)) => word(&text.value(), "a name"),
        (Form::Duration, Lit::Str(text)) => duration::check(&text.value()),
        (Form::Order, Lit::Str(text)) => order::check(&text.value()),
        (Form::Zone, Lit::Str(text)) => zone(&text.value()),
        (Form::CatchUp, Lit::Str(text)) => catch_up(&text.value()),
        (Form::Count, Lit::Int(number)) => match number.base10_parse::<u16>() {
            Ok(count) => Ok(count.to_string()),
            Err(_) => Err(Mistake::new(format!(
                "`{}` is a number from 0 to 65535",
                option.word
            ))),
        },
        (Form::Priority, Lit::Int(number)) => match number.base10_parse::<u8>() {
            Ok(priority @ 0..=9) => Ok(priority.to_string()),
            _ => Err(Mistake::new(
                "a priority is a number from 0 (served first) to 9",
            )),
        },
        _ => Err(Mistake::new(format!("write `{}`", example(option)))),
    }
}

/// Which zones there are, the host knows: it has the IANA database.
fn zone(text: &str) -> Result<String, Mistake> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    match !text.is_empty() && text.len() <= 64 && text.chars().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err(Mistake::new(
            "a time zone has a name of the IANA database, e.g. `Europe/Rome`, or is `UTC`",
        )),
    }
}

fn catch_up(text: &str) -> Result<String, Mistake> {
    let most = text
        .strip_prefix("all(")
        .and_then(|rest| rest.strip_suffix(')'));
    let counts = most.is_some_and(|most| matches!(most.parse(), Ok(1..=1000_u16)));
    match counts || matches!(text, "one" | "none") {
        true => Ok(text.to_owned()),
        false => Err(Mistake::new(
            "`catch_up` is \"one\": the last of the runs that were missed is made up for, \"none\", \
             or \"all(10)\" with a number up to 1000",
        )),
    }
}

/// A dot parts a plugin's name from a function's, so neither holds one.
fn word(text: &str, what: &str) -> Result<String, Mistake> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':');
    let fits = !text.is_empty() && text.len() <= 128 && text.chars().all(allowed);
    match fits {
        true => Ok(text.to_owned()),
        false => Err(Mistake::new(format!(
            "{what} is made of letters, digits, `_`, `-` and `:`"
        ))),
    }
}
