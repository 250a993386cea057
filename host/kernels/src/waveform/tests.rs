use super::*;

fn template(m1: f64, m2: f64, f_final: f64) -> Template {
    Template::new([m1, m2], [0.0; 2], f_final).expect("valid")
}

/// Grid of `LALSimulation` 7 for 1.4 + 1.4 solar masses from 15 Hz.
#[test]
fn a_neutron_star_binary_has_the_grid_of_lalsimulation() {
    let power = TemplatePower::new(&template(1.4, 1.4, 2_048.0), Approximant::TaylorF2, 15.0);
    let power = power.expect("laid out");
    assert!((power.delta_f - 1.0 / 512.0).abs() < 1e-15);
    assert!((power.f_max - 4_096.0).abs() < 1e-12);
    // The last stable orbit ends it.
    let f_isco = 4_397.0 / 2.8;
    assert!((power.end as f64 * power.delta_f - f_isco).abs() < 2.0);
}

#[test]
fn both_models_agree_on_a_slow_inspiral_to_their_first_order() {
    let template = template(1.4, 1.4, 2_048.0);
    let [newtonian, fitted] = [Approximant::TaylorF2, Approximant::ImrPhenomD]
        .map(|model| TemplatePower::new(&template, model, 20.0).expect("laid out"));
    // They differ in the correction of relative order v², which is 0.012 at 30 Hz.
    for f in [25.0, 27.0, 30.0] {
        let at = |power: &TemplatePower| power.at(f / power.delta_f);
        let ratio = at(&newtonian) / at(&fitted);
        assert!((ratio - 1.0).abs() < 0.06, "{f} Hz: {ratio}");
    }
}

#[test]
fn the_inspiral_rings_down_without_a_step() {
    for (m1, m2, spin) in [
        (36.0, 29.0, [0.3, -0.4]),
        (9.0, 2.0, [0.5, 0.1]),
        (90.0, 85.0, [-0.5, 0.5]),
    ] {
        let template = Template::new([m1, m2], spin, 1_024.0).expect("valid");
        let power = TemplatePower::new(&template, Approximant::ImrPhenomD, 15.0).expect("laid out");
        let mut last: Option<f64> = None;
        for k in power.untapered..power.end {
            let value = power.at(k as f64);
            if let Some(last) = last {
                assert!((value / last).ln().abs() < 0.2, "{m1} + {m2} at bin {k}");
            }
            last = Some(value);
        }
    }
}

#[test]
fn the_order_of_the_bodies_does_not_matter() {
    let power = |mass, spin| {
        let template = Template::new(mass, spin, 2_048.0).expect("valid");
        let power = TemplatePower::new(&template, Approximant::ImrPhenomD, 15.0).expect("laid out");
        power.at(power.end as f64 / 3.0)
    };
    let (a, b) = (power([9.0, 2.0], [0.5, 0.1]), power([2.0, 9.0], [0.1, 0.5]));
    assert!((a / b - 1.0).abs() < 1e-12);
}

#[test]
fn impossible_templates_are_refused() {
    assert!(Template::new([0.0, 1.0], [0.0; 2], 2_048.0).is_err());
    assert!(Template::new([f64::NAN, 1.0], [0.0; 2], 2_048.0).is_err());
    assert!(Template::new([1.0, 1.0], [1.1, 0.0], 2_048.0).is_err());
    assert!(Template::new([1.0, 1.0], [0.0; 2], f64::INFINITY).is_err());
    let bns = template(1.4, 1.4, 2_048.0);
    assert!(TemplatePower::new(&bns, Approximant::TaylorF2, 0.0).is_err());
    assert!(TemplatePower::new(&bns, Approximant::TaylorF2, 4_000.0).is_err());
    let light = template(0.05, 0.05, 2_048.0);
    assert!(matches!(
        TemplatePower::new(&light, Approximant::TaylorF2, 5.0),
        Err(TemplateError::TooLong(_))
    ));
}

#[test]
fn names_of_models_are_those_of_the_field() {
    assert_eq!(
        WaveformChoice::by_name("o2-uberbank"),
        Some(WaveformChoice::ByMass)
    );
    assert_eq!(WaveformChoice::by_name("SEOBNRv4"), None);
    let choice = WaveformChoice::ByMass;
    assert_eq!(
        choice.resolve(&template(1.9, 2.0, 2_048.0)),
        Approximant::TaylorF2
    );
    assert_eq!(
        choice.resolve(&template(2.0, 2.0, 2_048.0)),
        Approximant::ImrPhenomD
    );
}
