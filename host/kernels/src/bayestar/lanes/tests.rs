use super::*;

/// Many values between two bounds, the bounds among them.
fn between(low: f32, high: f32) -> impl Iterator<Item = f32> {
    (0..=50_000_u16).map(move |k| low + (high - low) * (f32::from(k) / 50_000.0))
}

#[track_caller]
fn check_relative(x: f32, found: f32, exact: f64) {
    let error = (f64::from(found) / exact - 1.0).abs();
    assert!(error < 2.5e-7, "at {x}: {found} instead of {exact}");
}

#[test]
fn the_exponential_is_good_to_two_units() {
    for x in between(-64.0, 125.0).chain(between(-1.0, 1.0)) {
        check_relative(x, exp2::<true>(x), f64::from(x).exp2());
        check_relative(x, exp2::<false>(x), f64::from(x).exp2());
    }
}

#[test]
fn the_exponential_of_nothing_like_a_number_is_tiny_or_huge() {
    assert!(exp2::<true>(-1e30) < 1e-19);
    assert!(exp2::<true>(f32::NEG_INFINITY) < 1e-19);
    assert!(exp2::<true>(1e30) > 8e37);
}

#[test]
fn the_logarithm_is_good_to_two_units_of_its_value_or_of_one() {
    for x in between(0.01, 1.99)
        .chain(between(1e-30, 1e-29))
        .chain(between(1e3, 1e9))
    {
        for found in [ln::<true>(x), ln::<false>(x)] {
            let exact = f64::from(x).ln();
            let error = (f64::from(found) - exact).abs();
            assert!(
                error < 2.5e-7 * exact.abs().max(0.3),
                "at {x}: {found} instead of {exact}"
            );
        }
    }
}

#[test]
fn sine_and_cosine_are_good_far_from_zero() {
    for x in between(-8.0, 8.0)
        .chain(between(-2_000.0, 2_000.0))
        .chain(between(9e3, 1e4))
    {
        for (sin, cos) in [sin_cos::<true>(x), sin_cos::<false>(x)] {
            let (exact_sin, exact_cos) = f64::from(x).sin_cos();
            let error = (f64::from(sin) - exact_sin)
                .abs()
                .max((f64::from(cos) - exact_cos).abs());
            assert!(error < 4e-7, "at {x}: {sin} {cos}");
        }
    }
}

#[test]
fn interpolation_passes_through_the_nodes_and_keeps_parabolas() {
    let on_node = catmull_rom(0.0).map(|weight| weight.abs() > 0.0);
    assert_eq!(on_node, [false, true, false, false]);
    for t in between(0.0, 1.0) {
        let weights = catmull_rom(t);
        let parabola = [1.0, 0.0, 1.0, 4.0]
            .iter()
            .zip(weights)
            .map(|(y, w)| y * w)
            .sum::<f32>();
        assert!((parabola - t * t).abs() < 1e-6, "{t}");
    }
}
