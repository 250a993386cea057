//! BAYESTAR: rapid sky localization of compact binary mergers, computed by the host.
//!
//! Singer & Price 2016, PRD 93 024013. The files stay with the host, the map is a blob: a
//! multi-order FITS file with distance layers, as `ligo.skymap` writes it. The handler's time
//! limit does not count while the host computes, and a run that is taken up again gets the map
//! that it had. The plugin needs the grant `kernels = true`.

use std::fmt;

use crate::blobs::Blob;
use crate::boundary;

/// Localizes the candidate of a coinc file that holds its noise spectra, too.
///
/// # Errors
/// [`KernelError::Denied`] without the grant; [`KernelError::Input`] names the table, column and
/// row that cannot be used.
///
/// ```
/// use gwasp_sdk::{Blob, bayestar, testing};
///
/// testing::sky_map("SIMPLE  =                    T");
/// let coinc = Blob::put("<LIGO_LW>")?;
/// let map = bayestar::localize(&coinc)?;
/// assert_eq!(map.len(), 30);
/// # Ok::<(), gwasp_sdk::Error>(())
/// ```
pub fn localize(coinc: &Blob) -> Result<Blob, KernelError> {
    localize_with(coinc, None, &Options::default())
}

/// Localizes as [`localize`] does, with spectra of a file of their own or other options.
///
/// Both files are `LIGO_LW` XML, plain or gzip.
///
/// # Errors
/// As [`localize`]; [`KernelError::Invalid`] names an option that cannot be.
///
/// ```
/// use gwasp_sdk::bayestar::{self, Options};
/// use gwasp_sdk::{Blob, testing};
///
/// # testing::sky_map("SIMPLE  =                    T");
/// let (coinc, psd) = (Blob::put("<LIGO_LW>")?, Blob::put("<LIGO_LW>")?);
/// let options = Options {
///     disabled_detectors: vec!["V1".to_owned()],
///     max_distance: Some(400.0),
///     ..Options::default()
/// };
/// let map = bayestar::localize_with(&coinc, Some(&psd), &options)?;
/// # assert_eq!(map.len(), 30);
/// # Ok::<(), gwasp_sdk::Error>(())
/// ```
pub fn localize_with(
    coinc: &Blob,
    psd: Option<&Blob>,
    options: &Options,
) -> Result<Blob, KernelError> {
    let psd = psd.map(Blob::handle);
    boundary::localize(coinc.handle(), psd, options).map(Blob::from_handle)
}

/// What may be chosen about a sky map. The defaults are those of `GWCelery`.
///
/// ```
/// let options = gwasp_sdk::bayestar::Options::default();
/// assert_eq!((options.f_low, options.max_distance), (15.0, None));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// `o2-uberbank` (by mass), `IMRPhenomD` or `TaylorF2`.
    pub waveform: String,
    /// Lowest frequency of the template, Hz.
    pub f_low: f64,
    /// Spectra are cut at this fraction of their highest frequency, in (0, 1].
    pub f_high_truncate: f64,
    /// Least distance, Mpc.
    pub min_distance: f64,
    /// Largest distance, Mpc; where it is left out, the one at which the best detector has SNR 4.
    pub max_distance: Option<f64>,
    /// `k` of the prior `p(r) ∝ r^k` on the distance.
    pub distance_power: i32,
    /// Whether the prior is uniform in comoving volume instead; needs `distance_power` 2.
    pub cosmology: bool,
    /// Whether SNR series are used, if the file has them.
    pub use_snr_series: bool,
    /// Factor on the SNR that allows for what Gaussian noise does not explain.
    pub rescale_loglikelihood: f32,
    /// Prefixes of detectors to leave out, e.g. `V1`.
    pub disabled_detectors: Vec<String>,
    /// The event's name in the map, e.g. `G298048`.
    pub object: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            waveform: "o2-uberbank".to_owned(),
            f_low: 15.0,
            f_high_truncate: 0.95,
            min_distance: 0.0,
            max_distance: None,
            distance_power: 2,
            cosmology: false,
            use_snr_series: true,
            rescale_loglikelihood: 0.83,
            disabled_detectors: Vec::new(),
            object: None,
        }
    }
}

/// Why there is no map.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelError {
    /// No grant; the text has the lines to add.
    Denied(String),
    /// A file cannot be used; the text names its table, column and row.
    Input(String),
    /// An option cannot be so, by name.
    Invalid(String),
    /// A limit of memory or time, named with its value. Another attempt may find more room.
    Limit(String),
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text) | Self::Input(text) | Self::Invalid(text) | Self::Limit(text) => {
                f.write_str(text)
            }
        }
    }
}

impl std::error::Error for KernelError {}
