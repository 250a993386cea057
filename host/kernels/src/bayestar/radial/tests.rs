use super::*;

fn prior(min: f64, max: f64, power: i32) -> DistancePrior {
    DistancePrior::new(min, max, power, false).expect("valid")
}

#[test]
fn the_integral_agrees_with_reference_values() {
    let Some(text) = crate::shared_text("bayestar/vectors.json") else {
        return;
    };
    let vectors: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut count = 0;
    for case in vectors["T"].as_array().expect("a list") {
        let number = |key: &str| case[key].as_f64().expect("a number");
        // The power k' in the file is the prior's 2 and the moment's order together.
        let power = i32::try_from(case["k"].as_i64().expect("an integer")).expect("small");
        let (p, b) = (number("p"), number("b"));
        let found = direct(&prior(number("r1"), number("r2"), power), p, b / (2.0 * p));
        let expected = number("T");
        assert!((found.ln - expected).abs() < 1e-8, "{case}: {}", found.ln);
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn moments_are_ratios_of_integrals_with_more_powers() {
    let (p, s) = (300.0, 12.0);
    let [t0, t1, t2] = [2, 3, 4].map(|power| direct(&prior(0.0, 500.0, power), p, s));
    assert!((t0.mean.ln() - (t1.ln - t0.ln)).abs() < 1e-9);
    assert!((t0.mean_square.ln() - (t2.ln - t0.ln)).abs() < 1e-9);
}

#[test]
fn without_a_signal_only_the_prior_is_left() {
    for (min, power) in [(0.0, 2), (10.0, 2), (10.0, -1), (10.0, -2), (0.0, 0)] {
        let prior = prior(min, 500.0, power);
        let found = direct(&prior, 1e-6, 0.0).ln;
        assert!(
            (found - prior.ln_norm()).abs() < 1e-7,
            "{min} {power}: {found}"
        );
    }
}

#[test]
fn a_signal_beyond_the_limits_is_integrated_at_their_edge() {
    // The peak is at 100 Mpc, the prior ends at 10: no underflow.
    let far = direct(&prior(0.0, 10.0, 2), 5_000.0, 50.0);
    assert!(
        far.ln.is_finite() && far.mean < 10.0 && far.mean > 9.9,
        "{far:?}"
    );
    let near = direct(&prior(300.0, 400.0, 2), 5_000.0, 50.0);
    assert!(
        near.ln.is_finite() && near.mean > 300.0 && near.mean < 301.5,
        "{near:?}"
    );
}

#[test]
fn impossible_priors_are_refused() {
    let refused =
        |min, max, power, cosmology| DistancePrior::new(min, max, power, cosmology).is_err();
    assert!(refused(0.0, 0.0, 2, false));
    assert!(refused(-1.0, 1.0, 2, false));
    assert!(refused(2.0, 1.0, 2, false));
    assert!(refused(0.0, f64::INFINITY, 2, false));
    assert!(refused(f64::NAN, 1.0, 2, false));
    assert!(refused(0.0, 100.0, -1, false));
    assert!(refused(1.0, 100.0, 3, true));
    assert!(refused(1.0, 100.0, 9, false));
}

#[test]
fn cosmology_dims_the_far_end_of_the_prior() {
    let cosmology = DistancePrior::new(0.0, 10_000.0, 2, true).expect("valid");
    // dV_C/dV_L is (1+z)^-4 or so: little at 10 Mpc, a lot at 7 Gpc (z about 1).
    assert!(
        (cosmology.weight(10.0) - 1.0).abs() < 0.02,
        "{}",
        cosmology.weight(10.0)
    );
    assert!(
        cosmology.weight(7_000.0) < 0.1,
        "{}",
        cosmology.weight(7_000.0)
    );
    assert!((cosmology.weight(0.5) - 1.0).abs() < 1e-15);
    let below = cosmology.weight(13.8_f64.exp());
    let above = cosmology.weight(13.9_f64.exp());
    assert!(above < below && above > 0.5 * below);
}
