use super::*;

#[test]
fn hanford_and_livingston_are_ten_light_milliseconds_apart() {
    let place = |prefix| Detector::by_prefix(prefix).expect("known").location();
    let (h, l) = (place("H1"), place("L1"));
    let between = [h[0] - l[0], h[1] - l[1], h[2] - l[2]];
    let seconds = dot(between, between).sqrt();
    assert!((seconds - 0.010_013).abs() < 1e-6, "{seconds}");
}

#[test]
fn unknown_detectors_and_placeholders_are_refused() {
    for prefix in ["", "U1", "E0", "H", "H1 ", "h1", "Ω"] {
        assert_eq!(Detector::by_prefix(prefix), None, "{prefix:?}");
    }
    assert_eq!(Detector::by_prefix("V0"), Detector::by_prefix("V1"));
    assert_eq!(Detector::prefixes().count(), 17);
}

#[test]
fn no_interferometer_hears_more_than_a_source_overhead() {
    for prefix in ["H1", "L1", "V1", "K1", "I1", "G1"] {
        let detector = Detector::by_prefix(prefix).expect("known");
        let mut best = 0.0_f64;
        for pixel in crate::healpix::Pixel::all(5) {
            let (ra, dec) = pixel.center();
            let (plus, cross) = detector.antenna_factors(ra, dec);
            best = best.max(plus.hypot(cross));
        }
        assert!((0.97..1.0001).contains(&best), "{prefix}: {best}");
    }
}

#[test]
fn turning_by_the_hour_angle_of_a_half_circle_mirrors_the_sky() {
    // Opposite directions are heard with the same strength.
    let detector = Detector::by_prefix("V1").expect("known");
    let (plus, cross) = detector.antenna_factors(0.7, 0.4);
    let (plus_2, cross_2) = detector.antenna_factors(0.7 + std::f64::consts::PI, -0.4);
    assert!((plus.hypot(cross) - plus_2.hypot(cross_2)).abs() < 1e-12);
}
