//! What the likelihood sees of an event: conditioned matched-filter output of a network.

use crate::detectors::{Detector, dot};
use crate::gps::GpsTime;
use crate::healpix::Pixel;
use crate::numeric::{integer, narrow};

/// One detector's conditioned output.
#[derive(Clone, Debug)]
pub struct Channel {
    /// The detector.
    pub detector: Detector,
    /// Distance at which a face-on source overhead has SNR 1, Mpc.
    pub horizon: f64,
    /// Time of the first sample since the event's epoch, s.
    pub start: f64,
    /// Location from the network's weighted centre, light-seconds.
    pub location: [f64; 3],
    /// `|ρ|`, `[n]`.
    pub amplitude: Vec<f32>,
    /// `arg ρ`, unwrapped along time, radians, `[n]`.
    pub phase: Vec<f32>,
}

/// A network's output around one event; every channel has `n` samples.
#[derive(Clone, Debug)]
pub struct Network {
    /// The event's time at the network's centre.
    pub epoch: GpsTime,
    /// Greenwich mean sidereal time at the epoch, radians.
    pub gmst: f64,
    /// Samples per second.
    pub sample_rate: f64,
    /// Samples per channel; odd.
    pub n: usize,
    /// One channel per detector.
    pub channels: Vec<Channel>,
}

/// How the hour angle of the antenna factors is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HourAngle {
    /// `f32(GMST) - f32(ra)` in single precision. GMST is not reduced to one turn, so its step
    /// turns the antenna factors by up to 0.11°: published sky maps contain this rounding, and
    /// reproducing them to better than half a per cent per pixel needs it.
    #[default]
    Single,
    /// Double precision throughout.
    Exact,
}

/// A direction on the sky as the network sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Direction {
    hour_angle: f64,
    dec: f64,
    toward: [f64; 3],
}

/// One channel's view of a direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// `F₊` times horizon, Mpc.
    pub(crate) plus: f64,
    /// `F×` times horizon, Mpc.
    pub(crate) cross: f64,
    /// Sample `s` of the network is sample `s + shift + fraction` of the channel.
    pub(crate) shift: i64,
    pub(crate) fraction: f64,
}

impl Network {
    pub(crate) fn direction(&self, pixel: Pixel, hour_angle: HourAngle) -> Direction {
        let (ra, dec) = pixel.center();
        let exact = self.gmst - ra;
        let (sin, cos) = (-exact).sin_cos();
        Direction {
            hour_angle: match hour_angle {
                HourAngle::Single => f64::from(narrow(self.gmst) - narrow(ra)),
                HourAngle::Exact => exact,
            },
            dec,
            toward: [dec.cos() * cos, dec.cos() * sin, dec.sin()],
        }
    }

    pub(crate) fn view(&self, channel: &Channel, direction: &Direction) -> View {
        let (plus, cross) = channel
            .detector
            .antenna_factors(direction.hour_angle, direction.dec);
        let arrival = channel.start + dot(channel.location, direction.toward);
        let position = -self.sample_rate * arrival - 0.5 * (self.n as f64 - 1.0);
        let shift = position.floor();
        View {
            plus: plus * channel.horizon,
            cross: cross * channel.horizon,
            // Far outside of any series is as good as infinitely far.
            shift: integer(shift).clamp(-(1 << 40), 1 << 40),
            fraction: position - shift,
        }
    }
}
