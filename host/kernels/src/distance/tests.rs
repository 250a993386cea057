use super::*;

#[track_caller]
fn check_round_trip(mean: f64, std: f64) {
    let found = Moments { mean, std }.fit().moments();
    assert!(
        (found.mean / mean - 1.0).abs() < 1e-6,
        "mean {mean}, std {std}: {found:?}"
    );
    assert!(
        (found.std / std - 1.0).abs() < 1e-6,
        "mean {mean}, std {std}: {found:?}"
    );
}

#[test]
fn a_fit_reproduces_the_moments_it_was_made_from() {
    for ratio in [1.75, 1.8, 2.0, 2.5, 3.0, 5.0, 10.0, 100.0] {
        check_round_trip(100.0 * ratio, 100.0);
        check_round_trip(0.01 * ratio, 0.01);
    }
}

#[test]
fn a_broad_distance_is_marked_as_unusable() {
    let unusable = Ansatz {
        mu: f64::INFINITY,
        sigma: 1.0,
        norm: 0.0,
    };
    assert_eq!(
        Moments {
            mean: 1.73,
            std: 1.0
        }
        .fit(),
        unusable
    );
    assert_eq!(
        Moments {
            mean: 1.74,
            std: 1.0
        }
        .fit(),
        unusable
    );
    assert_eq!(Moments::from_powers(2.0, 3.9).fit(), unusable);
    assert_eq!(Moments::from_powers(f64::NAN, 1.0).fit(), unusable);
}

#[test]
fn probability_over_all_distances_is_one() {
    for ratio in [1.8, 2.5, 6.0] {
        let ansatz = Moments {
            mean: ratio * 40.0,
            std: 40.0,
        }
        .fit();
        assert!((ansatz.cdf(1e5) - 1.0).abs() < 1e-6, "{ratio}");
        let median = ansatz.cdf(ratio * 40.0);
        assert!((0.4..0.6).contains(&median), "{ratio}: {median}");
    }
}

/// Abramowitz & Stegun, table 7.1 and 26.1.
#[test]
fn the_normal_distribution_has_its_tabulated_values() {
    for (z, expected) in [
        (0.0, 0.5),
        (1.0, 0.841_344_746_068_542_9),
        (-2.0, 0.022_750_131_948_179_2),
        (-6.0, 9.865_876_450_376_946e-10),
        (3.0, 0.998_650_101_968_369_9),
    ] {
        let found = normal_cdf(z);
        assert!((found / expected - 1.0).abs() < 1e-12, "{z}: {found}");
    }
}
