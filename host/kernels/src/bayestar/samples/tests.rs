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
fn samples_are_delayed_turned_and_squared() {
    let n = 37;
    let channel = channel(n);
    for shift in [-50, -38, -3, 0, 1, 5, 36, 100] {
        let view = view(shift, 0.3);
        let mut samples = Samples::new(n).expect("small");
        samples.clear();
        samples.add::<true>(&channel, &view);
        let (sin, cos) = 0.7_f64.sin_cos();
        samples.turn::<true>(2, (narrow(sin), narrow(cos)));
        let array = |m: usize| samples.groups(2)[m].as_flattened();
        for s in 0..n {
            let rho = expected(&channel, &view, s);
            let (plus, cross) = (rho * view.plus, rho * view.cross);
            let (p, x) = (plus * cos + cross * sin, cross * cos - plus * sin);
            let values = [p.norm_sqr(), x.norm_sqr(), (p * x.conj()).im];
            for (m, value) in values.into_iter().enumerate() {
                let found = f64::from(array(m)[s]);
                assert!(
                    (found - value).abs() < 1e-3,
                    "shift {shift}, {m}[{s}]: {found} {value}"
                );
            }
        }
        assert!(array(0)[n..].iter().all(|&x| x < -1e29));
    }
}

#[test]
fn one_channel_alone_has_its_square_amplitude() {
    let n = 21;
    let channel = channel(n);
    let view = view(-4, 0.8);
    let mut samples = Samples::new(n).expect("small");
    let best = samples.alone::<false>(&channel, &view);
    let values = (0..n).map(|s| expected(&channel, &view, s).norm_sqr());
    let mut largest = 0.0_f64;
    for (s, value) in values.enumerate() {
        assert!(
            (f64::from(samples.groups(0)[0].as_flattened()[s]) - value).abs() < 1e-4,
            "{s}"
        );
        largest = largest.max(value);
    }
    assert!((f64::from(best) - largest).abs() < 1e-4);
}
