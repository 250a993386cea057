use super::*;
use crate::detectors::Detector;
use num_complex::Complex64;

fn channel(n: usize) -> Channel {
    let at = |s: usize| s as f64;
    Channel {
        detector: Detector::by_prefix("H1").expect("known"),
        horizon: 1.0,
        start: 0.0,
        location: [0.0; 3],
        amplitude: (0..n).map(|s| narrow(5.0 + at(s).sin())).collect(),
        phase: (0..n)
            .map(|s| narrow(0.3 * at(s) + (0.5 * at(s)).cos()))
            .collect(),
    }
}

fn view(shift: i64, fraction: f64) -> View {
    View {
        plus: 2.0,
        cross: -3.0,
        shift,
        fraction,
    }
}

/// The interpolated sample `s`, straight from the definition.
fn expected(channel: &Channel, view: &View, s: usize) -> Complex64 {
    let n = channel.amplitude.len() as i64;
    let i = s as i64 + view.shift;
    if i < 1 || i >= n - 2 {
        return Complex64::from(0.0);
    }
    let at = |series: &[f32]| {
        let x = [-1, 0, 1, 2].map(|k| f64::from(series[usize::try_from(i + k).expect("inside")]));
        let t = view.fraction;
        let cubic = 0.5 * (x[3] - x[0]) + 1.5 * (x[1] - x[2]);
        let square = x[0] - 2.5 * x[1] + 2.0 * x[2] - 0.5 * x[3];
        x[1] + t * (0.5 * (x[2] - x[0]) + t * (square + t * cubic))
    };
    Complex64::from_polar(at(&channel.amplitude), at(&channel.phase))
}

#[test]
fn samples_are_delayed_weighted_and_squared() {
    let n = 37;
    let channel = channel(n);
    for shift in [-50, -38, -3, 0, 1, 5, 36, 100] {
        let view = view(shift, 0.3);
        let mut samples = Samples::new(n).expect("small");
        samples.clear();
        samples.add::<true>(&channel, &view);
        for s in 0..n {
            let rho = expected(&channel, &view, s);
            let (p, x) = (rho * view.plus, rho * view.cross);
            let product = p * x.conj();
            let values = [p.norm_sqr(), x.norm_sqr(), product.re, product.im];
            let signal = samples.signal::<true>(s);
            for (m, value) in values.into_iter().enumerate() {
                let found = f64::from(signal[m]);
                assert!(
                    (found - value).abs() < 1e-3,
                    "shift {shift}, {m}[{s}]: {found} {value}"
                );
            }
        }
    }
}

#[test]
fn one_channel_alone_has_its_square_amplitude() {
    let n = 21;
    let channel = channel(n);
    let view = view(-4, 0.8);
    let mut samples = Samples::new(n).expect("small");
    samples.alone::<false>(&channel, &view);
    let signal = samples.strongest::<false>(&Ceiling::whole(2.0));
    let values: Vec<f64> = (0..n)
        .map(|s| expected(&channel, &view, s).norm_sqr())
        .collect();
    for (s, value) in values.iter().enumerate() {
        let [found, cross2, re, im] = samples.signal::<false>(s);
        assert!((f64::from(found) - value).abs() < 1e-4, "{s}");
        assert!([cross2, re, im].iter().all(|x| x.abs() <= 0.0), "{s}");
    }
    let best = values.into_iter().fold(0.0, f64::max);
    assert!((f64::from(signal[0]) - best).abs() < 1e-4);
}

/// Three channels with different views.
fn three(samples: &mut Samples, n: usize) -> Response {
    let mut response = Response::default();
    samples.clear();
    for (k, (plus, cross)) in [(2.0, -3.0), (1.0, 1.5), (-0.5, 2.0)]
        .into_iter()
        .enumerate()
    {
        let view = View {
            plus,
            cross,
            ..view(k as i64 - 2, 0.2 * k as f64)
        };
        response.add(&view);
        samples.add::<true>(&channel(n), &view);
    }
    response
}

#[test]
fn no_angle_lifts_a_sample_above_its_ceiling() {
    let n = 37;
    let mut samples = Samples::new(n).expect("small");
    let response = three(&mut samples, n);
    let kappa2 = 0.7;
    for ceiling in [
        Ceiling::projected(&response, kappa2),
        Ceiling::whole(kappa2),
    ] {
        samples.strongest::<true>(&ceiling);
        let mut tightest = f64::INFINITY;
        for s in 0..n {
            let bound = f64::from(samples.ceilings[s]);
            let signal = samples.signal::<true>(s).map(f64::from);
            for k in 0..60 {
                let (sin, cos) = (0.1 * f64::from(k)).sin_cos();
                for u in [-1.0, -0.6, 0.1, 0.9] {
                    let (c, u): (f64, f64) = (0.5 * (1.0 + u * u), u);
                    let form = [
                        c * c * cos * cos + u * u * sin * sin,
                        c * c * sin * sin + u * u * cos * cos,
                        2.0 * sin * cos * (c * c - u * u),
                    ];
                    let z2 = form[0] * response.plus2
                        + form[1] * response.cross2
                        + form[2] * response.both;
                    let even: f64 = form.iter().zip(signal).map(|(a, b)| a * b).sum();
                    let g = 0.5 * kappa2 * (even + 2.0 * c * u * signal[3]) / z2;
                    assert!(g <= bound * (1.0 + 1e-5) + 1e-5, "{s}: {g} {bound}");
                    tightest = tightest.min(bound / g.max(1e-9));
                }
            }
        }
        assert!(tightest < 1.2, "{ceiling:?} is never near: {tightest}");
    }
}

#[test]
fn what_reaches_the_floor_is_kept_and_nothing_else() {
    let n = 37;
    let mut samples = Samples::new(n).expect("small");
    let response = three(&mut samples, n);
    let strongest = samples.strongest::<true>(&Ceiling::projected(&response, 0.7));
    let largest = samples.ceilings.iter().copied().fold(0.0, f32::max);
    for floor in [0.0, 0.3 * largest, 0.9 * largest, largest] {
        let expected: Vec<Signal> = (0..n)
            .filter(|&s| samples.ceilings[s] >= floor)
            .map(|s| samples.signal::<true>(s))
            .collect();
        let kept = samples.above::<true>(floor);
        assert_eq!(kept, expected);
        assert!(kept.contains(&strongest));
    }
}
