//! Services of the outside world that the host talks to for plugins.
//!
//! Here are connections, secrets, time limits and resolvers; nothing of tasks, journals or
//! guests.

mod http;
mod secret;

pub use http::{HttpError, HttpMethod, HttpRequest, HttpResponse, HttpServices, Resolved, Service};
pub use secret::{SecretError, check_secret};
