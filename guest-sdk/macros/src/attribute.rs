//! The attribute's text: keys, schedule and options.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream};
use syn::{Lit, LitInt, LitStr, Token};

use crate::errors::Errors;
use crate::key::Key;
use crate::option;
use crate::{cron, key};

/// Which attribute it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Handler,
    Task,
    Periodic,
}

impl Kind {
    /// The attribute's name.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Task => "task",
            Self::Periodic => "periodic",
        }
    }
}

/// A checked attribute.
#[derive(Default)]
pub(crate) struct Attribute {
    /// What a handler asks for.
    pub(crate) keys: Vec<Key>,
    /// In the order in which they are written.
    pub(crate) options: Vec<(String, String)>,
    /// `name = "…"`
    pub(crate) name: Option<String>,
}

/// One of the parts between commas.
enum Part {
    /// `FERMI_GBM_GND_POS`
    Bare(Ident),
    /// `"cbc_gstlal"`
    Text(LitStr),
    /// `999`
    Number(LitInt),
    /// `retries = 3`
    Set(Ident, Lit),
    /// `accept(test, old)`
    Call(Ident, Vec<Ident>),
}

/// Reads and checks; what is wrong is left out of the result and told in `errors`.
pub(crate) fn read(kind: Kind, arguments: TokenStream, errors: &mut Errors) -> Attribute {
    let mut attribute = Attribute::default();
    let before = errors.is_empty();
    for tokens in split_at_commas(arguments) {
        match syn::parse2(tokens) {
            Ok(part) => add(kind, part, &mut attribute, errors),
            Err(error) => errors.push(error),
        }
    }
    if before && errors.is_empty() {
        check_complete(kind, &attribute, errors);
    }
    attribute
}

/// One mistake must not hide those after the next comma, so each part is parsed on its own.
fn split_at_commas(tokens: TokenStream) -> Vec<TokenStream> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let parts = tokens.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ','));
    parts
        .filter(|part| !part.is_empty())
        .map(|part| part.iter().cloned().collect())
        .collect()
}

impl Parse for Part {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let part = Self::parse_begin(input)?;
        match input.is_empty() {
            true => Ok(part),
            false => Err(input.error("expected a comma here")),
        }
    }
}

impl Part {
    fn parse_begin(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(LitStr) {
            return input.parse().map(Self::Text);
        }
        if input.peek(LitInt) {
            return input.parse().map(Self::Number);
        }
        let Ok(name) = input.parse::<Ident>() else {
            return Err(input.error(
                "expected a notice type such as `FERMI_GBM_GND_POS`, a node such as \
                 \"cbc_gstlal\", or an option such as `retries = 3`",
            ));
        };
        if input.peek(Token![=]) {
            let sign: Token![=] = input.parse()?;
            return Self::parse_value(input, name, sign.span);
        }
        if input.peek(syn::token::Paren) {
            return Self::parse_words(input, name);
        }
        Ok(Self::Bare(name))
    }

    fn parse_value(input: ParseStream<'_>, name: Ident, sign: Span) -> syn::Result<Self> {
        if input.is_empty() {
            return Err(syn::Error::new(
                sign,
                format!("`{name} =` needs a value after it"),
            ));
        }
        match input.parse() {
            Ok(value) => Ok(Self::Set(name, value)),
            Err(error) => Err(syn::Error::new(
                error.span(),
                format!("the value of `{name}` must be written out, as a string or a number"),
            )),
        }
    }

    fn parse_words(input: ParseStream<'_>, name: Ident) -> syn::Result<Self> {
        let Ok(TokenTree::Group(group)) = input.parse::<TokenTree>() else {
            return Err(input.error("expected words in parentheses"));
        };
        debug_assert_eq!(group.delimiter(), Delimiter::Parenthesis);
        let parser = |words: ParseStream<'_>| {
            words.parse_terminated(|word| word.parse::<Ident>(), Token![,])
        };
        let words = syn::parse::Parser::parse2(parser, group.stream())?;
        if words.is_empty() {
            return Err(syn::Error::new(
                group.span(),
                format!("`{name}` needs a word in its parentheses"),
            ));
        }
        Ok(Self::Call(name, words.into_iter().collect()))
    }
}

fn add(kind: Kind, part: Part, attribute: &mut Attribute, errors: &mut Errors) {
    match part {
        Part::Bare(name) => add_bare(kind, &name, attribute, errors),
        Part::Text(text) => add_text(kind, &text, attribute, errors),
        Part::Number(number) => match (kind, key::number(&number)) {
            (Kind::Handler, Ok(key)) => attribute.keys.push(key),
            (Kind::Handler, Err(message)) => errors.at(number, message),
            _ => errors.at(number, no_keys(kind)),
        },
        Part::Set(name, value) => option::set(kind, &name, &value, attribute, errors),
        Part::Call(name, words) => option::call(kind, &name, &words, attribute, errors),
    }
}

fn add_bare(kind: Kind, name: &Ident, attribute: &mut Attribute, errors: &mut Errors) {
    let word = name.to_string();
    if kind != Kind::Handler || option::is_option(&word) {
        let message = option::lacks_value(kind, &word);
        return errors.at(name, message.unwrap_or_else(|| no_keys(kind)));
    }
    match key::notice(name) {
        Ok(key) => attribute.keys.push(key),
        Err(message) => errors.at(name, message),
    }
}

fn add_text(kind: Kind, text: &LitStr, attribute: &mut Attribute, errors: &mut Errors) {
    match kind {
        Kind::Handler => match key::node(text) {
            Ok(key) => attribute.keys.push(key),
            Err(message) => errors.at(text, message),
        },
        Kind::Periodic => match cron::check(&text.value()) {
            Ok(()) => option::put(attribute, text.span(), ("cron", text.value()), errors),
            Err(message) => errors.at(text, message),
        },
        Kind::Task => errors.at(text, no_keys(kind)),
    }
}

fn no_keys(kind: Kind) -> String {
    let runs = match kind {
        Kind::Handler => "for packets",
        Kind::Task => {
            "when it is called, not for packets: a function for packets is a `#[handler]`"
        }
        Kind::Periodic => {
            "by a schedule such as \"*/5 * * * *\", not for packets: a function for packets is a \
             `#[handler]`"
        }
    };
    format!("a `#[{}]` runs {runs}", kind.word())
}

fn check_complete(kind: Kind, attribute: &Attribute, errors: &mut Errors) {
    let has = |name: &str| attribute.options.iter().any(|(key, _)| key == name);
    let here = Span::call_site();
    match kind {
        Kind::Handler if attribute.keys.is_empty() => errors.at_span(
            here,
            "a handler says what it handles: notice types as in \
             `#[handler(FERMI_GBM_GND_POS)]`, or nodes as in `#[handler(\"cbc_gstlal\")]`",
        ),
        Kind::Handler if has("accept") && has("only") => errors.at_span(
            here,
            "`accept(…)` adds to the usual roles, `only(…)` replaces them: write one of the two",
        ),
        Kind::Periodic if has("cron") == has("every") => errors.at_span(
            here,
            "a periodic function has one schedule: `#[periodic(\"*/5 * * * *\")]` or \
             `#[periodic(every = \"1h\")]`",
        ),
        _ => {}
    }
}
