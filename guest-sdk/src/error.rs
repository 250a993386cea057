//! One error for everything that can go wrong in a handler, made by `?` from any other.
//!
//! It keeps the whole chain of causes and knows what the host does next: try again, try again
//! after a while, or set the task aside at once. The text never decides that; the kind does.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

mod classify;

/// The result of a handler, and of most functions of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the host does with a failed run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailureKind {
    /// Tries again, as often as the handler's `retries` says.
    #[default]
    Error,
    /// Sets the task aside: the payload does not parse, and its bytes will not change.
    Parse,
    /// Sets the task aside: another attempt would fail in the same way.
    Permanent,
    /// Sets the task aside: nobody knows whether an external effect happened, so a person decides.
    InDoubt,
}

/// Why a handler failed.
///
/// `?` makes one from any [`std::error::Error`] and takes over what it knows: an HTTP 404 is
/// permanent, a payload that does not parse is not tried again.
///
/// ```
/// use gwasp_sdk::{Error, FailureKind, Result};
///
/// fn right_ascension(text: &str) -> Result<f64> {
///     Ok(text.trim().parse::<f64>()?)
/// }
///
/// let error = right_ascension("12h").unwrap_err();
/// assert_eq!(error.kind(), FailureKind::Error);
/// assert_eq!(error.to_string(), "invalid float literal");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: FailureKind,
    retry_after: Option<Duration>,
    /// Innermost first.
    messages: Vec<String>,
    source: Option<Box<dyn StdError + 'static>>,
}

impl Error {
    /// Makes an error that another attempt may not meet.
    ///
    /// ```
    /// assert_eq!(gwasp_sdk::Error::new("no sky map yet").to_string(), "no sky map yet");
    /// ```
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(FailureKind::Error, message)
    }

    /// Makes an error that every attempt would meet: the task is set aside at once.
    ///
    /// ```
    /// use gwasp_sdk::{Error, FailureKind};
    ///
    /// assert_eq!(Error::permanent("event was withdrawn").kind(), FailureKind::Permanent);
    /// ```
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::of(FailureKind::Permanent, message)
    }

    /// Makes an error about a payload that does not parse: the task is set aside at once.
    ///
    /// ```
    /// use gwasp_sdk::{Error, FailureKind};
    ///
    /// assert_eq!(Error::parse("no `far` at byte 17").kind(), FailureKind::Parse);
    /// ```
    pub fn parse(message: impl Into<String>) -> Self {
        Self::of(FailureKind::Parse, message)
    }

    /// Makes an error that asks to be tried again after `delay`, instead of the usual backoff.
    ///
    /// ```
    /// use std::time::Duration;
    /// use gwasp_sdk::{Context, Error, Result};
    ///
    /// fn psd_ready(ready: bool) -> Result<()> {
    ///     if !ready {
    ///         return Err(Error::retry_after(Duration::from_secs(30)).context("no PSD yet"));
    ///     }
    ///     Ok(())
    /// }
    /// assert_eq!(psd_ready(false).unwrap_err().to_string(), "no PSD yet");
    /// ```
    #[must_use]
    pub fn retry_after(delay: Duration) -> Self {
        Self::new(format!("asks to be tried again after {delay:?}")).with_retry_after(delay)
    }

    /// Puts a message in front, for the reader who wants to know what was tried.
    ///
    /// ```
    /// let error = gwasp_sdk::Error::new("connection refused").context("cannot fetch the PSD");
    /// assert_eq!(error.to_string(), "cannot fetch the PSD");
    /// assert_eq!(format!("{error:#}"), "cannot fetch the PSD: connection refused");
    /// ```
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        self.0.messages.push(message.into());
        self
    }

    /// Changes what the host does with it.
    ///
    /// ```
    /// use gwasp_sdk::{Error, FailureKind};
    ///
    /// // This service says 404 until the file is there.
    /// let error = Error::permanent("404").with_kind(FailureKind::Error);
    /// assert_eq!(error.kind(), FailureKind::Error);
    /// ```
    #[must_use]
    pub fn with_kind(mut self, kind: FailureKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Asks to be tried again after `delay`, instead of the usual backoff.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let error = gwasp_sdk::Error::new("busy").with_retry_after(Duration::from_secs(5));
    /// assert_eq!(error.delay(), Some(Duration::from_secs(5)));
    /// ```
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Returns what the host does with it.
    ///
    /// ```
    /// assert_eq!(gwasp_sdk::Error::new("busy").kind(), gwasp_sdk::FailureKind::Error);
    /// ```
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.0.kind
    }

    /// Returns the delay it asks for, if it asks for one.
    ///
    /// ```
    /// assert_eq!(gwasp_sdk::Error::new("busy").delay(), None);
    /// ```
    #[must_use]
    pub fn delay(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the messages of the chain, the outermost first.
    ///
    /// ```
    /// let error = gwasp_sdk::Error::new("refused").context("cannot upload");
    /// assert_eq!(error.chain(), ["cannot upload", "refused"]);
    /// ```
    #[must_use]
    pub fn chain(&self) -> Vec<String> {
        let mut chain: Vec<String> = self.0.messages.iter().rev().cloned().collect();
        let mut next = self.source();
        while let Some(error) = next {
            chain.push(error.to_string());
            next = error.source();
        }
        chain
    }

    /// Returns the error that `?` took in, to ask for its type.
    ///
    /// ```
    /// let error = gwasp_sdk::Error::from("x".parse::<u8>().unwrap_err());
    /// assert!(error.source().is_some_and(|source| source.is::<std::num::ParseIntError>()));
    /// ```
    #[must_use]
    pub fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref()
    }

    fn of(kind: FailureKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            retry_after: None,
            messages: vec![message.into()],
            source: None,
        }))
    }

    /// Not generic, so that it is compiled once and not for every kind of error.
    fn from_boxed(source: Box<dyn StdError + 'static>) -> Self {
        let (kind, retry_after) = classify::classify(source.as_ref());
        Self(Box::new(Inner {
            kind,
            retry_after,
            messages: Vec::new(),
            source: Some(source),
        }))
    }
}

