use std::time::Duration;

use super::Timestamp;

#[track_caller]
fn check_text(text: &str, seconds: u64, nanoseconds: u32) {
    let parsed: Timestamp = text.parse().unwrap();
    assert_eq!(parsed, Timestamp::from_unix(seconds, nanoseconds));
}

#[track_caller]
fn check_gps(utc: &str, gps: f64) {
    let moment: Timestamp = utc.parse().unwrap();
    assert!(
        (moment.gps() - gps).abs() < 1e-6,
        "{utc}: {} is not {gps}",
        moment.gps()
    );
    assert_eq!(Timestamp::from_gps(gps).unix_seconds(), moment.seconds);
}

// RFC 3339, section 5.8.
#[test]
fn the_examples_of_rfc_3339_are_read() {
    check_text("1985-04-12T23:20:50.52Z", 482_196_050, 520_000_000);
    check_text("1996-12-19T16:39:57-08:00", 851_042_397, 0);
    check_text("1990-12-31T23:59:60Z", 662_688_000, 0);
    check_text("1990-12-31T15:59:60-08:00", 662_688_000, 0);
}

#[test]
fn what_is_written_is_read_again_around_each_turn_of_a_month() {
    for day in 0..60_000 {
        let moment = Timestamp::from_unix(day * 86_400 + 86_399, 120);
        assert_eq!(moment.to_string().parse(), Ok(moment));
    }
}

#[test]
fn dates_that_do_not_exist_are_refused() {
    for text in [
        "2023-02-29T00:00:00Z",
        "2023-13-01T00:00:00Z",
        "2023-00-10T00:00:00Z",
        "2023-04-31T00:00:00Z",
        "2023-04-30T24:00:00Z",
        "1969-12-31T23:59:59Z",
        "2023-04-30 12:00:00",
        "2023-04-30T12:00:00.Z",
        "2023-04-30T12:00:00+0100",
        "2023-4-30T12:00:00Z",
        "2023-04-30",
        "",
        "20é3-04-30T12:00:00Z",
    ] {
        assert!(text.parse::<Timestamp>().is_err(), "{text}");
    }
}

// GW150914 and GW170817 as published; the third is the first second with 18 leap seconds.
#[test]
fn gps_times_of_known_events_agree() {
    check_gps("2015-09-14T09:50:45.39Z", 1_126_259_462.39);
    check_gps("2017-08-17T12:41:04.4Z", 1_187_008_882.4);
    check_gps("2017-01-01T00:00:00Z", 1_167_264_018.0);
    check_gps("2016-12-31T23:59:59Z", 1_167_264_016.0);
    check_gps("1980-01-06T00:00:00Z", 0.0);
}

#[test]
fn leap_seconds_are_those_of_the_formats() {
    for leap in gwasp_formats::time::LEAP_SECONDS.map(i64::cast_unsigned) {
        for seconds in [leap - 2, leap - 1, leap, leap + 1] {
            let moment = Timestamp::from_unix(seconds, 0);
            let notice = gwasp_formats::NoticeTime::parse(&moment.to_string()).unwrap();
            let gps = notice.gps().unwrap().as_f64();
            check_gps(&moment.to_string(), gps);
        }
    }
}

#[test]
fn the_difference_of_a_later_moment_is_zero() {
    let (early, late) = (Timestamp::from_unix(10, 5), Timestamp::from_unix(12, 0));
    assert_eq!(late - early, Duration::new(1, 999_999_995));
    assert_eq!(early - late, Duration::ZERO);
    assert_eq!(early + Duration::new(1, 999_999_995), late);
}
