//! One-sided noise power spectral densities.

use std::sync::Arc;

/// A power spectral density sampled at `f0 + k·Δf`, in 1/Hz; frequencies in Hz.
///
/// Every value that [`Self::interpolate`] can use is positive and finite. Clones share the
/// values.
#[derive(Clone, Debug, PartialEq)]
pub struct Psd {
    f0: f64,
    delta_f: f64,
    values: Arc<Vec<f64>>,
}

/// Why a spectrum cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PsdError {
    /// Steps must be positive, the first frequency not negative.
    #[error("frequencies f0 = {f0} Hz, step {delta_f} Hz do not rise from zero")]
    Frequencies {
        /// First frequency, Hz.
        f0: f64,
        /// Step, Hz.
        delta_f: f64,
    },
    /// There must be noise at every frequency above zero.
    #[error("value {value} at {frequency} Hz is not a positive density: mend or cut the spectrum")]
    Value {
        /// Frequency, Hz.
        frequency: f64,
        /// The offending value.
        value: f64,
    },
    /// Fewer than two frequencies are left.
    #[error("{0} samples are too few to interpolate: two above 0 Hz are needed")]
    Short(usize),
}

impl Psd {
    /// Checks and keeps a spectrum. A value at 0 Hz is ignored; values above the band that is
    /// used may be anything, see [`Self::interpolate`].
    ///
    /// # Errors
    /// [`PsdError::Frequencies`] and [`PsdError::Short`].
    pub fn new(f0: f64, delta_f: f64, mut values: Vec<f64>) -> Result<Self, PsdError> {
        if !(f0 >= 0.0 && f0.is_finite() && delta_f > 0.0 && delta_f.is_finite()) {
            return Err(PsdError::Frequencies { f0, delta_f });
        }
        let mut first = f0;
        if f0 <= 0.0 && !values.is_empty() {
            values.remove(0);
            first = delta_f;
        }
        if values.len() < 2 {
            return Err(PsdError::Short(values.len()));
        }
        Ok(Self {
            f0: first,
            delta_f,
            values: Arc::new(values),
        })
    }

    /// Prepares interpolation, linear in `(ln f, ln S)`, up to `truncate` times the highest
    /// frequency. Outside the spectrum the noise is infinite.
    ///
    /// # Errors
    /// [`PsdError::Value`] for a value that is not positive and finite, and
    /// [`PsdError::Short`] when truncation leaves nothing.
    pub fn interpolate(&self, truncate: f64) -> Result<NoiseCurve, PsdError> {
        let f_max = self.frequency(self.values.len() - 1);
        let mut nodes = Vec::with_capacity(self.values.len());
        for (k, &value) in self.values.iter().enumerate() {
            let frequency = self.frequency(k);
            if frequency > truncate * f_max {
                break;
            }
            if !(value > 0.0 && value.is_finite()) {
                return Err(PsdError::Value { frequency, value });
            }
            nodes.push((frequency.ln(), value.ln()));
        }
        if nodes.len() < 2 {
            return Err(PsdError::Short(nodes.len()));
        }
        Ok(NoiseCurve {
            f0: self.f0,
            delta_f: self.delta_f,
            nodes,
        })
    }

    /// Frequency of the first value, Hz; above zero.
    pub fn f0(&self) -> f64 {
        self.f0
    }

    /// Step of frequency, Hz.
    pub fn delta_f(&self) -> f64 {
        self.delta_f
    }

    /// Densities at `f0 + k·Δf`, 1/Hz.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    fn frequency(&self, k: usize) -> f64 {
        self.f0 + k as f64 * self.delta_f
    }
}

/// A spectrum ready for interpolation.
#[derive(Clone, Debug)]
pub struct NoiseCurve {
    f0: f64,
    delta_f: f64,
    /// `(ln f, ln S)`.
    nodes: Vec<(f64, f64)>,
}

impl NoiseCurve {
    /// First and last frequency with finite noise, Hz.
    pub fn band(&self) -> (f64, f64) {
        (
            self.f0,
            self.f0 + (self.nodes.len() - 1) as f64 * self.delta_f,
        )
    }

    /// Whether `[from, to]` Hz lies between two neighbouring samples of the spectrum.
    pub(crate) fn is_one_piece(&self, from: f64, to: f64) -> bool {
        let (from, to) = (
            (from - self.f0) / self.delta_f,
            (to - self.f0) / self.delta_f,
        );
        let within = from >= 0.0 && to <= (self.nodes.len() - 1) as f64;
        within && to <= from.floor() + 1.0
    }

    /// `ln S` at `f`, given as frequency in Hz and its logarithm; `None` outside the band.
    #[inline(always)]
    pub(crate) fn ln_at(&self, f: f64, ln_f: f64) -> Option<f64> {
        let position = (f - self.f0) / self.delta_f;
        if position.is_nan() || position < 0.0 {
            return None;
        }
        let k = crate::numeric::index(position);
        let last = self.nodes.len() - 1;
        if k >= last {
            let exact = k == last && position <= last as f64;
            return exact.then(|| self.nodes[last].1);
        }
        let ((x0, y0), (x1, y1)) = (self.nodes[k], self.nodes[k + 1]);
        Some(y0 + (ln_f - x0) * ((y1 - y0) / (x1 - x0)))
    }
}

#[cfg(test)]
mod tests;
