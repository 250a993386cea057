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
    for name in WaveformChoice::NAMES {
        assert!(WaveformChoice::by_name(name).is_some(), "{name}");
    }
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

/// `|h|²` of `LALSimulation` 7.26 (`SimInspiralFD`, 1 Mpc, face-on, amplitude order 3.5PN) at some
/// bins: the second in the taper, others through inspiral, merger and ringdown.
#[track_caller]
fn check_lalsimulation(
    (masses, spins): ([f64; 2], [f64; 2]),
    (approximant, f_low, f_final): (Approximant, f64, f64),
    (duration, first): (f64, usize),
    bins: &[(usize, f64)],
) {
    let template = Template::new(masses, spins, f_final).expect("valid");
    let power = TemplatePower::new(&template, approximant, f_low).expect("laid out");
    assert!(
        (power.delta_f * duration - 1.0).abs() < 1e-12,
        "{masses:?}: {}",
        power.delta_f
    );
    // The taper begins with a zero.
    assert_eq!(power.first + 1, first, "{masses:?}");
    // The ringdown mode of LALSimulation is a coarser table; the post-Newtonian series is the same.
    let tolerance = if approximant == Approximant::TaylorF2 {
        1e-12
    } else {
        2e-4
    };
    for &(bin, expected) in bins.iter().filter(|(bin, _)| *bin < power.end) {
        let ratio = power.at(bin as f64) / expected;
        assert!(
            (ratio - 1.0).abs() < tolerance,
            "{masses:?} at bin {bin}: {ratio}"
        );
    }
}

#[test]
fn amplitudes_agree_with_lalsimulation_for_spinning_and_unequal_bodies() {
    let phenom = |f_final| (Approximant::ImrPhenomD, 15.0, f_final);
    check_lalsimulation(
        ([36.0, 29.0], [0.3, -0.4]),
        phenom(1_024.0),
        (8.0, 104),
        &[
            (105, 3.930_703_562_395_895e-42),
            (201, 6.819_177_146_433_972e-40),
            (593, 3.917_912_694_044_915e-41),
            (1_734, 6.919_307_213_810_657e-42),
            (3_365, 2.150_755_578_101_179_3e-46),
        ],
    );
    check_lalsimulation(
        ([80.0, 20.0], [0.8, 0.1]),
        phenom(1_024.0),
        (8.0, 98),
        &[
            (99, 1.833_916_095_155_559_2e-42),
            (160, 1.676_003_673_830_299_8e-39),
            (412, 1.640_988_715_154_749e-40),
            (1_147, 2.083_683_117_220_422_8e-41),
            (2_197, 4.408_413_657_400_527e-45),
        ],
    );
    check_lalsimulation(
        ([2.0, 9.0], [0.1, 0.5]),
        phenom(2_048.0),
        (128.0, 1_796),
        &[
            (1_797, 4.000_202_609_278_794_5e-47),
            (11_209, 1.284_861_709_030_153_8e-42),
            (48_865, 3.061_606_619_204_498e-44),
            (158_695, 2.478_957_619_135_052_7e-45),
        ],
    );
    check_lalsimulation(
        ([90.0, 85.0], [-0.5, 0.5]),
        phenom(1_024.0),
        (4.0, 43),
        &[
            (44, 7.734_509_343_306_066e-41),
            (60, 1.032_139_337_997_539_5e-38),
            (131, 1.376_232_420_464_005_9e-39),
            (337, 3.455_752_394_575_597e-40),
            (632, 7.814_640_355_517_825e-45),
        ],
    );
}

#[test]
fn post_newtonian_amplitudes_agree_with_lalsimulation() {
    check_lalsimulation(
        ([1.4, 1.4], [0.0, 0.0]),
        (Approximant::TaylorF2, 15.0, 2_048.0),
        (512.0, 7_331),
        &[
            (7_332, 1.119_370_761_458_8e-49),
            (49_127, 2.055_489_537_023_255e-43),
            (216_313, 6.028_217_505_373_992e-45),
            (703_937, 2.223_477_119_667_630_5e-46),
        ],
    );
    check_lalsimulation(
        ([2.0, 1.2], [0.3, -0.1]),
        (Approximant::TaylorF2, 30.0, 2_048.0),
        (64.0, 1_815),
        &[
            (1_816, 3.173_599_940_900_008_4e-48),
            (7_021, 1.755_151_972_961_001_4e-43),
            (27_847, 6.387_429_714_835_352e-45),
            (88_591, 2.075_927_745_353_225e-46),
        ],
    );
}
