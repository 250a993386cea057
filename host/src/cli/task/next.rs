//! What happens to a task next, and what a person can do about it: in one sentence.

use gwasp_store::{Nanos, Pause, State, TaskView};
use jiff::Timestamp;

use super::SHORT_ID;
use super::live::Live;
use crate::cli::status::span;
use crate::cli::table;
use crate::control;
use crate::packet::from_unix_nanos;

/// What is known beside the task itself.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) live: &'a Live,
    /// What is paused now.
    pub(super) pauses: &'a [control::Pause],
    /// Since when its plugin is disabled.
    pub(super) disabled: Option<Nanos>,
    /// The version of its plugin that new tasks are for.
    pub(super) current: Option<[u8; 32]>,
    pub(super) now: Timestamp,
}

/// The pauses, as a host tells of them.
pub(super) fn told(pauses: Vec<Pause>) -> Vec<control::Pause> {
    pauses.into_iter().map(control::Pause::from).collect()
}

/// The pause that a task is under, where one is.
pub(super) fn pause_of<'a>(
    task: &TaskView,
    pauses: &'a [control::Pause],
) -> Option<&'a control::Pause> {
    let mut pauses = pauses.iter();
    pauses.find(|pause| pause.scope.covers(&task.plugin, &task.handler, &task.queue))
}

/// What happens next; nothing where the task has ended.
pub(super) fn sentence(task: &TaskView, around: &Surroundings<'_>) -> Option<String> {
    match task.state {
        State::Success | State::Revoked => None,
        State::Delivered => Some(format!(
            "the task that called it was told; `gwasp task resume {}` has it go on",
            short(task)
        )),
        State::Failure => {
            let kind = task.failure.as_ref().map(|failure| failure.kind.as_str());
            Some(set_aside(task, kind, around))
        }
        State::Pending | State::Retry | State::Parked => Some(waits(task, around)),
    }
}

/// What ends that a task is set aside.
fn set_aside(task: &TaskView, kind: Option<&str>, around: &Surroundings<'_>) -> String {
    let (id, plugin) = (short(task), &task.plugin);
    let decision = match kind {
        Some("in-doubt") => {
            return format!(
                "set aside until you have looked at the service whether it was done: \
                 `gwasp task resume {id} --done`, or the same with `--not-done`"
            );
        }
        Some("version") => format!(" --on {plugin}@current"),
        _ => String::new(),
    };
    let current = around.current.filter(|_| task.journal > 0);
    let has_other = current.is_some_and(|current| Some(current) != task.version);
    let mended = if has_other && kind != Some("version") {
        format!("; with `--on {plugin}@current` it goes on with the version that is there now")
    } else {
        String::new()
    };
    format!("set aside until `gwasp task resume {id}{decision}`{mended}")
}

/// The beginning of its id, which commands take.
fn short(task: &TaskView) -> String {
    task.id.to_string().chars().take(SHORT_ID).collect()
}

/// What a task waits for that has not ended.
fn waits(task: &TaskView, around: &Surroundings<'_>) -> String {
    let (id, plugin, queue) = (short(task), &task.plugin, &task.queue);
    if let Some(run) = around.live.of(&task.id.to_string()) {
        let time = span(run.since, around.now);
        return format!("runs for {time}; `gwasp task revoke {id}` ends it");
    }
    if let Some(pause) = pause_of(task, around.pauses) {
        return format!("waits: {pause}");
    }
    if let Some(since) = around.disabled {
        let since = table::second(since);
        return format!(
            "waits: plugin {plugin} is disabled since {since}, until `gwasp plugin enable {plugin}`"
        );
    }
    if !around.live.has_host {
        return "waits: no host runs on this store; `gwasp run` starts one".to_owned();
    }
    if task.waits_for_others {
        return "waits for tasks that it called".to_owned();
    }
    let due = from_unix_nanos(task.due);
    if due > around.now && task.state == State::Parked {
        let time = span(around.now, due);
        return format!("sleeps for {time}, until {due:.0}");
    }
    if due > around.now {
        let attempt = task.attempts.saturating_add(1);
        let time = span(around.now, due);
        return format!("attempt {attempt} in {time}, at {due:.0}");
    }
    match &task.order_key {
        Some(key) => format!(
            "waits for a slot of queue {queue}, and for those before it of the key {}",
            table::clean(key)
        ),
        None => format!("waits for a slot of queue {queue}; `gwasp status` shows the queue"),
    }
}

