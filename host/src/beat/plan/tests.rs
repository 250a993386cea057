use jiff::Timestamp;

use super::{Plan, Remark, plan};
use crate::broker::Origin;
use crate::packet::{Digest, unix_nanos};
use crate::routes::{Manifest, PluginRoutes, Routes};
use crate::task::tick_of;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A plugin with one entry that is due each hour.
fn routes(options: &str) -> Routes {
    let manifest = format!(
        r#"{{"format": 1, "sdk": "0.1.0", "entries": [{{"name": "sweep", "kind": "periodic",
            "options": [["cron", "0 * * * *"]{options}]}}]}}"#
    );
    let plugin = PluginRoutes {
        plugin: "clean".to_owned(),
        generation: 1,
        digest: Digest::of(b"clean"),
        manifest: Manifest::read(&manifest).unwrap(),
    };
    Routes::new(1, &[plugin])
}

fn planned(options: &str, last: Option<&str>, now: &str) -> Plan {
    let routes = routes(options);
    let (route, table) = routes.periodic().next().unwrap();
    plan(route, table, last.map(at), at(now))
}

#[test]
fn a_schedule_that_is_new_begins_now_and_makes_up_for_nothing() {
    let plan = planned("", None, "2026-11-24T20:30:00Z");
    let step = plan.step.unwrap();
    assert_eq!((step.last, step.tasks.len()), (None, 0));
    assert_eq!(step.through, unix_nanos(at("2026-11-24T20:30:00Z")));
    assert_eq!(plan.remark, Some(Remark::Begins));
    assert_eq!(plan.next, Some(at("2026-11-24T21:00:00Z")));
}

#[test]
fn a_tick_makes_one_task_that_knows_when_it_was_due() {
    let options = r#", ["queue", "slow"], ["deadline", "5m"]"#;
    let now = "2026-11-24T21:00:00.004Z";
    let plan = planned(options, Some("2026-11-24T20:00:00Z"), now);
    let step = plan.step.unwrap();
    assert_eq!(step.schedule, "clean.sweep");
    assert_eq!(step.last, Some(unix_nanos(at("2026-11-24T20:00:00Z"))));
    let [task] = &step.tasks[..] else {
        panic!("{:?}", step.tasks);
    };
    assert_eq!(
        (&*task.plugin, &*task.handler, &*task.queue, task.origin),
        ("clean", "sweep", "slow", Origin::Beat)
    );
    let argument = task.args.as_ref().unwrap();
    assert_eq!(tick_of(argument), Some(at("2026-11-24T21:00:00Z")));
    let deadline = at("2026-11-24T21:05:00.004Z");
    assert_eq!(task.policy.deadline, Some(unix_nanos(deadline)));
    assert_eq!(plan.remark, None);
    assert_eq!(plan.next, Some(at("2026-11-24T22:00:00Z")));
}

#[test]
fn the_same_tick_is_the_same_task_whenever_it_is_made() {
    let id = |now| {
        let plan = planned("", Some("2026-11-24T20:00:00Z"), now);
        plan.step.unwrap().tasks[0].id
    };
    assert_eq!(id("2026-11-24T21:00:00Z"), id("2026-11-24T21:59:00Z"));
    assert_ne!(id("2026-11-24T21:00:00Z"), id("2026-11-24T22:00:00Z"));
}

#[test]
fn missed_ticks_are_told_of_even_where_none_is_run() {
    let (last, now) = ("2026-11-24T10:00:00Z", "2026-11-24T20:30:00Z");
    for (options, run) in [
        (r#", ["catch_up", "none"]"#, 0),
        ("", 1),
        (r#", ["catch_up", "all(4)"]"#, 4),
    ] {
        let plan = planned(options, Some(last), now);
        let step = plan.step.unwrap();
        assert_eq!(step.tasks.len(), run, "{options}");
        assert_eq!(step.through, unix_nanos(at("2026-11-24T20:00:00Z")));
        let since = at(last);
        assert_eq!(plan.remark, Some(Remark::Missed { since, run }));
    }
}

#[test]
fn between_ticks_nothing_is_done() {
    let plan = planned("", Some("2026-11-24T20:00:00Z"), "2026-11-24T20:59:59Z");
    assert!(plan.step.is_none());
    assert_eq!(plan.next, Some(at("2026-11-24T21:00:00Z")));
}

#[test]
fn a_schedule_that_a_wrong_clock_drove_ahead_is_set_back() {
    let plan = planned("", Some("2036-11-24T20:00:00Z"), "2026-11-24T20:30:00Z");
    let step = plan.step.unwrap();
    assert_eq!(step.through, unix_nanos(at("2026-11-24T20:30:00Z")));
    assert!(step.tasks.is_empty());
    let from = at("2036-11-24T20:00:00Z");
    assert_eq!(plan.remark, Some(Remark::SetBack { from }));
    assert_eq!(plan.next, Some(at("2026-11-24T21:00:00Z")));
    // A clock that is a little behind the one before is none that was wrong.
    let plan = planned("", Some("2026-11-24T21:00:00Z"), "2026-11-24T20:59:30Z");
    assert!(plan.step.is_none());
    assert_eq!(plan.next, Some(at("2026-11-24T22:00:00Z")));
}
