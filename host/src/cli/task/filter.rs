//! Which tasks are meant by what they have in common.

use anyhow::bail;

use crate::cli::when;
use crate::control::Matching;
use crate::packet::from_unix_nanos;

/// What tasks have in common.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Filter {
    /// Only tasks in FAILURE: they are set aside until somebody decides.
    #[arg(long)]
    dead: bool,
    /// Only tasks of this queue.
    #[arg(long)]
    queue: Option<String>,
    /// Only tasks of this handler, or of all handlers of a plugin.
    #[arg(long, value_name = "PLUGIN[.HANDLER]")]
    handler: Option<String>,
    /// Only tasks made since: a time, a day, or how long ago, e.g. 2h.
    #[arg(long, value_name = "TIME|DURATION", value_parser = when::moment)]
    since: Option<i64>,
    /// Only tasks whose last failure has this text in its message.
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
}

impl Filter {
    /// Whether it leaves any task out.
    pub(super) const fn is_any(&self) -> bool {
        self.dead
            || self.since.is_some()
            || self.queue.is_some()
            || self.handler.is_some()
            || self.error.is_some()
    }

    /// The tasks, as a host is asked for them.
    pub(super) fn matching(&self) -> anyhow::Result<Matching> {
        let (plugin, handler) = match self.handler.as_deref() {
            None => (None, None),
            Some(name) => match name.split_once('.') {
                None => (Some(name), None),
                Some((plugin, handler)) if !plugin.is_empty() && !handler.is_empty() => {
                    (Some(plugin), Some(handler))
                }
                Some(_) => bail!("`{name}` is no handler; write PLUGIN.HANDLER, or PLUGIN for all"),
            },
        };
        Ok(Matching {
            dead: self.dead,
            queue: self.queue.clone(),
            plugin: plugin.map(str::to_owned),
            handler: handler.map(str::to_owned),
            since: self.since.map(from_unix_nanos),
            error: self.error.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Filter;

    #[track_caller]
    fn check(handler: &str, expected: Option<(&str, Option<&str>)>) {
        let filter = Filter {
            handler: Some(handler.to_owned()),
            ..Filter::default()
        };
        let read = filter.matching().ok();
        let names = read.map(|read| (read.plugin.unwrap_or_default(), read.handler));
        let expected =
            expected.map(|(plugin, handler)| (plugin.to_owned(), handler.map(str::to_owned)));
        assert_eq!(names, expected, "{handler}");
    }

    #[test]
    fn a_handler_is_one_of_a_plugin_or_all_of_it() {
        check("fermi-log.alert", Some(("fermi-log", Some("alert"))));
        check("fermi-log", Some(("fermi-log", None)));
        check("fermi-log.", None);
        check(".alert", None);
    }
}