impl<E: StdError + 'static> From<E> for Error {
    fn from(source: E) -> Self {
        Self::from_boxed(Box::new(source))
    }
}

impl fmt::Display for Error {
    /// Writes the outermost message; with `{:#}` the whole chain in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = self.chain();
        let shown = if f.alternate() { chain.len() } else { 1 };
        f.write_str(&chain[..shown.min(chain.len())].join(": "))
    }
}

impl fmt::Debug for Error {
    /// Writes the chain, a line each: what a failed unit test shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?}: {}",
            self.kind(),
            self.chain().join("\ncaused by: ")
        )
    }
}

/// Puts a message in front of an error, or in the place of nothing.
///
/// ```
/// use gwasp_sdk::{Context, Result};
///
/// fn trigger(text: Option<&str>) -> Result<u32> {
///     let text = text.context("notice has no TrigID")?;
///     text.parse().with_context(|| format!("TrigID `{text}` is no number"))
/// }
///
/// assert_eq!(trigger(None).unwrap_err().to_string(), "notice has no TrigID");
/// let error = trigger(Some("bn17")).unwrap_err();
/// assert_eq!(format!("{error:#}"), "TrigID `bn17` is no number: invalid digit found in string");
/// ```
pub trait Context<T> {
    /// Adds a fixed message.
    ///
    /// # Errors
    /// The error that was there, with the message in front; for `None` the message alone.
    fn context(self, message: impl Into<String>) -> Result<T>;

    /// Adds a message that is made only if there is an error.
    ///
    /// # Errors
    /// The error that was there, with the message in front; for `None` the message alone.
    fn with_context<M: Into<String>>(self, message: impl FnOnce() -> M) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, message: impl Into<String>) -> Result<T> {
        self.map_err(|error| error.into().context(message))
    }

    fn with_context<M: Into<String>>(self, message: impl FnOnce() -> M) -> Result<T> {
        self.map_err(|error| error.into().context(message()))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, message: impl Into<String>) -> Result<T> {
        self.ok_or_else(|| Error::new(message))
    }

    fn with_context<M: Into<String>>(self, message: impl FnOnce() -> M) -> Result<T> {
        self.ok_or_else(|| Error::new(message()))
    }
}

/// Returns from the function with an error made of a format string.
///
/// ```
/// use gwasp_sdk::{Result, bail};
///
/// fn check_radius(degrees: f64) -> Result<()> {
///     if degrees > 90.0 {
///         bail!("a radius of {degrees} degrees is no position");
///     }
///     Ok(())
/// }
/// assert_eq!(
///     check_radius(120.0).unwrap_err().to_string(),
///     "a radius of 120 degrees is no position"
/// );
/// ```
#[macro_export]
macro_rules! bail {
    ($($message:tt)+) => {
        return ::core::result::Result::Err($crate::Error::new(::std::format!($($message)+)).into())
    };
}

#[cfg(test)]
mod tests;
