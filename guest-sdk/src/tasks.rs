//! Other tasks: made by this run, run on their own.
//!
//! What a run [spawns](spawn) becomes real with its outcome, in one commit: a run that fails has
//! made nothing, a run that is taken up again makes nothing twice. A [call] waits for the task's
//! end and has its result.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::boundary;
use crate::error::FailureKind;

/// Makes a task of the function `name` and does not wait for it; returns the task's id.
///
/// `name` is `plugin.function`; without a dot it is a function of this plugin. `arguments` travel
/// as JSON: one is written as itself, several as a tuple, none as `&()`. Within a plugin
/// `function::spawn(…)` is the same with types, see [`task`](macro@crate::task).
///
/// # Errors
/// No such function, no permission, too many tasks: see [`TaskError`].
///
/// ```
/// use gwasp_sdk::{tasks, testing};
///
/// tasks::spawn("annotate.plot", &("S190425z", 3))?;
/// assert_eq!(testing::spawned()[0].arguments, br#"["S190425z",3]"#);
/// # Ok::<(), tasks::TaskError>(())
/// ```
pub fn spawn<T: Serialize + ?Sized>(name: &str, arguments: &T) -> Result<String, TaskError> {
    spawn_with(name, arguments, &Options::default())
}

/// Makes a task as [`spawn`] does, with another queue, a delay or a priority.
///
/// # Errors
/// No such function, no permission, too many tasks: see [`TaskError`].
///
/// ```
/// use std::time::Duration;
/// use gwasp_sdk::tasks::{self, Options};
///
/// let later = Options { delay: Some(Duration::from_secs(300)), ..Options::default() };
/// tasks::spawn_with("annotate.plot", "S190425z", &later)?;
/// # assert_eq!(gwasp_sdk::testing::spawned()[0].options.delay, Some(Duration::from_secs(300)));
/// # Ok::<(), tasks::TaskError>(())
/// ```
pub fn spawn_with<T: Serialize + ?Sized>(
    name: &str,
    arguments: &T,
    options: &Options,
) -> Result<String, TaskError> {
    boundary::spawn(name, &written(arguments)?, options)
}

/// Makes a task of the function `name` and waits for its end; returns its result.
///
/// Name and arguments are as for [`spawn`]. Within a plugin `function::call(…)?` is the same with
/// types, see [`task`](macro@crate::task).
///
/// # Errors
/// As [`spawn`]; [`TaskError::Failed`] when the task failed, after its own retries;
/// [`TaskError::Result`] when its result is no `R`. [`TaskError::Unsupported`] in this version of
/// the host, whose handlers cannot wait yet.
///
/// ```
/// use gwasp_sdk::{tasks, testing};
///
/// testing::result_of("annotate.area", "24.5");
/// let area: f64 = tasks::call("annotate.area", &("S190425z", 90))?;
/// assert_eq!(area, 24.5);
/// # Ok::<(), tasks::TaskError>(())
/// ```
pub fn call<R: DeserializeOwned>(
    name: &str,
    arguments: &(impl Serialize + ?Sized),
) -> Result<R, TaskError> {
    call_with(name, arguments, &Options::default())
}

/// Calls a task as [`call`] does, in another queue or with another priority.
///
/// # Errors
/// As [`call`].
///
/// ```
/// use gwasp_sdk::{tasks::{self, Options}, testing};
///
/// testing::result_of("annotate.area", "24.5");
/// let urgent = Options { priority: Some(0), ..Options::default() };
/// let area: f64 = tasks::call_with("annotate.area", "S190425z", &urgent)?;
/// # Ok::<(), tasks::TaskError>(())
/// ```
pub fn call_with<R: DeserializeOwned>(
    name: &str,
    arguments: &(impl Serialize + ?Sized),
    options: &Options,
) -> Result<R, TaskError> {
    call_json(name, &written(arguments)?, options)
}

pub(crate) fn written(arguments: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, TaskError> {
    serde_json::to_vec(arguments).map_err(TaskError::Arguments)
}

pub(crate) fn call_json<R: DeserializeOwned>(
    name: &str,
    arguments: &[u8],
    options: &Options,
) -> Result<R, TaskError> {
    let result = boundary::call(name, arguments, options)?;
    // A function without a result answers nothing, which `()` and `Option` can be read of.
    serde_json::from_slice(result.as_deref().unwrap_or(b"null")).map_err(TaskError::Result)
}

/// What a new task has other than its function says.
///
/// ```
/// use gwasp_sdk::tasks::Options;
///
/// let urgent = Options { priority: Some(0), ..Options::default() };
/// assert_eq!(urgent.queue, None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The queue to run in.
    pub queue: Option<String>,
    /// How long to wait before the first attempt.
    pub delay: Option<Duration>,
    /// 0 (served first) to 9.
    pub priority: Option<u8>,
}

impl Options {
    /// As they cross the boundary.
    #[cfg_attr(
        not(any(target_family = "wasm", test)),
        expect(dead_code, reason = "the stand-in keeps them as they are")
    )]
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let delay = self.delay.map(|delay| format!("{}ms", delay.as_millis()));
        let priority = self.priority.map(|priority| priority.to_string());
        let options = [
            ("queue", self.queue.clone()),
            ("delay", delay),
            ("priority", priority),
        ];
        let given = options.into_iter();
        given
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// Why a task was not made, or has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum TaskError {
    /// No such function; the text names the nearest.
    Unknown(String),
    /// The host's configuration does not allow it; the text has the lines to add.
    Denied(String),
    /// A limit, named with its value.
    Limit(String),
    /// An option that the host does not know, or a value that it cannot have, by name.
    Invalid(String),
    /// The host cannot do it yet.
    Unsupported(String),
    /// The arguments cannot be written as JSON.
    Arguments(serde_json::Error),
    /// The task that was called failed, after its own retries.
    Failed {
        /// How.
        kind: FailureKind,
        /// Its failure's text.
        message: String,
    },
    /// The result of the task that was called is of another type.
    Result(serde_json::Error),
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(text)
            | Self::Denied(text)
            | Self::Limit(text)
            | Self::Invalid(text)
            | Self::Unsupported(text) => f.write_str(text),
            Self::Arguments(_) => f.write_str("arguments of a task cannot be written as JSON"),
            Self::Failed { message, .. } => write!(f, "the task that was called failed: {message}"),
            Self::Result(_) => f.write_str("the called task's result does not fit"),
        }
    }
}

impl std::error::Error for TaskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Arguments(source) | Self::Result(source) => Some(source),
            Self::Unknown(_)
            | Self::Denied(_)
            | Self::Limit(_)
            | Self::Invalid(_)
            | Self::Unsupported(_)
            | Self::Failed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Options;

    #[test]
    fn options_cross_the_boundary_as_pairs() {
        let options = Options {
            queue: Some("openmp".to_owned()),
            delay: Some(Duration::from_millis(1_500)),
            priority: None,
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            options.pairs(),
            [pair("queue", "openmp"), pair("delay", "1500ms")]
        );
        assert!(Options::default().pairs().is_empty());
    }
}
