use super::*;

fn table(p_max: f64, prior: &DistancePrior) -> RadialTable {
    RadialTable::new(p_max, prior, &Work::default()).expect("made")
}

/// Looks `(p, s)` up and compares with the integral.
#[track_caller]
fn check_lookup(table: &RadialTable, prior: &DistancePrior, p: f64, s: f64) {
    let [ln, mean, square, _] = table.cut(p.ln()).at(2.0 * s.ln());
    let exact = direct(prior, p, s);
    let unit = prior.max();
    assert!(
        (f64::from(ln) - exact.ln).abs() < 5e-5,
        "p {p}, s {s}: {ln} {}",
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
}

#[test]
fn look_ups_agree_with_the_integral_where_signals_are() {
    let prior = DistancePrior::new(0.0, 500.0, 2, false).expect("valid");
    let table = table(1_500.0, &prior);
    for p in [200.0, 700.0, 1_450.0] {
        for s in [0.5, 2.0, 5.0, 12.0, 20.0] {
            check_lookup(&table, &prior, p, s);
        }
    }
}

#[test]
fn a_prior_with_a_minimum_takes_the_general_way_to_the_same_kind_of_table() {
    let prior = DistancePrior::new(20.0, 500.0, 2, false).expect("valid");
    let table = table(1_500.0, &prior);
    for (p, s) in [(200.0, 3.0), (700.0, 6.0), (1_450.0, 20.0)] {
        check_lookup(&table, &prior, p, s);
    }
}

#[test]
fn both_ways_to_a_table_agree() {
    let axes_of = |min| {
        let prior = DistancePrior::new(min, 500.0, 2, false).expect("valid");
        (Axes::new(1_500.0, &prior), prior)
    };
    let ((axes, scale_free), (_, general)) = (axes_of(0.0), axes_of(1e-9));
    assert!(scale_free.is_scale_free() && !general.is_scale_free());
    for k in [200, 399, 500, 700, 790] {
        let pairs = diagonal(&axes, &scale_free, k)
            .into_iter()
            .zip(diagonal(&axes, &general, k));
        for (a, b) in pairs {
            assert!((a.ln - b.ln).abs() < 1e-7, "diagonal {k}: {a:?} {b:?}");
            assert!(
                (a.mean / b.mean - 1.0).abs() < 1e-7,
                "diagonal {k}: {a:?} {b:?}"
            );
        }
    }
}

#[test]
fn beyond_the_grid_the_edges_are_repeated() {
    let prior = DistancePrior::new(0.0, 500.0, 2, false).expect("valid");
    let table = table(1_500.0, &prior);
    let none = table.cut(1e-9_f64.ln()).at(-1e9);
    assert!(
        (f64::from(none[0]) - prior.ln_norm()).abs() < 1e-4,
        "{none:?}"
    );
    assert_eq!(
        table.cut(-300.0).at(-60.0).map(f32::to_bits),
        none.map(f32::to_bits)
    );
}

#[test]
fn a_short_horizon_of_distance_does_not_underflow() {
    let prior = DistancePrior::new(0.0, 1.0, 2, false).expect("valid");
    let table = table(2_000.0, &prior);
    let lookup = table.cut(1_900.0_f64.ln()).at(2.0 * 30.0_f64.ln());
    assert!(lookup[0].is_finite() && lookup[0] < -1e6, "{lookup:?}");
}
