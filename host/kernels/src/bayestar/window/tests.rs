use super::*;
use crate::bayestar::lanes::LANES;
use crate::bayestar::radial::{DistancePrior, direct};
use crate::work::Work;

/// A window for signals between two values of `L`.
fn window<'a>(
    table: &RadialTable,
    nodes: &'a mut Nodes,
    x: f64,
    (floor, best): (f64, f64),
) -> Window<'a> {
    let axes = &table.axes;
    let best = best.min(4.0 * (x - axes.v_max));
    let place = |ln_g: f64| {
        narrow((x - 0.5 * ln_g - axes.y_min) / axes.step)
            .clamp(-4.0, 399.0)
            .floor()
    };
    Window::new(table, nodes, x, (place(best) - 1.0, place(floor) + 2.0))
}

/// Looks `(p, s)` up, with a window that reaches further down than needed.
#[track_caller]
fn check_lookup(table: &RadialTable, prior: &DistancePrior, p: f64, s: f64) {
    let mut nodes = Nodes::new(table);
    let ln_g = narrow(2.0 * s.ln());
    let [value, mean, square, one] = window(
        table,
        &mut nodes,
        p.ln(),
        (2.0 * s.ln() - 1.0, 2.0 * s.ln() + 0.1),
    )
    .at(ln_g);
    let exact = direct(prior, p, s);
    let unit = prior.max();
    assert!(
        (f64::from(value) - exact.ln).abs() < 5e-5,
        "p {p}, s {s}: {value} {}",
        exact.ln
    );
    let mean = f64::from(mean) * unit / exact.mean;
    let square = f64::from(square) * unit * unit / exact.mean_square;
    assert!(
        (mean - 1.0).abs() < 1e-4,
        "p {p}, s {s}: mean off by {mean}"
    );
    assert!(
        (square - 1.0).abs() < 3e-4,
        "p {p}, s {s}: mean square off by {square}"
    );
    assert!((one - 1.0).abs() < 1e-6);
}

#[test]
fn look_ups_agree_with_the_integral_where_signals_are() {
    let prior = DistancePrior::new(0.0, 500.0, 2, false).expect("valid");
    let table = RadialTable::new(1_500.0, &prior, &Work::default()).expect("made");
    for p in [200.0, 700.0, 1_450.0] {
        for s in [0.5, 2.0, 5.0, 12.0, 20.0] {
            check_lookup(&table, &prior, p, s);
        }
    }
}

#[test]
fn a_prior_with_a_minimum_takes_the_general_way_to_the_same_kind_of_table() {
    let prior = DistancePrior::new(20.0, 500.0, 2, false).expect("valid");
    let table = RadialTable::new(1_500.0, &prior, &Work::default()).expect("made");
    for (p, s) in [(200.0, 3.0), (700.0, 6.0), (1_450.0, 20.0)] {
        check_lookup(&table, &prior, p, s);
    }
}

#[test]
fn without_a_signal_the_prior_is_left() {
    let prior = DistancePrior::new(0.0, 500.0, 2, false).expect("valid");
    let table = RadialTable::new(1_500.0, &prior, &Work::default()).expect("made");
    let mut nodes = Nodes::new(&table);
    for x in [1e-9_f64.ln(), -300.0] {
        let none = window(&table, &mut nodes, x, (-69.0, -60.0)).at(-65.0);
        assert!(
            (f64::from(none[0]) - prior.ln_norm()).abs() < 1e-4,
            "{none:?}"
        );
    }
}

#[test]
fn a_short_horizon_of_distance_does_not_underflow() {
    let prior = DistancePrior::new(0.0, 1.0, 2, false).expect("valid");
    let table = RadialTable::new(2_000.0, &prior, &Work::default()).expect("made");
    let mut nodes = Nodes::new(&table);
    let ln_g = narrow(2.0 * 30.0_f64.ln());
    let lookup = window(
        &table,
        &mut nodes,
        1_900.0_f64.ln(),
        (ln_g.into(), ln_g.into()),
    )
    .at(ln_g);
    assert!(lookup[0].is_finite() && lookup[0] < -1e6, "{lookup:?}");
}

/// Bounds must not be wrong by more than what the cut-off has to spare.
#[test]
fn the_coarse_look_up_is_close_to_the_fine_one() {
    let prior = DistancePrior::new(0.0, 500.0, 2, false).expect("valid");
    let table = RadialTable::new(1_500.0, &prior, &Work::default()).expect("made");
    let mut nodes = Nodes::new(&table);
    for p in [1.0_f64, 50.0, 200.0, 700.0, 1_499.0] {
        for ln_g in [-69.0, -5.0, 0.0, 2.0, 4.0, 5.5, 7.0] {
            let fine = window(&table, &mut nodes, p.ln(), (ln_g.into(), ln_g.into())).at(ln_g)[0];
            let coarse = table.coarse(&[narrow(p.ln()); LANES], &[ln_g; LANES])[3];
            assert!(
                (fine - coarse).abs() < 0.02,
                "p {p}, ln g {ln_g}: {fine} {coarse}"
            );
        }
    }
}

#[test]
fn a_group_is_the_sum_of_its_samples() {
    let prior = DistancePrior::new(0.0, 500.0, 2, false).expect("valid");
    let table = RadialTable::new(1_500.0, &prior, &Work::default()).expect("made");
    let mut nodes = Nodes::new(&table);
    let window = window(
        &table,
        &mut nodes,
        700.0_f64.ln(),
        (1e-3_f64.ln(), 40.0_f64.ln()),
    );
    let mut g = [0.0; LANES];
    for (l, g) in g.iter_mut().enumerate() {
        *g = narrow(2.5 * l as f64);
    }
    let peak = 45.0;
    let mut totals = [[0.0; 4]; 4];
    window.add::<true, LANES>(&mut totals, &g, peak);
    let mut expected = [0.0_f64; 4];
    for g in g {
        let node = window.at(g.max(NO_SIGNAL).ln());
        let weight = f64::from(g + node[0] - peak).exp();
        for (sum, value) in expected.iter_mut().zip(node) {
            *sum += weight * f64::from(value);
        }
    }
    for k in 0..4 {
        let found: f64 = totals.iter().map(|total| f64::from(total[k])).sum();
        assert!(
            (found / expected[k] - 1.0).abs() < 1e-5,
            "{k}: {found} {}",
            expected[k]
        );
    }
}
