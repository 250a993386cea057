//! What may be chosen about a sky map.

use super::network::HourAngle;
use crate::waveform::WaveformChoice;

/// Options of [`super::localize`]; the defaults are those of `ligo.skymap`'s command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Waveform model.
    pub waveform: WaveformChoice,
    /// Lowest frequency of the template, Hz, at least 1. `GWCelery` uses 15.
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
    /// Spectra are cut at this fraction of their highest frequency, in `(0, 1]`.
    pub f_high_truncate: f64,
    /// Factor on the SNR, positive, that allows for what Gaussian noise does not explain.
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

/// An option that cannot be, under its name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("the option {option} of a sky map cannot be {value}: take {range}")]
pub struct OptionError {
    /// Name of the option, such as `f-low`.
    pub option: &'static str,
    /// What was given.
    pub value: f64,
    /// What may be given.
    pub range: &'static str,
}

impl Options {
    /// Refuses numbers that are out of range for every candidate; [`super::localize`] and
    /// [`super::condition`] begin with it. What only a candidate can tell (a lowest frequency
    /// above its template, limits of distance that enclose nothing) they refuse later.
    ///
    /// # Errors
    /// [`OptionError`] of the first such option.
    pub fn check(&self) -> Result<(), OptionError> {
        let rescale = f64::from(self.rescale_loglikelihood);
        let truncate = self.f_high_truncate;
        let max = self.max_distance.unwrap_or(f64::MAX);
        let numbers = [
            ("f-low", self.f_low, self.f_low >= 1.0, "1 Hz or more"),
            (
                "f-high-truncate",
                truncate,
                truncate > 0.0 && truncate <= 1.0,
                "more than 0, at most 1",
            ),
            (
                "rescale-loglikelihood",
                rescale,
                rescale > 0.0,
                "more than 0",
            ),
            (
                "min-distance",
                self.min_distance,
                self.min_distance >= 0.0,
                "0 Mpc or more",
            ),
            ("max-distance", max, max > 0.0, "more than 0 Mpc"),
        ];
        for (option, value, is_in_range, range) in numbers {
            if !(is_in_range && value.is_finite()) {
                return Err(OptionError {
                    option,
                    value,
                    range,
                });
            }
        }
        Ok(())
    }

    /// The rescaling factor as it enters the likelihood.
    pub(super) fn rescale(&self) -> f64 {
        f64::from(self.rescale_loglikelihood)
    }
}

#[cfg(test)]
mod tests {
    use super::{OptionError, Options};

    #[track_caller]
    fn check_refused(change: impl FnOnce(&mut Options), named: &str) {
        let mut options = Options::default();
        assert_eq!(options.check(), Ok(()));
        change(&mut options);
        let refused = options.check().map_err(|OptionError { option, .. }| option);
        assert_eq!(refused, Err(named), "{options:?}");
    }

    #[test]
    fn numbers_that_no_candidate_can_take_are_refused_by_name() {
        for f_low in [-1.0, 0.0, 0.5, f64::NAN, f64::INFINITY] {
            check_refused(|options| options.f_low = f_low, "f-low");
        }
        for fraction in [-0.1, 0.0, 1.5, f64::NAN] {
            check_refused(
                |options| options.f_high_truncate = fraction,
                "f-high-truncate",
            );
        }
        for factor in [-1.0, 0.0, f32::NAN, f32::INFINITY] {
            check_refused(
                |options| options.rescale_loglikelihood = factor,
                "rescale-loglikelihood",
            );
        }
        check_refused(|options| options.min_distance = -1.0, "min-distance");
        check_refused(|options| options.max_distance = Some(0.0), "max-distance");
        check_refused(
            |options| options.max_distance = Some(f64::NAN),
            "max-distance",
        );
    }

    #[test]
    fn an_error_tells_option_value_and_range() {
        let options = Options {
            f_low: -1.0,
            ..Options::default()
        };
        let told = options.check().map_err(|error| error.to_string());
        let text = "the option f-low of a sky map cannot be -1: take 1 Hz or more";
        assert_eq!(told, Err(text.to_owned()));
    }
}
