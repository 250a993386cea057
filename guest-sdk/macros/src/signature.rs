//! What a function under an attribute may look like.

use syn::visit_mut::VisitMut;
use syn::{FnArg, GenericParam, ItemFn, ReturnType, Type, TypeImplTrait};

use crate::attribute::Kind;
use crate::errors::Errors;

/// A checked function.
pub(crate) struct Signature {
    /// Types of the arguments, lifetimes left to inference.
    pub(crate) arguments: Vec<Type>,
}

/// Checks the function; what is wrong is told in `errors`.
pub(crate) fn read(kind: Kind, function: &ItemFn, errors: &mut Errors) -> Signature {
    let signature = &function.sig;
    let word = kind.word();
    if let Some(asyncness) = signature.asyncness {
        errors.at(
            asyncness,
            format!("a {word} is an ordinary `fn`: what waits in the host already lets others run"),
        );
    }
    if let Some(unsafety) = signature.unsafety {
        errors.at(
            unsafety,
            format!("the host calls a {word}, so it cannot be `unsafe`"),
        );
    }
    if let Some(variadic) = &signature.variadic {
        errors.at(
            variadic,
            format!("a {word} has a fixed number of arguments"),
        );
    }
    check_generics(word, function, errors);
    if let ReturnType::Type(_, returned) = &signature.output {
        let mut nameless = Nameless(None);
        nameless.visit_type_mut(&mut (**returned).clone());
        if let Some(nameless) = nameless.0 {
            errors.at(nameless, format!("name the type that this {word} returns"));
        }
    }
    let arguments = arguments(word, function, errors);
    check_count(kind, function, errors);
    Signature { arguments }
}

fn check_generics(word: &str, function: &ItemFn, errors: &mut Errors) {
    for parameter in &function.sig.generics.params {
        if !matches!(parameter, GenericParam::Lifetime(_)) {
            errors.at(
                parameter,
                format!("the host cannot choose a type for a {word}: name it in the argument"),
            );
        }
    }
}

fn arguments(word: &str, function: &ItemFn, errors: &mut Errors) -> Vec<Type> {
    let mut types = Vec::new();
    for argument in &function.sig.inputs {
        match argument {
            FnArg::Receiver(receiver) => {
                errors.at(
                    receiver,
                    format!("a {word} is a free function, not a method"),
                );
            }
            FnArg::Typed(typed) if matches!(*typed.ty, Type::ImplTrait(_)) => {
                errors.at(&typed.ty, format!("name the type that this {word} takes"));
            }
            FnArg::Typed(typed) if is_mutable_reference(&typed.ty) => {
                errors.at(
                    &typed.ty,
                    format!("what a {word} takes is its own: take the value and make it `mut`"),
                );
            }
            FnArg::Typed(typed) => {
                let mut argument = (*typed.ty).clone();
                Anonymous.visit_type_mut(&mut argument);
                types.push(argument);
            }
        }
    }
    types
}

fn is_mutable_reference(argument: &Type) -> bool {
    matches!(argument, Type::Reference(reference) if reference.mutability.is_some())
}

fn check_count(kind: Kind, function: &ItemFn, errors: &mut Errors) {
    let inputs = &function.sig.inputs;
    let (most, which) = match kind {
        Kind::Handler => (
            4,
            "a handler takes at most four arguments, each made of the packet",
        ),
        Kind::Task => (
            8,
            "a task takes at most eight arguments: put them into a struct",
        ),
        Kind::Periodic => (
            1,
            "a periodic function takes nothing, or the `Timestamp` at which it was due",
        ),
    };
    if let Some(first_too_many) = inputs.iter().nth(most) {
        errors.at(first_too_many, which);
    }
}

/// Finds the first `impl Trait` in a type.
struct Nameless(Option<TypeImplTrait>);

impl VisitMut for Nameless {
    fn visit_type_impl_trait_mut(&mut self, found: &mut TypeImplTrait) {
        self.0.get_or_insert_with(|| found.clone());
    }
}

/// Replaces named lifetimes by `'_`: the types are written again in another function.
struct Anonymous;

impl VisitMut for Anonymous {
    fn visit_lifetime_mut(&mut self, lifetime: &mut syn::Lifetime) {
        if lifetime.ident != "static" {
            lifetime.ident = syn::Ident::new("_", lifetime.ident.span());
        }
    }
}
