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
