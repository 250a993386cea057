use super::*;

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
fn nodes_are_integrals_and_repeated_beyond_the_ends() {
    let prior = DistancePrior::new(0.0, 500.0, 2, false).expect("valid");
    let table = RadialTable::new(1_500.0, &prior, &Work::default()).expect("made");
    let mut nodes = [[0.0; 4]; 8];
    // Interpolation on a node is the node.
    let x = table.axes.x_min + 200.0 * table.axes.step;
    table.cut(x + 1e-9, 396, &mut nodes);
    for (j, node) in (396_u16..400).zip(&nodes) {
        let y = table.axes.y_min + f64::from(j) * table.axes.step;
        let exact = crate::bayestar::radial::direct(&prior, x.exp(), (x - y).exp());
        assert!(
            (f64::from(node[0]) - exact.ln).abs() < 1e-5,
            "{node:?} {exact:?}"
        );
    }
    assert!(
        nodes[4..]
            .iter()
            .all(|node| (node[0] - nodes[3][0]).abs() < 1e-6)
    );
}

#[test]
fn the_anti_diagonal_has_its_ends_repeated() {
    let prior = DistancePrior::new(0.0, 500.0, 2, false).expect("valid");
    let table = RadialTable::new(1_500.0, &prior, &Work::default()).expect("made");
    let edge = table.diagonal();
    assert_eq!(edge.len(), N_NODES + 3);
    assert_eq!(edge[..1], edge[1..2]);
    assert_eq!(edge[N_NODES..], [edge[N_NODES]; 3]);
}

/// Bounds must not be wrong by more than what the cut-off has to spare.
#[test]
fn the_coarse_look_up_is_close_to_the_integral() {
    let prior = DistancePrior::new(0.0, 500.0, 2, false).expect("valid");
    let table = RadialTable::new(1_500.0, &prior, &Work::default()).expect("made");
    for p in [50.0_f64, 200.0, 700.0, 1_499.0] {
        for ln_g in [0.0_f32, 1.0, 2.0, 4.0, 5.5] {
            let exact = crate::bayestar::radial::direct(&prior, p, f64::from(ln_g / 2.0).exp());
            let coarse = table.coarse(&[narrow(p.ln()); LANES], &[ln_g; LANES])[3];
            if ln_g < 4.0 * (narrow(p.ln()) - narrow(table.axes.v_max)) {
                assert!(
                    (exact.ln - f64::from(coarse)).abs() < 0.02,
                    "p {p}, ln g {ln_g}: {exact:?} {coarse}"
                );
            }
        }
    }
}

#[test]
fn below_the_floor_no_p_reaches_the_target() {
    let prior = DistancePrior::new(0.0, 500.0, 2, false).expect("valid");
    let table = RadialTable::new(1_500.0, &prior, &Work::default()).expect("made");
    for (p_max, target, high) in [
        (1_450.0, 25.0, 60.0),
        (700.0, 6.0, 20.0),
        (300.0, 560.0, 600.0),
        (1_450.0, -9.0, 9.0),
    ] {
        let x = narrow(f64::ln(p_max));
        let floor = table.floor::<true>(x, target, high);
        assert!(floor >= 0.0 && floor < high, "{floor}");
        let value = |g: f32| {
            let x = std::array::from_fn(|l| x - 0.1 * l as f32);
            let values = table.coarse(&x, &[g.max(NO_SIGNAL).ln(); LANES]);
            values.into_iter().fold(f32::NEG_INFINITY, f32::max) + g
        };
        if floor > 0.0 {
            assert!(value(floor) < target + 0.02, "{floor}");
        }
        // And not far below: two steps of the search above it some p is over the target.
        let next = (floor.sqrt() + high.sqrt() / 128.0).powi(2);
        assert!(value(next) > target - 0.3, "{floor} {next}");
    }
}
