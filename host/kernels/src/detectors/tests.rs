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

/// Values of LAL's `XLALComputeDetAMResponse` at right ascension 1, declination 0.4, GMST 3.5.
#[test]
fn antenna_factors_of_every_site_agree_with_lal() {
    for (prefix, plus, cross) in [
        ("H1", 0.153_314_936, 0.857_998_093),
        ("L1", 0.080_680_192, -0.703_971_848),
        ("V1", -0.210_071_489, 0.253_423_892),
        ("K1", 0.386_526_793, 0.339_877_834),
        ("I1", -0.325_412_529, -0.511_650_079),
        ("G1", 0.439_303_433, 0.272_489_694),
        ("H2", 0.153_314_936, 0.857_998_093),
        ("T1", 0.109_321_020, 0.538_098_981),
        ("C1", -0.828_814_623, 0.378_461_463),
        ("A1", 0.237_515_678, 0.706_537_516),
        ("O1", 0.555_948_826, 0.673_231_103),
        ("X1", 0.502_100_835, 0.710_519_276),
        ("B1", -0.403_986_497, 0.852_478_323),
        ("N1", 0.500_793_469, 0.719_746_334),
        ("E1", 0.027_215_332, 0.343_182_044),
        ("E2", 0.342_322_556, -0.036_953_825),
        ("E3", -0.369_537_930, -0.306_228_214),
    ] {
        let detector = Detector::by_prefix(prefix).expect("known");
        let (found_plus, found_cross) = detector.antenna_factors(2.5, 0.4);
        let apart = (found_plus - plus).abs().max((found_cross - cross).abs());
        assert!(apart < 1e-8, "{prefix}: {found_plus} {found_cross}");
    }
}
