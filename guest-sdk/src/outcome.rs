//! What a handler may return.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::registry::Output;

/// Becomes a run's outcome: `()`, [`Result<()>`](Result), or [`Result<T>`](Result) where `T` can be
/// written as JSON and is kept as the task's result.
///
/// ```
/// use gwasp_sdk::prelude::*;
///
/// #[handler(SWIFT_BAT_GRB_POS_ACK)]
/// fn count(packet: &Packet) -> Result<usize> {
///     Ok(packet.payload.len())
/// }
/// # fn main() {}
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "return `()`, `Result<()>` or `Result<T>`",
    note = "a `T` in `Result<T>` is kept as the task's result and needs `#[derive(serde::Serialize)]`",
    note = "the error in the result can be `gwasp_sdk::Error` or any `std::error::Error`"
)]
pub trait IntoOutcome {
    /// Converts.
    ///
    /// # Errors
    /// The handler's own error; or a result that cannot be written as JSON.
    fn into_outcome(self) -> Result<Output>;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<Output> {
        Ok(None)
    }
}

impl<T: Serialize, E: Into<Error>> IntoOutcome for std::result::Result<T, E> {
    fn into_outcome(self) -> Result<Output> {
        let value = self.map_err(Into::into)?;
        let json = serde_json::to_vec(&value)
            .map_err(|error| Error::permanent(format!("cannot keep the result: {error}")))?;
        // `Result<()>` is a success without a result.
        Ok((json != b"null").then_some(json))
    }
}
