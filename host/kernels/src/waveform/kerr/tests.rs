use super::*;

#[track_caller]
fn check_mode(spin: f64, frequency: f64, damping: f64, tolerance: f64) {
    let (f, d) = fundamental_mode(spin);
    let turns = 2.0 * std::f64::consts::PI;
    let apart = (f * turns - frequency)
        .abs()
        .max((d * turns - damping).abs());
    assert!(
        apart < tolerance,
        "spin {spin}: {} {}",
        f * turns,
        d * turns
    );
}

/// Leaver 1985, table 1 (zero spin) and Berti, Cardoso & Starinets 2009, CQG 26 163001, tables.
#[test]
fn the_mode_has_its_published_frequencies() {
    check_mode(0.0, 0.373_672, 0.088_962, 1e-6);
    check_mode(0.7, 0.532_600, 0.080_793, 1e-6);
    check_mode(0.9, 0.671_614, 0.064_869, 1e-6);
}

#[test]
fn the_mode_is_smooth_through_zero_spin_and_ends_where_it_must() {
    let (below, at, above) = (
        fundamental_mode(-0.01),
        fundamental_mode(0.0),
        fundamental_mode(0.01),
    );
    assert!((below.0 + above.0 - 2.0 * at.0).abs() < 1e-5);
    let (frequency, damping) = fundamental_mode(1.0);
    assert!((0.15..0.16).contains(&frequency) && (0.0..0.002).contains(&damping));
}

#[test]
fn the_mode_agrees_with_the_reference_table_over_all_spins() {
    let Some(table) = crate::shared_text("bayestar/qnm220.csv") else {
        return;
    };
    for line in table.lines().skip(1) {
        let row: Vec<f64> = line
            .split(',')
            .filter_map(|text| text.parse().ok())
            .collect();
        let [spin, frequency, damping] = row[..] else {
            panic!("a row of {line:?}")
        };
        let (f, d) = fundamental_mode(spin);
        assert!((f - frequency).abs() < 2e-8, "spin {spin}: {f} {frequency}");
        assert!((d - damping).abs() < 2e-8, "spin {spin}: {d} {damping}");
    }
}
