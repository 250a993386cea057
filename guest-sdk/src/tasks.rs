//! Other tasks: made by this run, run on their own.
//!
//! What a run [spawns](spawn) becomes real with its outcome, in one commit: a run that fails has
//! made nothing, a run that is taken up again makes nothing twice. A [call] waits for the task's
//! end and has its result; [all], [each] and [join] wait for several that run side by side. A run
//! that waits holds nothing of the host, however long it is, and goes on after any crash.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::boundary;
use crate::error::FailureKind;
use crate::registry::Output;

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
/// As [`spawn`]; [`TaskError::Failed`] when the task failed, after its own retries, or was revoked;
/// [`TaskError::Result`] when its result is no `R`. A handler that passes a failure on is set
/// aside; when it is resumed, tasks that failed run again, and those that did not answer as before.
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

/// A task to be called, prepared so that several can be called together.
///
/// ```
/// use gwasp_sdk::{tasks, testing};
///
/// testing::result_of("annotate.area", "24.5");
/// let area: f64 = tasks::prepare("annotate.area", &("S190425z", 90)).call()?;
/// assert_eq!(area, 24.5);
/// # Ok::<(), tasks::TaskError>(())
/// ```
#[must_use = "nothing is called yet: see `tasks::all`"]
pub struct Call<R> {
    name: String,
    arguments: Result<Vec<u8>, TaskError>,
    options: Options,
    result: PhantomData<fn() -> R>,
}

impl<R> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<R> Call<R> {
    pub(crate) fn new(name: &str, arguments: Result<Vec<u8>, TaskError>) -> Self {
        Self {
            name: name.to_owned(),
            arguments,
            options: Options::default(),
            result: PhantomData,
        }
    }

    /// Has it run in another queue, or with another priority.
    ///
    /// ```
    /// use gwasp_sdk::{tasks::{self, Options}, testing};
    ///
    /// testing::result_of("annotate.area", "24.5");
    /// let urgent = Options { priority: Some(0), ..Options::default() };
    /// let call = tasks::prepare::<f64>("annotate.area", "S190425z").with(urgent);
    /// assert_eq!(call.call()?, 24.5);
    /// # Ok::<(), tasks::TaskError>(())
    /// ```
    pub fn with(self, options: Options) -> Self {
        Self { options, ..self }
    }

    fn written(self) -> Result<(String, Vec<u8>, Options), TaskError> {
        Ok((self.name, self.arguments?, self.options))
    }
}

impl<R: DeserializeOwned> Call<R> {
    /// Calls it alone, as [`call`](call()) does.
    ///
    /// # Errors
    /// As [`call`](call()).
    ///
    /// ```
    /// use gwasp_sdk::{tasks, testing};
    ///
    /// testing::result_of("annotate.area", "24.5");
    /// assert_eq!(tasks::prepare::<f64>("annotate.area", "S190425z").call()?, 24.5);
    /// # Ok::<(), tasks::TaskError>(())
    /// ```
    pub fn call(self) -> Result<R, TaskError> {
        let (name, arguments, options) = self.written()?;
        call_json(&name, &arguments, &options)
    }
}

/// Prepares a call of the function `name`; name and arguments are as for [`spawn`].
///
/// Within a plugin `function::prepare(…)` is the same with types, see
/// [`task`](macro@crate::task).
///
/// ```
/// use gwasp_sdk::{tasks, testing};
///
/// testing::result_of("annotate.area", "24.5");
/// testing::result_of("annotate.area", "140.0");
/// let areas = [50, 90].map(|percent| tasks::prepare("annotate.area", &("S190425z", percent)));
/// let areas: Vec<f64> = tasks::all(areas)?;
/// assert_eq!(areas, [24.5, 140.0]);
/// # Ok::<(), tasks::TaskError>(())
/// ```
pub fn prepare<R: DeserializeOwned>(name: &str, arguments: &(impl Serialize + ?Sized)) -> Call<R> {
    Call::new(name, written(arguments))
}