/// A task of the handler `p.h` in the queue `q`.
#[cfg(test)]
pub(in crate::cli) fn tests_task() -> TaskView {
    TaskView {
        id: gwasp_store::TaskId([0xab; 16]),
        plugin: "p".to_owned(),
        handler: "h".to_owned(),
        queue: "q".to_owned(),
        origin: gwasp_store::Origin::Packet,
        parent: None,
        packet: None,
        priority: 5,
        order_key: None,
        state: State::Pending,
        attempts: 1,
        due: 0,
        made: 0,
        deadline: None,
        started: None,
        ended: None,
        cpu: 0,
        version: None,
        journal: 0,
        failure: None,
        is_shadow: false,
        waits_for_others: false,
    }
}

#[cfg(test)]
mod tests {
    use gwasp_store::{Failure, State, TaskView};

    use super::*;
    use crate::control::Scope;

    fn task(state: State) -> TaskView {
        TaskView {
            state,
            ..tests_task()
        }
    }

    fn pause(scope: Scope) -> control::Pause {
        control::Pause {
            scope,
            since: Timestamp::UNIX_EPOCH,
            until: None,
            who: "user 7".to_owned(),
        }
    }

    fn around<'a>(live: &'a Live, pauses: &'a [control::Pause]) -> Surroundings<'a> {
        Surroundings {
            live,
            pauses,
            disabled: None,
            current: None,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn with_host() -> Live {
        Live {
            has_host: true,
            ..Live::default()
        }
    }

    #[track_caller]
    fn check(task: &TaskView, around: &Surroundings<'_>, has: &str) {
        let told = sentence(task, around).unwrap_or_default();
        assert!(told.contains(has), "{told}");
    }

    #[test]
    fn a_task_that_is_paused_says_by_whom_and_what_ends_it() {
        let live = with_host();
        for (scope, end) in [
            (Scope::All, "`gwasp unpause --all`"),
            (Scope::Queue("q".to_owned()), "`gwasp unpause q`"),
            (Scope::Handler("p.h".to_owned()), "`gwasp unpause p.h`"),
        ] {
            let pauses = [pause(Scope::Queue("other".to_owned())), pause(scope)];
            let around = around(&live, &pauses);
            check(&task(State::Pending), &around, "by user 7");
            check(&task(State::Retry), &around, end);
        }
    }

    #[test]
    fn a_task_that_waits_says_what_for() {
        let (live, alone) = (with_host(), Live::default());
        let waiting = task(State::Pending);
        check(&waiting, &around(&live, &[]), "a slot of queue q");
        check(&waiting, &around(&alone, &[]), "`gwasp run`");
        let later = TaskView {
            due: 61_000_000_000,
            ..task(State::Retry)
        };
        check(&later, &around(&live, &[]), "attempt 2 in 1 min 1 s");
        let sleeps = TaskView {
            state: State::Parked,
            ..later
        };
        check(
            &sleeps,
            &around(&live, &[]),
            "sleeps for 1 min 1 s, until 1970",
        );
        let calls = TaskView {
            waits_for_others: true,
            ..sleeps
        };
        check(
            &calls,
            &around(&live, &[]),
            "waits for tasks that it called",
        );
        let disabled = Surroundings {
            disabled: Some(0),
            ..around(&live, &[])
        };
        check(&waiting, &disabled, "`gwasp plugin enable p`");
    }

    #[test]
    fn a_task_that_is_set_aside_says_what_a_person_decides() {
        let live = with_host();
        let in_doubt = TaskView {
            failure: Some(Failure {
                kind: "in-doubt".to_owned(),
                message: String::new(),
                detail: None,
            }),
            ..task(State::Failure)
        };
        check(&in_doubt, &around(&live, &[]), "abab-abab --done`");
        check(
            &task(State::Failure),
            &around(&live, &[]),
            "gwasp task resume abab",
        );
        let mended = Surroundings {
            current: Some([2; 32]),
            ..around(&live, &[])
        };
        let pinned = TaskView {
            version: Some([1; 32]),
            journal: 1,
            ..task(State::Failure)
        };
        check(&pinned, &mended, "with `--on p@current`");
        assert_eq!(sentence(&task(State::Success), &around(&live, &[])), None);
    }
}
