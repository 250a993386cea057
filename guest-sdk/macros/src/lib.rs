//! The attributes of the GWASP guest SDK. Authors import them from `gwasp_sdk`, where each is
//! documented with examples.
//!
//! An attribute leaves its function as it stands and adds a registration beside it. All that can
//! be known at compile time is checked here, at the span of the mistake, and all mistakes of one
//! attribute are told at once. Whether a queue exists or a name is taken twice, only the host
//! knows.

use proc_macro::TokenStream;

mod attribute;
mod cron;
mod duration;
mod errors;
mod expand;
mod key;
mod option;
mod order;
mod signature;

use attribute::Kind;

#[expect(missing_docs, reason = "documented where it is re-exported")]
#[proc_macro_attribute]
pub fn handler(arguments: TokenStream, function: TokenStream) -> TokenStream {
    expand::expand(Kind::Handler, arguments.into(), &function.into()).into()
}

#[expect(missing_docs, reason = "documented where it is re-exported")]
#[proc_macro_attribute]
pub fn task(arguments: TokenStream, function: TokenStream) -> TokenStream {
    expand::expand(Kind::Task, arguments.into(), &function.into()).into()
}

#[expect(missing_docs, reason = "documented where it is re-exported")]
#[proc_macro_attribute]
pub fn periodic(arguments: TokenStream, function: TokenStream) -> TokenStream {
    expand::expand(Kind::Periodic, arguments.into(), &function.into()).into()
}
