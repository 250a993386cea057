use super::*;

/// Values of LAL's `XLALGreenwichMeanSiderealTime`.
#[test]
fn sidereal_time_agrees_with_lal() {
    for (nanos, expected) in [
        (967_264_162_000_000_000, 24_542.933_870_734_058),
        (1_368_200_000_486_156_000, 53_779.639_500_117_686),
    ] {
        let gmst = GpsTime::from_nanos(nanos).gmst();
        assert!((gmst - expected).abs() < 1e-11, "{gmst} {expected}");
    }
}

/// From the header of a published map of 2023.
#[test]
fn a_gps_time_has_its_utc_date_and_julian_date() {
    let time = GpsTime::from_nanos(1_368_200_000_486_155_776);
    assert_eq!(time.utc(), "2023-05-15T15:33:02.486156");
    assert!((time.mjd() - 60_079.647_945_441_62).abs() < 1e-10);
}

#[test]
fn the_epoch_and_leap_seconds_are_where_they_belong() {
    assert_eq!(GpsTime::from_nanos(0).utc(), "1980-01-06T00:00:00.000000");
    // GW150914 and the second after the leap second of 2016-12-31.
    let at = |seconds| GpsTime::new(seconds, 0).expect("in range").utc();
    assert_eq!(at(1_126_259_462), "2015-09-14T09:50:45.000000");
    assert_eq!(at(1_167_264_018), "2017-01-01T00:00:00.000000");
    assert_eq!(at(1_167_264_016), "2016-12-31T23:59:59.000000");
}

#[track_caller]
fn check_parse(text: &str, expected: Option<i64>) {
    assert_eq!(
        GpsTime::parse(text).map(GpsTime::nanos),
        expected,
        "{text:?}"
    );
}

#[test]
fn decimal_seconds_are_read_to_the_nanosecond() {
    check_parse("1368200000.43359375", Some(1_368_200_000_433_593_750));
    check_parse(" 967264162 ", Some(967_264_162_000_000_000));
    check_parse("0.0000000019", Some(1));
    check_parse("-1.5", Some(-1_500_000_000));
}

#[test]
fn text_that_is_no_time_is_refused() {
    for text in [
        "",
        ".",
        ".5",
        "1e9",
        "1,5",
        "nan",
        "99999999999",
        "12345678901234567890",
    ] {
        check_parse(text, None);
    }
}

#[test]
fn computer_clocks_agree_with_utc() {
    let utc = |seconds| GpsTime::from_unix(seconds).utc();
    // `date -u -d @SECONDS`.
    assert_eq!(utc(1_684_164_782), "2023-05-15T15:33:02.000000");
    assert_eq!(utc(1_483_228_799), "2016-12-31T23:59:59.000000");
    assert_eq!(utc(1_483_228_800), "2017-01-01T00:00:00.000000");
    assert_eq!(GpsTime::from_unix(315_964_800), GpsTime::from_nanos(0));
}
