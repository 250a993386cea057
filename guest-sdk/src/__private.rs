//! What the attributes expand to. No part of the public interface: it changes without notice.

use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use inventory::submit;

pub use crate::registry::{Input, Key, Kind, Output, Registration};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::outcome::IntoOutcome;
use crate::packet::{FromPacket, Packet, json};
use crate::tasks::{self, Call, Options, TaskError};
use crate::{boundary, registry};

/// Asks for a handler's argument of type `T`.
///
/// `(&&&Want::<T>::new()).read(packet)` takes the first of three ways that `T` allows: by
/// [`FromPacket`], by `Deserialize`, by neither, which is the error with a helpful text. Method
/// resolution tries fewer dereferences first, hence the references in the `impl`s.
#[derive(Debug)]
pub struct Want<T>(PhantomData<fn() -> T>);

impl<T> Want<T> {
    #[expect(clippy::new_without_default, reason = "only the macros make one")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// Asks for a handler's argument of type `&T`.
///
/// As [`Want`], but before that for a reference into the packet. The result dereferences to `T`.
#[derive(Debug)]
pub struct WantRef<T: ?Sized>(PhantomData<fn() -> Box<T>>);

impl<T: ?Sized> WantRef<T> {
    #[expect(clippy::new_without_default, reason = "only the macros make one")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// A value made of a packet for a handler that only borrows it.
#[derive(Debug)]
pub struct Held<T>(T);

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

pub trait ByReference<'a, T: ?Sized + 'a> {
    fn read(&self, packet: &'a Packet) -> Result<&'a T>;
}

impl<'a, T: ?Sized + 'a> ByReference<'a, T> for &&&WantRef<T>
where
    &'a T: FromPacket<'a>,
{
    fn read(&self, packet: &'a Packet) -> Result<&'a T> {
        <&'a T>::from_packet(packet)
    }
}

pub trait ByPacket<'a, T> {
    fn read(&self, packet: &'a Packet) -> Result<T>;
}

impl<'a, T: FromPacket<'a>> ByPacket<'a, T> for &&Want<T> {
    fn read(&self, packet: &'a Packet) -> Result<T> {
        T::from_packet(packet)
    }
}

impl<'a, T: FromPacket<'a>> ByPacket<'a, Held<T>> for &&WantRef<T> {
    fn read(&self, packet: &'a Packet) -> Result<Held<T>> {
        T::from_packet(packet).map(Held)
    }
}

pub trait ByJson<'a, T> {
    fn read(&self, packet: &'a Packet) -> Result<T>;
}

impl<'a, T: Deserialize<'a>> ByJson<'a, T> for &Want<T> {
    fn read(&self, packet: &'a Packet) -> Result<T> {
        packet.json()
    }
}

impl<'a, T: Deserialize<'a>> ByJson<'a, Held<T>> for &WantRef<T> {
    fn read(&self, packet: &'a Packet) -> Result<Held<T>> {
        packet.json().map(Held)
    }
}

pub trait ByNothing<T> {
    fn read(&self, packet: &Packet) -> Result<T>
    where
        T: Argument;
}

impl<T> ByNothing<T> for Want<T> {
    fn read(&self, _packet: &Packet) -> Result<T>
    where
        T: Argument,
    {
        Err(Error::permanent("no such argument"))
    }
}

pub trait ByNothingRef<T: ?Sized> {
    fn read(&self, packet: &Packet) -> Result<Box<T>>
    where
        T: Argument;
}

impl<T: ?Sized> ByNothingRef<T> for WantRef<T> {
    fn read(&self, _packet: &Packet) -> Result<Box<T>>
    where
        T: Argument,
    {
        Err(Error::permanent("no such argument"))
    }
}

/// Implemented by nothing; its message is what an author sees.
#[diagnostic::on_unimplemented(
    message = "a packet cannot become `{Self}`",
    label = "not an argument for a handler",
    note = "a handler takes `Packet`, `&[u8]`, `&str`, `VoEvent`, `LvAlert` or any type that JSON can become, or a reference to it",
    note = "for JSON add `#[derive(serde::Deserialize)]` to it, for another format implement `gwasp_sdk::FromPacket`"
)]
pub trait Argument {}

/// A task's argument; `Deserialize` with a message that says what to do.
#[diagnostic::on_unimplemented(
    message = "a task cannot take `{Self}`",
    label = "arguments of a task travel as JSON",
    note = "add `#[derive(serde::Deserialize, serde::Serialize)]` to it; large values go as a `Blob`"
)]
pub trait TaskArgument<'a>: Deserialize<'a> {}

impl<'a, T: Deserialize<'a>> TaskArgument<'a> for T {}

pub fn packet(input: Input) -> Result<Packet> {
    match input {
        Input::Packet(packet) => Ok(*packet),
        other => Err(mismatch("a handler", "a packet", &other)),
    }
}

pub fn called(input: Input) -> Result<Vec<u8>> {
    match input {
        Input::Call(arguments) => Ok(arguments),
        other => Err(mismatch("a task", "a call", &other)),
    }
}

pub fn tick(input: Input) -> Result<Timestamp> {
    match input {
        Input::Tick(due) => Ok(due),
        other => Err(mismatch("a periodic function", "a tick", &other)),
    }
}

fn mismatch(function: &str, wanted: &str, got: &Input) -> Error {
    let got = match got {
        Input::Packet(_) => "a packet",
        Input::Call(_) => "a call",
        Input::Tick(_) => "a tick",
    };
    Error::permanent(format!("{function} runs for {wanted}, this is {got}"))
}

/// Reads a task's arguments: one is JSON itself, several are an array, none is `null` or nothing.
pub fn arguments<'a, T: TaskArgument<'a>>(json: &'a [u8]) -> Result<T> {
    let json = if json.is_empty() { b"null" } else { json };
    json::read(json, "argument")
}

/// Writes a task's arguments as [`arguments`] reads them.
pub fn written<T: Serialize + ?Sized>(arguments: &T) -> std::result::Result<Vec<u8>, TaskError> {
    tasks::written(arguments)
}

/// Makes a task of one of the plugin's own functions.
pub fn spawn(name: &str, arguments: &[u8]) -> Result<String> {
    Ok(boundary::spawn(name, arguments, &Options::default())?)
}

/// Calls one of the plugin's own functions.
pub fn call<R: DeserializeOwned>(name: &str, arguments: &[u8]) -> Result<R> {
    Ok(tasks::call_json(name, arguments, &Options::default())?)
}

/// Prepares a call of one of the plugin's own functions.
pub fn prepare<R>(name: &str, arguments: std::result::Result<Vec<u8>, TaskError>) -> Call<R> {
    Call::new(name, arguments)
}

/// What a caller has of a task that returns `Self`.
///
/// The parameter is nothing: it lets the compiler look at the bound where the task is called, not
/// where it is written, so that a result may be one that no caller can read.
#[diagnostic::on_unimplemented(
    message = "a caller cannot read what this task returns",
    label = "results of a task travel as JSON",
    note = "add `#[derive(serde::Deserialize, serde::Serialize)]` to the `T` of its `Result<T>`; large values go as a `Blob`"
)]
pub trait Answered<Nothing> {
    type Answer: DeserializeOwned;
}

impl Answered<()> for () {
    type Answer = ();
}

impl<T: DeserializeOwned, E> Answered<()> for std::result::Result<T, E> {
    type Answer = T;
}

/// The name under which the function of a module is registered.
pub fn own_name(module: &str, function: &str) -> String {
    registry::full_name(module, function)
}

pub fn outcome(returned: impl IntoOutcome) -> Result<Output> {
    returned.into_outcome()
}
