use super::{GpsTime, NoticeTime, TimeScale, civil_from_days, days_from_civil};

#[track_caller]
fn check_reads_as(text: &str, expected: &str) {
    let time = NoticeTime::parse(text).map(|time| time.to_string());
    assert_eq!(time.as_deref(), Ok(expected), "{text}");
}

#[track_caller]
fn check_impossible(text: &str) {
    let error = NoticeTime::parse(text).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the time `{}` is impossible", text.trim())
    );
}

#[track_caller]
fn check_gps(text: &str, seconds: i64, nanoseconds: u32) {
    let gps = NoticeTime::parse(text).unwrap().gps().unwrap();
    assert_eq!(
        gps,
        GpsTime {
            seconds,
            nanoseconds
        },
        "{text}"
    );
}

#[test]
fn the_documents_own_fraction_is_kept() {
    check_reads_as("2024-02-22T08:51:31.320000", "2024-02-22T08:51:31.320000Z");
    check_reads_as("2024-02-22T08:51:31.3", "2024-02-22T08:51:31.3Z");
    check_reads_as("2024-02-22T08:51:31", "2024-02-22T08:51:31Z");
    check_reads_as("2024-02-22T08:51:31.", "2024-02-22T08:51:31Z");
    check_reads_as(
        "2024-02-22T08:51:31,123456789012Z",
        "2024-02-22T08:51:31.123456789012Z",
    );
}

#[test]
fn zones_and_white_space_are_taken() {
    check_reads_as(" 2024-02-22T08:51:31.32 \n", "2024-02-22T08:51:31.32Z");
    check_reads_as("2024-02-22T08:51:31+00:00", "2024-02-22T08:51:31Z");
    check_reads_as("2024-02-22t08:51:31z", "2024-02-22T08:51:31Z");
    check_reads_as("2024-02-22 08:51:31", "2024-02-22T08:51:31Z");
    check_reads_as("2024-03-01T00:30:00.25+01:00", "2024-02-29T23:30:00.25Z");
    check_reads_as("2023-12-31T20:00:00-0500", "2024-01-01T01:00:00Z");
    check_reads_as("2023-12-31T24:00:00", "2024-01-01T00:00:00Z");
}

#[test]
fn times_that_do_not_exist_are_impossible() {
    for text in [
        "2016-01--3T03:05:12",
        "2023-12-01T2055:50:59.84",
        "2023-02-29T00:00:00",
        "2023-13-01T00:00:00",
        "2023-00-01T00:00:00",
        "2023-04-31T00:00:00",
        "2023-01-01T24:00:01",
        "2023-01-01T25:00:00",
        "2023-01-01T00:60:00",
        "2023-01-01T00:00:61",
        "2023-01-01",
        "2023-01-01T00:00",
        "2023-01-01T00:00:00Zulu",
        "2023-01-01T00:00:00+15:00",
        "23-01-01T00:00:00",
        "+2023-01-01T00:00:00",
        "59945.5",
        "",
        "2023-01-01T00:00:0\u{e9}",
        "2023-01-01T00:00:00.0000000000000000000000000000001",
    ] {
        check_impossible(text);
    }
}

#[test]
fn a_leap_second_exists_only_where_there_was_one() {
    check_reads_as("2016-12-31T23:59:60.5Z", "2016-12-31T23:59:60.5Z");
    check_reads_as("2017-01-01T00:59:60+01:00", "2016-12-31T23:59:60Z");
    check_reads_as("2012-06-30T23:59:60", "2012-06-30T23:59:60Z");
    check_reads_as("2040-06-30T23:59:60", "2040-06-30T23:59:60Z");
    check_impossible("2018-12-31T23:59:60");
    check_impossible("2016-12-31T22:59:60");
    check_impossible("2016-12-30T23:59:60");
}

/// GPS times of events as LIGO and Virgo published them, and of the epoch and leap seconds as
/// `astropy.time` has them.
#[test]
fn gps_times_are_the_published_ones() {
    check_gps("1980-01-06T00:00:00", 0, 0);
    check_gps("2015-09-14T09:50:45.39", 1_126_259_462, 390_000_000);
    check_gps("2017-08-17T12:41:04.43", 1_187_008_882, 430_000_000);
    check_gps("2016-12-31T23:59:59", 1_167_264_016, 0);
    check_gps("2016-12-31T23:59:60", 1_167_264_017, 0);
    check_gps("2017-01-01T00:00:00", 1_167_264_018, 0);
    check_gps("1981-07-01T00:00:00", 46_828_801, 0);
    assert!(
        NoticeTime::parse("1980-01-05T23:59:59")
            .unwrap()
            .gps()
            .is_err()
    );
}

#[test]
fn a_time_in_another_scale_keeps_its_digits_and_has_its_own_gps_time() {
    let barycentric = TimeScale::from_coord_system("TDB-ICRS-BARY");
    let time = NoticeTime::parse("2016-10-31T22:27:33")
        .unwrap()
        .with_scale(barycentric);
    assert_eq!(time.to_string(), "2016-10-31T22:27:33Z");
    // UTC is 68.184 s behind TT then: 36 leap seconds of TAI and 32.184 s.
    let utc = NoticeTime::parse("2016-10-31T22:26:24.816").unwrap();
    assert_eq!(time.gps(), utc.gps());
    assert_eq!(TimeScale::from_coord_system("UTC-FK5-GEO"), TimeScale::Utc);
    assert_eq!(TimeScale::from_coord_system("FK5-UTC-GEO"), TimeScale::Utc);
    assert_eq!(
        TimeScale::from_coord_system("GPS-ICRS-TOPO"),
        TimeScale::Gps
    );
}

#[test]
fn a_gps_time_is_a_number_and_a_text() {
    let gps = GpsTime {
        seconds: 1_187_008_882,
        nanoseconds: 430_000_000,
    };
    assert!((gps.as_f64() - 1_187_008_882.43).abs() < 1e-6);
    assert_eq!(gps.to_string(), "1187008882.430000000");
}

#[test]
fn every_day_of_eight_centuries_has_its_date() {
    let mut expected = (1600, 1, 1);
    for days in days_from_civil(1600, 1, 1)..days_from_civil(2400, 1, 1) {
        let (year, month, day) = civil_from_days(days);
        assert_eq!((year, month, day), expected);
        assert_eq!(days_from_civil(year, month, day), days);
        let next = super::parse::parse(&format!("{year:04}-{month:02}-{:02}T00:00:00", day + 1));
        expected = match (next, month) {
            (Some(_), _) => (year, month, day + 1),
            (None, 12) => (year + 1, 1, 1),
            (None, _) => (year, month + 1, 1),
        };
    }
}
