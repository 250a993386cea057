use std::time::Duration;

use jiff::Timestamp;

use super::{CatchUp, Due, Schedule, Timetable, TimetableError};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn cron(text: &str, zone: &str) -> Timetable {
    catching_up(text, zone, CatchUp::One)
}

fn catching_up(text: &str, zone: &str, catch_up: CatchUp) -> Timetable {
    Timetable::read(Schedule::Cron(text.to_owned()), zone, catch_up).unwrap()
}

fn every(seconds: u64) -> Timetable {
    let schedule = Schedule::Every(Duration::from_secs(seconds));
    Timetable::read(schedule, "UTC", CatchUp::One).unwrap()
}

#[track_caller]
fn check_ticks(table: &Timetable, after: &str, expected: &[&str]) {
    let first = table.next(at(after));
    let ticks = std::iter::successors(first, |tick| table.next(*tick));
    let ticks: Vec<Timestamp> = ticks.take(expected.len()).collect();
    let expected: Vec<Timestamp> = expected.iter().map(|text| at(text)).collect();
    assert_eq!(ticks, expected);
}

/// The examples of crontab(5), Debian's cron, with the moments that they name.
#[test]
fn the_examples_of_crontab_tick_when_its_manual_says() {
    // "run five minutes after midnight, every day"
    check_ticks(
        &cron("5 0 * * *", "UTC"),
        "2026-11-24T00:05:00Z",
        &["2026-11-25T00:05:00Z", "2026-11-26T00:05:00Z"],
    );
    // "run at 2:15pm on the first of every month"
    check_ticks(
        &cron("15 14 1 * *", "UTC"),
        "2026-11-24T00:00:00Z",
        &["2026-12-01T14:15:00Z", "2027-01-01T14:15:00Z"],
    );
    // "run at 10 pm on weekdays"; 27 November 2026 is a Friday.
    check_ticks(
        &cron("0 22 * * 1-5", "UTC"),
        "2026-11-27T21:00:00Z",
        &["2026-11-27T22:00:00Z", "2026-11-30T22:00:00Z"],
    );
    // "run 23 minutes after midn, 2am, 4am ..., everyday"
    check_ticks(
        &cron("23 0-23/2 * * *", "UTC"),
        "2026-11-24T01:00:00Z",
        &["2026-11-24T02:23:00Z", "2026-11-24T04:23:00Z"],
    );
    // "If both fields are restricted, the command will be run when either field matches":
    // 4:30 on the 1st and 15th, plus every Friday.
    check_ticks(
        &cron("30 4 1,15 * 5", "UTC"),
        "2026-11-24T00:00:00Z",
        &[
            "2026-11-27T04:30:00Z",
            "2026-12-01T04:30:00Z",
            "2026-12-04T04:30:00Z",
        ],
    );
}

#[test]
fn a_clock_that_is_set_forward_gives_one_tick_where_it_skips() {
    // Central Europe, 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC.
    check_ticks(
        &cron("30 2 * * *", "Europe/Rome"),
        "2026-03-28T01:30:00Z",
        &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
    );
    check_ticks(
        &cron("*/20 2,3 * * *", "Europe/Rome"),
        "2026-03-28T23:00:00Z",
        &[
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:20:00Z",
            "2026-03-29T01:40:00Z",
        ],
    );
    // New York, 8 March 2026: 02:00 becomes 03:00 at 07:00 UTC.
    check_ticks(
        &cron("15 2 8 3 *", "America/New_York"),
        "2026-03-01T00:00:00Z",
        &["2026-03-08T07:00:00Z"],
    );
}

#[test]
fn a_clock_that_is_set_back_gives_each_time_once() {
    // Central Europe, 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC.
    check_ticks(
        &cron("30 2 * * *", "Europe/Rome"),
        "2026-10-24T12:00:00Z",
        &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
    );
    check_ticks(
        &cron("*/30 2,3 * * *", "Europe/Rome"),
        "2026-10-25T00:10:00Z",
        &[
            "2026-10-25T00:30:00Z",
            "2026-10-25T02:00:00Z",
            "2026-10-25T02:30:00Z",
        ],
    );
    // Asked in the second hour of two that look alike.
    check_ticks(
        &cron("*/30 2,3 * * *", "Europe/Rome"),
        "2026-10-25T01:10:00Z",
        &["2026-10-25T02:00:00Z"],
    );
}

#[test]
fn an_interval_ticks_at_its_multiples_since_1970() {
    check_ticks(
        &every(3600),
        "2026-11-24T20:41:07.5Z",
        &["2026-11-24T21:00:00Z", "2026-11-24T22:00:00Z"],
    );
}

