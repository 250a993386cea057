//! Lines for the host's log, at five levels, with the syntax of `format!`.
//!
//! Each line carries plugin, handler, task and packet already: the message needs none of them.
//! A line is written once; a run that is taken up again does not repeat it.
//!
//! ```
//! use gwasp_sdk::{info, warn, testing};
//!
//! info!("position ra {:.2} dec {:.2}", 123.4567, -30.1);
//! warn!("no radius");
//! assert_eq!(testing::log_lines(), ["info: position ra 123.46 dec -30.10", "warn: no radius"]);
//! ```

use std::fmt;

use crate::boundary;

#[doc(inline)]
pub use crate::{debug, error, info, trace, warn};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For finding a fault.
    Trace,
    /// Each step.
    Debug,
    /// What happened.
    Info,
    /// Went on, but not as meant.
    Warn,
    /// Something is lost, or a person is needed.
    Error,
}

impl Level {
    /// Returns the word in lower case.
    ///
    /// ```
    /// assert_eq!(gwasp_sdk::log::Level::Warn.as_str(), "warn");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Writes one line; the macros are shorter.
///
/// ```
/// use gwasp_sdk::log::{Level, write};
///
/// let level = if 120.0 > 90.0 { Level::Warn } else { Level::Info };
/// write(level, format_args!("radius {} degrees", 120.0));
/// assert_eq!(gwasp_sdk::testing::log_lines(), ["warn: radius 120 degrees"]);
/// ```
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    match message.as_str() {
        Some(text) => boundary::log(level, text),
        None => boundary::log(level, &message.to_string()),
    }
}

/// Writes a line at level trace.
///
/// ```
/// gwasp_sdk::trace!("pixel {} of {}", 3, 12);
/// ```
#[macro_export]
macro_rules! trace {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Trace, ::core::format_args!($($message)+))
    };
}

/// Writes a line at level debug.
///
/// ```
/// gwasp_sdk::debug!("read {} bytes", 12);
/// ```
#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Debug, ::core::format_args!($($message)+))
    };
}

/// Writes a line at level info.
///
/// ```
/// gwasp_sdk::info!("position ra {:.2}", 12.5);
/// ```
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Info, ::core::format_args!($($message)+))
    };
}

/// Writes a line at level warn.
///
/// ```
/// gwasp_sdk::warn!("no radius in {}", "the notice");
/// ```
#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Warn, ::core::format_args!($($message)+))
    };
}

/// Writes a line at level error.
///
/// ```
/// gwasp_sdk::error!("the map has {} pixels and no area", 0);
/// ```
#[macro_export]
macro_rules! error {
    ($($message:tt)+) => {
        $crate::log::write($crate::log::Level::Error, ::core::format_args!($($message)+))
    };
}
