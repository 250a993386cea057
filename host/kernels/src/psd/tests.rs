use super::*;

#[test]
fn a_power_law_is_interpolated_exactly() {
    let values: Vec<f64> = (0..100).map(|k| (f64::from(k) * 0.5).powi(-4)).collect();
    let curve = Psd::new(0.0, 0.5, values)
        .and_then(|psd| psd.interpolate(1.0))
        .expect("positive");
    for f in [0.5_f64, 0.75, 3.3, 49.5] {
        let found = curve.ln_at(f, f.ln()).expect("in the band");
        assert!((found + 4.0 * f.ln()).abs() < 1e-12, "{f}");
    }
    assert_eq!(curve.ln_at(0.49, 0.49_f64.ln()), None);
    assert_eq!(curve.ln_at(49.51, 49.51_f64.ln()), None);
}

#[test]
fn the_top_of_a_spectrum_is_cut() {
    let curve = Psd::new(10.0, 1.0, vec![1.0; 91]).and_then(|psd| psd.interpolate(0.95));
    assert_eq!(curve.expect("positive").band(), (10.0, 95.0));
}

#[track_caller]
fn check_refused(f0: f64, delta_f: f64, values: &[f64]) -> PsdError {
    Psd::new(f0, delta_f, values.to_vec())
        .and_then(|psd| psd.interpolate(0.95))
        .expect_err("refused")
}

#[test]
fn a_spectrum_with_a_hole_is_refused_where_it_is_used() {
    for hole in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = check_refused(1.0, 1.0, &[1.0, hole, 1.0, 1.0]);
        assert!(
            matches!(error, PsdError::Value { frequency, .. } if (frequency - 2.0).abs() < 1e-12),
            "{error}"
        );
    }
    // Beyond the cut anything may stand.
    let psd = Psd::new(1.0, 1.0, vec![1.0, 1.0, 1.0, f64::INFINITY]);
    assert!(psd.and_then(|psd| psd.interpolate(0.95)).is_ok());
}

#[test]
fn frequencies_that_do_not_rise_are_refused() {
    for (f0, delta_f) in [
        (-1.0, 1.0),
        (0.0, 0.0),
        (0.0, -1.0),
        (f64::NAN, 1.0),
        (0.0, f64::NAN),
    ] {
        let error = check_refused(f0, delta_f, &[1.0; 9]);
        assert!(matches!(error, PsdError::Frequencies { .. }));
    }
    assert!(matches!(
        check_refused(0.0, 1.0, &[1.0, 1.0]),
        PsdError::Short(1)
    ));
    assert!(matches!(check_refused(0.0, 1.0, &[]), PsdError::Short(0)));
}
