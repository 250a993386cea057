//! The code beside the function: a registration, and for tasks a way to make one.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{FnArg, ItemFn, Lifetime, Pat, ReturnType, Type, TypeReference};

use crate::attribute::{self, Attribute, Kind};
use crate::errors::Errors;
use crate::signature::{self, Signature};

/// Expands an attribute; on a mistake the function stays, so that its users compile.
pub(crate) fn expand(kind: Kind, arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let attribute = attribute::read(kind, arguments, &mut errors);
    let Ok(function) = syn::parse2::<ItemFn>(item.clone()) else {
        let word = kind.word();
        errors.at_span(
            Span::call_site(),
            format!("`#[{word}]` stands in front of a function with a body"),
        );
        let errors = errors.into_tokens();
        return quote!(#errors #item);
    };
    let signature = signature::read(kind, &function, &mut errors);
    if !errors.is_empty() {
        let errors = errors.into_tokens();
        return quote!(#errors #function);
    }
    let warnings = attribute.keys.iter().filter_map(|key| key.warning());
    let run = run(kind, &function, &signature);
    let registration = registration(kind, &attribute, &function.sig.ident);
    let companion = (kind == Kind::Task).then(|| companion(&attribute, &function));
    let conditions = conditions(&function);
    quote! {
        #function
        #companion
        #(#warnings)*
        #conditions
        const _: () = {
            #run
            #registration
        };
    }
}

/// The function's `#[cfg(…)]`s: where it is left out, what stands beside it is too.
fn conditions(function: &ItemFn) -> TokenStream {
    let attributes = function.attrs.iter();
    let conditions = attributes.filter(|attribute| attribute.path().is_ident("cfg"));
    quote!(#(#conditions)*)
}

fn registration(kind: Kind, attribute: &Attribute, function: &Ident) -> TokenStream {
    let kind = match kind {
        Kind::Handler => quote!(Handler),
        Kind::Task => quote!(Task),
        Kind::Periodic => quote!(Periodic),
    };
    let function = function.to_string();
    let name = match &attribute.name {
        Some(name) => quote!(::core::option::Option::Some(#name)),
        None => quote!(::core::option::Option::None),
    };
    let keys = attribute.keys.iter().map(|key| key.expression());
    let options = attribute
        .options
        .iter()
        .map(|(name, value)| quote!((#name, #value)));
    quote! {
        ::gwasp_sdk::__private::submit! {
            ::gwasp_sdk::__private::Registration {
                kind: ::gwasp_sdk::__private::Kind::#kind,
                module: ::core::module_path!(),
                function: #function,
                name: #name,
                keys: &[#(#keys),*],
                options: &[#(#options),*],
                run: run,
            }
        }
    }
}

/// The function that the host's call ends in: arguments out of the input, result into the outcome.
fn run(kind: Kind, function: &ItemFn, signature: &Signature) -> TokenStream {
    let (prepare, arguments) = match kind {
        Kind::Handler => from_packet(signature),
        Kind::Task => from_json(signature),
        Kind::Periodic => from_tick(signature),
    };
    let name = &function.sig.ident;
    // A wrong type of the result is reported at that type. The type may come from a macro, whose
    // names are its own: so both places have the same.
    let returned = match &function.sig.output {
        ReturnType::Default => name.span(),
        ReturnType::Type(_, returned) => returned.span(),
    };
    let called = quote_spanned!(returned=> returned);
    quote! {
        fn run(
            input: ::gwasp_sdk::__private::Input,
        ) -> ::gwasp_sdk::Result<::gwasp_sdk::__private::Output> {
            #prepare
            let #called = #name(#(#arguments),*);
            ::gwasp_sdk::__private::outcome(#called)
        }
    }
}

fn from_packet(signature: &Signature) -> (TokenStream, Vec<TokenStream>) {
    let names = names(signature);
    let reads = signature
        .arguments
        .iter()
        .zip(&names)
        .map(|(argument, name)| {
            // A wrong type of an argument is reported at that type.
            let (read, want) = match argument {
                Type::Reference(reference) => {
                    let borrowed = &reference.elem;
                    let read = quote_spanned!(borrowed.span()=> read);
                    (read, quote!(&&&&WantRef::<#borrowed>::new()))
                }
                owned => {
                    let read = quote_spanned!(owned.span()=> read);
                    (read, quote!(&&&Want::<#owned>::new()))
                }
            };
            quote!(let #name = (#want).#read(&packet)?;)
        });
    let prepare = quote! {
        #[allow(unused_imports)]
        use ::gwasp_sdk::__private::{
            ByJson as _, ByNothing as _, ByNothingRef as _, ByPacket as _, ByReference as _, Want,
            WantRef,
        };
        let packet = ::gwasp_sdk::__private::packet(input)?;
        #(#reads)*
    };
    (prepare, passed(signature, &names))
}

fn from_json(signature: &Signature) -> (TokenStream, Vec<TokenStream>) {
    let names = names(signature);
    let types: Vec<TokenStream> = signature.arguments.iter().map(owned).collect();
    // One argument is JSON by itself, several are an array.
    let (pattern, wanted) = match (names.as_slice(), types.as_slice()) {
        ([name], [one]) => (quote!(#name), quote!(#one)),
        _ => (quote!((#(#names),*)), quote!((#(#types),*))),
    };
    let prepare = quote! {
        let json = ::gwasp_sdk::__private::called(input)?;
        let #pattern = ::gwasp_sdk::__private::arguments::<#wanted>(&json)?;
    };
    (prepare, passed(signature, &names))
}

fn names(signature: &Signature) -> Vec<Ident> {
    let indices = 0..signature.arguments.len();
    indices
        .map(|index| format_ident!("argument_{index}"))
        .collect()
}

/// What is read of JSON for an argument that may be a reference: JSON's text cannot be lent, its
/// escapes are resolved in a copy.
fn owned(argument: &Type) -> TokenStream {
    let Type::Reference(reference) = argument else {
        return quote!(#argument);
    };
    match &*reference.elem {
        Type::Slice(slice) => {
            let element = &slice.elem;
            quote_spanned!(slice.span()=> ::std::vec::Vec<#element>)
        }
        Type::Path(path) if path.path.is_ident("str") => {
            quote_spanned!(path.span()=> ::std::string::String)
        }
        other => quote!(#other),
    }
}

fn passed(signature: &Signature, names: &[Ident]) -> Vec<TokenStream> {
    let pairs = signature.arguments.iter().zip(names);
    pairs
        .map(|(argument, name)| match argument {
            Type::Reference(_) => quote!(&#name),
            _ => quote!(#name),
        })
        .collect()
}

fn from_tick(signature: &Signature) -> (TokenStream, Vec<TokenStream>) {
    let prepare = quote!(let due = ::gwasp_sdk::__private::tick(input)?;);
    match signature.arguments.first() {
        Some(argument) => {
            let due = quote_spanned!(argument.span()=> due);
            (prepare, vec![due])
        }
        None => (quote!(#prepare let _ = due;), Vec::new()),
    }
}

/// `f::call(…)` and `f::spawn(…)` beside the task `f`: an empty type of the same name, which a
/// `use` of the function brings along.
fn companion(attribute: &Attribute, function: &ItemFn) -> TokenStream {
    let (name, visibility) = (&function.sig.ident, &function.vis);
    let text = name.to_string();
    let own_name = match &attribute.name {
        Some(name) => quote!(#name),
        None => quote! {
            &::gwasp_sdk::__private::own_name(::core::module_path!(), #text)
        },
    };
    let parameters: Vec<TokenStream> = parameters(function);
    let names: Vec<Ident> = (0..parameters.len())
        .map(|n| parameter_name(function, n))
        .collect();
    // A type that cannot be written as JSON is reported at that type.
    let borrowed = names
        .iter()
        .zip(argument_types(function))
        .map(|(name, argument)| {
            let name = Ident::new(&name.to_string(), name.span().located_at(argument.span()));
            quote_spanned!(argument.span()=> &#name)
        });
    let payload = match names.len() {
        1 => quote!(#(#borrowed)*),
        _ => quote!(&(#(#borrowed),*)),
    };
    let generics = &function.sig.generics;
    let about = format!("Makes tasks of [`fn@{name}`].");
    let about_spawn =
        format!("Makes a task of [`fn@{name}`] with this run's outcome; returns its id.");
    let conditions = conditions(function);
    let waiting = waiting(function, &own_name, (&parameters, &names));
    quote! {
        #conditions
        #[doc = #about]
        #[allow(non_camel_case_types)]
        #[derive(Debug)]
        #visibility enum #name {}

        #conditions
        impl #name {
            #waiting

            #[doc = #about_spawn]
            #[allow(dead_code)]
            #visibility fn spawn #generics(
                #(#parameters),*
            ) -> ::gwasp_sdk::Result<::std::string::String> {
                ::gwasp_sdk::__private::spawn(#own_name, &Self::__arguments(#(#names),*)?)
            }

            #[allow(dead_code)]
            fn __arguments #generics(
                #(#parameters),*
            ) -> ::core::result::Result<
                ::std::vec::Vec<u8>,
                ::gwasp_sdk::tasks::TaskError,
            > {
                ::gwasp_sdk::__private::written(#payload)
            }
        }
    }
}

/// `f::call(…)` and `f::prepare(…)`, whose result the caller sees.
fn waiting(
    function: &ItemFn,
    own_name: &TokenStream,
    (parameters, names): (&[TokenStream], &[Ident]),
) -> TokenStream {
    let (name, visibility) = (&function.sig.ident, &function.vis);
    let lifetimes: Vec<_> = function.sig.generics.lifetimes().collect();
    let answered = answered(function);
    let about_call = format!("Runs [`fn@{name}`] as a task and waits for its result.");
    let about_prepare = format!("Prepares a call of [`fn@{name}`], to be made beside others.");
    quote! {
        #[doc = #about_call]
        #[allow(dead_code)]
        #visibility fn call<#(#lifetimes,)* Nothing>(
            #(#parameters),*
        ) -> ::gwasp_sdk::Result<
            <#answered as ::gwasp_sdk::__private::Answered<Nothing>>::Answer,
        >
        where
            #answered: ::gwasp_sdk::__private::Answered<Nothing>,
        {
            ::gwasp_sdk::__private::call(#own_name, &Self::__arguments(#(#names),*)?)
        }

        #[doc = #about_prepare]
        #[allow(dead_code)]
        #visibility fn prepare<#(#lifetimes,)* Nothing>(
            #(#parameters),*
        ) -> ::gwasp_sdk::tasks::Call<
            <#answered as ::gwasp_sdk::__private::Answered<Nothing>>::Answer,
        >
        where
            #answered: ::gwasp_sdk::__private::Answered<Nothing>,
        {
            ::gwasp_sdk::__private::prepare(#own_name, Self::__arguments(#(#names),*))
        }
    }
}

/// The type that the function returns, as something that outlives a run: what it borrows there,
/// its caller has to own.
fn answered(function: &ItemFn) -> Type {
    let ReturnType::Type(_, returned) = &function.sig.output else {
        return syn::parse_quote!(());
    };
    let mut returned = (**returned).clone();
    Owned.visit_type_mut(&mut returned);
    returned
}

/// Turns every lifetime into `'static`.
struct Owned;

impl VisitMut for Owned {
    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        *lifetime = Lifetime::new("'static", lifetime.span());
    }

    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        let span = reference.and_token.span();
        reference.lifetime = Some(Lifetime::new("'static", span));
        visit_mut::visit_type_reference_mut(self, reference);
    }
}

fn argument_types(function: &ItemFn) -> impl Iterator<Item = &Type> {
    function
        .sig
        .inputs
        .iter()
        .filter_map(|argument| match argument {
            FnArg::Typed(typed) => Some(&*typed.ty),
            FnArg::Receiver(_) => None,
        })
}

fn parameters(function: &ItemFn) -> Vec<TokenStream> {
    let types = argument_types(function).enumerate();
    types
        .map(|(index, argument)| {
            let name = parameter_name(function, index);
            quote!(#name: #argument)
        })
        .collect()
}

/// The author's own name for the argument, where it is a plain one.
fn parameter_name(function: &ItemFn, index: usize) -> Ident {
    match function.sig.inputs.iter().nth(index) {
        Some(FnArg::Typed(typed)) => match &*typed.pat {
            Pat::Ident(pattern) => pattern.ident.clone(),
            _ => format_ident!("argument_{index}"),
        },
        _ => format_ident!("argument_{index}"),
    }
}