/// Calls tasks side by side and waits until all have ended; returns their results, in order.
///
/// # Errors
/// As [`call`](call()): the first task's in order that did not end well, once all have ended.
/// [`TaskError::Limit`] for more than 2,000 tasks, or 8 MiB of results.
///
/// ```
/// use gwasp_sdk::{tasks, testing};
///
/// testing::result_of("annotate.area", "24.5");
/// testing::result_of("annotate.area", "3.1");
/// let names = ["S190425z", "S190814bv"];
/// let areas: Vec<f64> =
///     tasks::all(names.iter().map(|name| tasks::prepare("annotate.area", name)))?;
/// assert_eq!(areas, [24.5, 3.1]);
/// # Ok::<(), tasks::TaskError>(())
/// ```
pub fn all<R: DeserializeOwned>(
    calls: impl IntoIterator<Item = Call<R>>,
) -> Result<Vec<R>, TaskError> {
    each(calls)?.into_iter().collect()
}

/// Calls tasks as [`all`] does; returns what came of each, good or bad.
///
/// # Errors
/// As [`all`], but for tasks that were made and did not end well.
///
/// ```
/// use gwasp_sdk::tasks::{self, TaskError};
/// use gwasp_sdk::testing;
///
/// testing::result_of("annotate.area", "24.5");
/// testing::no_result_of("annotate.area", TaskError::Limit("no memory".to_owned()));
/// let names = ["S190425z", "S190814bv"];
/// let areas = tasks::each(names.map(|name| tasks::prepare::<f64>("annotate.area", name)))?;
/// assert!(areas[0].is_ok() && areas[1].is_err());
/// # Ok::<(), tasks::TaskError>(())
/// ```
pub fn each<R: DeserializeOwned>(
    calls: impl IntoIterator<Item = Call<R>>,
) -> Result<Vec<Result<R, TaskError>>, TaskError> {
    let calls: Result<Vec<_>, _> = calls.into_iter().map(Call::written).collect();
    let answers = boundary::call_all(calls?)?;
    Ok(answers.into_iter().map(|answer| read(&answer?)).collect())
}

/// Calls up to six tasks with results of different types side by side, as [`all`] does.
///
/// # Errors
/// As [`all`].
///
/// ```
/// use gwasp_sdk::{tasks, testing};
///
/// testing::result_of("em_bright.classify", "0.98");
/// testing::result_of("annotate.plot", r#""plot.png""#);
/// let calls = (
///     tasks::prepare::<f64>("em_bright.classify", "S190425z"),
///     tasks::prepare::<String>("annotate.plot", "S190425z"),
/// );
/// let (has_remnant, plot) = tasks::join(calls)?;
/// assert_eq!((has_remnant, plot.as_str()), (0.98, "plot.png"));
/// # Ok::<(), tasks::TaskError>(())
/// ```
pub fn join<C: Join>(calls: C) -> Result<C::Results, TaskError> {
    calls.join()
}

/// Calls of two to six tasks, as a tuple; for [`join`].
pub trait Join: sealed::Sealed {
    /// Their results, as a tuple.
    type Results;

    #[doc(hidden)]
    fn join(self) -> Result<Self::Results, TaskError>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! joins {
    ($($result:ident $call:ident),*) => {
        impl<$($result: DeserializeOwned),*> sealed::Sealed for ($(Call<$result>,)*) {}

        impl<$($result: DeserializeOwned),*> Join for ($(Call<$result>,)*) {
            type Results = ($($result,)*);

            fn join(self) -> Result<Self::Results, TaskError> {
                let ($($call,)*) = self;
                let answers = boundary::call_all(vec![$($call.written()?),*])?;
                let mut answers = answers.into_iter();
                Ok(($(read::<$result>(&answers.next().unwrap_or(Ok(None))?)?,)*))
            }
        }
    };
}

joins!(A a, B b);
joins!(A a, B b, C c);
joins!(A a, B b, C c, D d);
joins!(A a, B b, C c, D d, E e);
joins!(A a, B b, C c, D d, E e, F f);

pub(crate) fn written(arguments: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, TaskError> {
    serde_json::to_vec(arguments).map_err(TaskError::Arguments)
}

pub(crate) fn call_json<R: DeserializeOwned>(
    name: &str,
    arguments: &[u8],
    options: &Options,
) -> Result<R, TaskError> {
    read(&boundary::call(name, arguments, options)?)
}

/// Reads a result; a function without one answers nothing, which `()` and `Option` can be read of.
fn read<R: DeserializeOwned>(result: &Output) -> Result<R, TaskError> {
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
    /// The task that was called failed, after its own retries, or was revoked.
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
