//! What may be chosen about a sky map.

use super::network::HourAngle;
use crate::waveform::WaveformChoice;

/// Options of [`super::localize`], with the defaults of `ligo.skymap`.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Waveform model.
    pub waveform: WaveformChoice,
    /// Lowest frequency of the template, Hz. `GWCelery` uses 15.
    pub f_low: f64,
    /// Least distance, Mpc.
    pub min_distance: f64,
    /// Largest distance, Mpc; by default where the best detector has SNR 4.
    pub max_distance: Option<f64>,
    /// `k` of the prior `p(r) ∝ r^k`.
    pub distance_power: i32,
    /// Whether the prior is uniform in comoving volume instead; needs `distance_power` 2.
    pub cosmology: bool,
    /// Whether SNR series are used, if the file has them.
    pub enable_snr_series: bool,
    /// Spectra are cut at this fraction of their highest frequency.
    pub f_high_truncate: f64,
    /// Factor on the SNR that allows for what Gaussian noise does not explain.
    pub rescale_loglikelihood: f32,
    /// Prefixes of detectors to leave out.
    pub disabled_detectors: Vec<String>,
    /// Precision of the hour angle.
    pub hour_angle: HourAngle,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            waveform: WaveformChoice::ByMass,
            f_low: 30.0,
            min_distance: 0.0,
            max_distance: None,
            distance_power: 2,
            cosmology: false,
            enable_snr_series: true,
            f_high_truncate: 0.95,
            rescale_loglikelihood: 0.83,
            disabled_detectors: Vec::new(),
            hour_angle: HourAngle::Single,
        }
    }
}

impl Options {
    /// The rescaling factor as it enters the likelihood.
    pub(super) fn rescale(&self) -> f64 {
        f64::from(self.rescale_loglikelihood)
    }
}
