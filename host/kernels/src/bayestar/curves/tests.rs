use super::*;
use crate::bayestar::radial::{DistancePrior, direct};
use crate::work::Work;

/// Bounds within which all angles matter.
fn bounds(low: f32, high: f32, peak: f32) -> Bounds {
    Bounds {
        peak,
        floor: low,
        high,
        matters: [true; PADDED],
    }
}

fn table(min: f64) -> (RadialTable, DistancePrior) {
    let prior = DistancePrior::new(min, 500.0, 2, false).expect("valid");
    let table = RadialTable::new(1_500.0, &prior, &Work::default()).expect("made");
    (table, prior)
}

/// Fits between two values of `q` and compares with the integral at some between, for each `p`.
#[track_caller]
fn check_fit((table, prior): &(RadialTable, DistancePrior), (low, high): (f32, f32), ps: &[f64]) {
    let mut nodes = Nodes::new(table);
    for &p in ps {
        let peak = high * high - 5.0;
        let x = [narrow(p.ln()); PADDED];
        let curves =
            Curves::fit::<true>(table, &mut nodes, &x, &bounds(low * low, high * high, peak));
        for part in [0.0, 0.1, 0.5, 0.77, 0.9, 1.0] {
            let q = low + (high - low) * part;
            let mut sums = [[0.0; LANES]; N_FIT];
            curves.add::<true>(1, &[q * q; LANES], &mut sums);
            let [value, mean, square] = curves.moments::<true>(1, &sums).map(|lanes| lanes[3]);
            let exact = direct(prior, p, f64::from(q));
            let log = f64::from(value).ln() + f64::from(peak);
            let off = log - (f64::from(q * q) + exact.ln);
            // Below, errors are as small a part of the sum as the integrand is.
            let allowed = if part < 0.4 { 5e-3 } else { 5e-5 };
            assert!(off.abs() < allowed, "p {p}, q {q}: off by {off}");
            let mean = f64::from(mean / value) * prior.max() / exact.mean - 1.0;
            let square = f64::from(square / value) * prior.max().powi(2) / exact.mean_square - 1.0;
            assert!(
                mean.abs() < 4.0 * allowed,
                "p {p}, q {q}: mean off by {mean}"
            );
            assert!(
                square.abs() < 4.0 * allowed,
                "p {p}, q {q}: square off by {square}"
            );
        }
    }
}

#[test]
fn polynomials_agree_with_the_integral_where_signals_are() {
    let table = table(0.0);
    check_fit(&table, (20.0, 20.2), &[200.0, 700.0, 1_450.0]);
    check_fit(&table, (7.4, 8.5), &[200.0, 700.0, 1_450.0]);
    check_fit(&table, (4.3, 6.0), &[300.0, 700.0, 1_450.0]);
    check_fit(&table, (3.0, 5.0), &[500.0, 700.0, 1_450.0]);
}

#[test]
fn a_prior_with_a_minimum_has_polynomials_too() {
    let table = table(20.0);
    check_fit(&table, (4.3, 6.0), &[300.0, 700.0, 1_450.0]);
}

#[test]
fn an_interval_without_width_is_widened() {
    let table = table(0.0);
    check_fit(&table, (6.0, 6.0), &[700.0]);
}

#[test]
fn without_a_signal_the_prior_is_left() {
    let (table, prior) = table(0.0);
    let mut nodes = Nodes::new(&table);
    for x in [narrow(1e-9_f64.ln()), -300.0] {
        let curves = Curves::fit::<true>(&table, &mut nodes, &[x; PADDED], &bounds(0.0, 0.0, 18.0));
        let mut sums = [[0.0; LANES]; N_FIT];
        curves.add::<true>(0, &[0.0; LANES], &mut sums);
        let log = f64::from(sums[0][0]).ln() + 18.0;
        assert!((log - prior.ln_norm()).abs() < 1e-4, "{log}");
    }
}

#[test]
fn an_angle_that_does_not_matter_adds_nothing() {
    let (table, _) = table(0.0);
    let mut nodes = Nodes::new(&table);
    let x = [narrow(700.0_f64.ln()); PADDED];
    let mut bounds = bounds(50.0, 64.0, 60.0);
    bounds.matters[1] = false;
    let curves = Curves::fit::<true>(&table, &mut nodes, &x, &bounds);
    let mut sums = [[0.0; LANES]; N_FIT];
    for g in [40.0, 50.0, 57.0, 64.0, 80.0] {
        curves.add::<true>(0, &[g; LANES], &mut sums);
    }
    assert!(sums[0][0] > 1e-3 && sums[0][1] < 1e-18, "{:?}", sums[0]);
}

#[test]
fn a_short_horizon_of_distance_does_not_become_nothing() {
    let prior = DistancePrior::new(0.0, 1.0, 2, false).expect("valid");
    let table = RadialTable::new(2_000.0, &prior, &Work::default()).expect("made");
    let mut nodes = Nodes::new(&table);
    let x = narrow(1_900.0_f64.ln());
    let ln_g = [narrow(2.0 * 30.0_f64.ln()); N_FIT];
    let found = nodes.line.look_up::<true>(&table, x, &ln_g);
    assert!(found[0][0].is_finite() && found[0][0] < -1e6, "{found:?}");
}