#[test]
fn a_day_that_never_comes_has_no_tick() {
    assert_eq!(
        cron("0 0 30 2 *", "UTC").next(at("2026-01-01T00:00:00Z")),
        None
    );
}

#[track_caller]
fn check_due(catch_up: CatchUp, last: &str, now: &str, expected: Option<(&[&str], &str, bool)>) {
    let due = catching_up("0 * * * *", "UTC", catch_up).due(at(last), at(now));
    let expected = expected.map(|(ticks, through, skips)| Due {
        ticks: ticks.iter().map(|tick| at(tick)).collect(),
        through: at(through),
        skips,
    });
    assert_eq!(due, expected);
}

#[test]
fn nothing_is_due_before_the_next_tick() {
    check_due(
        CatchUp::One,
        "2026-11-24T20:00:00Z",
        "2026-11-24T20:59:59.999Z",
        None,
    );
    check_due(
        CatchUp::One,
        "2026-11-24T20:00:00Z",
        "2026-11-23T00:00:00Z",
        None,
    );
}

#[test]
fn a_tick_that_comes_in_time_is_run_by_any_policy() {
    for policy in [CatchUp::None, CatchUp::One, CatchUp::All(10)] {
        check_due(
            policy,
            "2026-11-24T20:00:00Z",
            "2026-11-24T21:00:00.010Z",
            Some((&["2026-11-24T21:00:00Z"], "2026-11-24T21:00:00Z", false)),
        );
    }
}

#[test]
fn after_an_outage_the_policy_says_how_many_ticks_are_made_up_for() {
    let (last, now) = ("2026-11-24T10:00:00Z", "2026-11-24T20:30:00Z");
    let through = "2026-11-24T20:00:00Z";
    check_due(CatchUp::None, last, now, Some((&[], through, true)));
    check_due(CatchUp::One, last, now, Some((&[through], through, true)));
    check_due(
        CatchUp::All(3),
        last,
        now,
        Some((
            &["2026-11-24T18:00:00Z", "2026-11-24T19:00:00Z", through],
            through,
            true,
        )),
    );
    check_due(
        CatchUp::All(1000),
        "2026-11-24T18:00:00Z",
        now,
        Some((&["2026-11-24T19:00:00Z", through], through, false)),
    );
}

#[test]
fn a_clock_that_leaps_ten_years_makes_up_for_one_tick() {
    let through = "2036-11-24T20:00:00Z";
    check_due(
        CatchUp::One,
        "2026-11-24T20:00:00Z",
        "2036-11-24T20:30:00Z",
        Some((&[through], through, true)),
    );
    let due = cron("0 0 29 2 *", "UTC").due(at("2026-11-24T20:00:00Z"), at("2036-11-24T20:30:00Z"));
    assert_eq!(due.unwrap().through, at("2036-02-29T00:00:00Z"));
}

#[track_caller]
fn check_refused(schedule: Schedule, zone: &str, said: &str) {
    let error: TimetableError = Timetable::read(schedule, zone, CatchUp::One).unwrap_err();
    assert!(error.to_string().contains(said), "{error}");
}

#[test]
fn what_is_no_schedule_is_refused_with_what_would_be_one() {
    check_refused(Schedule::Cron("0 * * *".to_owned()), "UTC", "five fields");
    check_refused(
        Schedule::Cron("61 * * * *".to_owned()),
        "UTC",
        "`61 * * * *`",
    );
    check_refused(
        Schedule::Every(Duration::from_millis(999)),
        "UTC",
        "1s or longer",
    );
    check_refused(
        Schedule::Cron("0 * * * *".to_owned()),
        "Europe/Atlantis",
        "Europe/Atlantis",
    );
}

#[test]
fn policies_are_read_as_they_are_written() {
    for text in ["none", "one", "all(3)", "all(1000)"] {
        assert_eq!(text.parse::<CatchUp>().unwrap().to_string(), text);
    }
    for text in ["", "All(3)", "all(0)", "all(1001)", "all(x)", "all(3"] {
        let error = text.parse::<CatchUp>().unwrap_err();
        assert!(error.to_string().contains("`all(10)`"), "{error}");
    }
}

#[test]
fn a_timetable_reads_as_its_author_wrote_it() {
    let table = cron("30 2 * * *", "Europe/Rome");
    assert_eq!(table.to_string(), "\"30 2 * * *\" Europe/Rome");
    assert_eq!(every(90).to_string(), "every 1m 30s");
}
