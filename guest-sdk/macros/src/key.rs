//! What a handler asks for: notice types by name or number, nodes and topics by their text.

use gwasp_formats::NoticeType;
use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::{LitInt, LitStr};

use crate::errors::{Mistake, one_of};

/// A checked key.
pub(crate) enum Key {
    /// By name, and what to say if no live feed carries it any more.
    Notice(Ident, Option<&'static str>),
    Number(u16),
    Node(String),
}

impl Key {
    /// An expression of type `Key`.
    pub(crate) fn expression(&self) -> TokenStream {
        match self {
            Self::Notice(name, _) => quote! {
                ::gwasp_sdk::__private::Key::Notice(::gwasp_sdk::notices::#name.number())
            },
            Self::Number(number) => quote!(::gwasp_sdk::__private::Key::Notice(#number)),
            Self::Node(node) => quote!(::gwasp_sdk::__private::Key::Node(#node)),
        }
    }

    /// Stable Rust has no warning from an attribute; the use of a deprecated constant is one.
    pub(crate) fn warning(&self) -> Option<TokenStream> {
        let Self::Notice(name, Some(hint)) = self else {
            return None;
        };
        Some(quote_spanned! {name.span()=>
            const _: () = {
                #[deprecated(note = #hint)]
                const #name: () = ();
                #name
            };
        })
    }
}

/// Looks a notice type up in GCN's table.
pub(crate) fn notice(name: &Ident) -> Result<Key, Mistake> {
    let word = name.to_string();
    if let Some(notice) = NoticeType::from_name(&word) {
        return check_not_a_keepalive(notice)
            .map(|notice| Key::Notice(name.clone(), notice.retired()));
    }
    let advice = match NoticeType::nearest(&word).as_slice() {
        [] => "a notice type that has no name yet is written as its number; a node or topic is \
               written in quotes"
            .to_owned(),
        names => format!("did you mean {}?", one_of(names)),
    };
    Err(Mistake::new(format!(
        "GCN has no notice type `{word}`: {advice}"
    )))
}

/// Takes a notice type by number, known or not.
pub(crate) fn number(number: &LitInt) -> Result<Key, Mistake> {
    let Ok(value) = number.base10_parse::<u16>() else {
        return Err(Mistake::new("a notice type is a number from 0 to 65535"));
    };
    check_not_a_keepalive(NoticeType(value))?;
    Ok(Key::Number(value))
}

fn check_not_a_keepalive(notice: NoticeType) -> Result<NoticeType, Mistake> {
    match notice.is_keepalive() {
        true => Err(Mistake::new(format!(
            "`{notice}` is a sign of life of the transport: the listener answers it, no handler \
             gets it"
        ))),
        false => Ok(notice),
    }
}

/// Shorter beginnings may be those of nodes, too.
const LEAST_BEGINNING: usize = 3;

/// Takes a node or topic, or a prefix of one with a `*` at its end.
pub(crate) fn node(text: &LitStr) -> Result<Key, Mistake> {
    let node = text.value();
    if NoticeType::from_name(&node).is_some() {
        return Err(Mistake::new(format!(
            "a string is a node or topic and never a notice type: write `{node}` without quotes"
        )));
    }
    let exact = node.strip_suffix('*').unwrap_or(&node);
    if exact.len() < node.len()
        && exact.len() >= LEAST_BEGINNING
        && let Some(name) = NoticeType::beginning_with(exact)
    {
        return Err(Mistake::new(format!(
            "a string is a node or topic and never a notice type: name each type without quotes, \
             as `{name}`"
        )));
    }
    if exact.contains('*') {
        return Err(Mistake::new(
            "a `*` may stand at the end of a node only, where it means \"begins with\"",
        ));
    }
    if node.is_empty() || node.contains(char::is_whitespace) {
        return Err(Mistake::new(
            "a node or topic has no spaces and is not empty; all of them are \"*\"",
        ));
    }
    Ok(Key::Node(node))
}
