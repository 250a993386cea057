//! Numerical kernels of GWASP.
//!
//! [`bayestar`] localizes a compact binary merger on the sky from matched-filter triggers;
//! the other modules are what it is built from: the `LIGO_LW` reader ([`ligolw`]), power spectra
//! ([`psd`]), template amplitudes ([`waveform`]), the detectors on the ground ([`detectors`]),
//! time ([`gps`]), the HEALPix grid ([`healpix`]), the distance ansatz ([`distance`]) and the
//! multi-order sky map with its FITS form ([`skymap`], [`fits`]). [`simulate`] makes candidates
//! from sources that are known.
//!
//! Everything is a function of its arguments. Inputs are checked where a type is constructed,
//! so that the numerics behind it cannot fail; memory that grows with an input is bounded and
//! asked for before it is used.
//!
//! This crate does no I/O beyond reading byte slices, has no async code, reads neither clock
//! nor environment, and knows nothing of alerts, plugins or WebAssembly.

pub mod bayestar;
pub mod constants;
pub mod detectors;
pub mod distance;
pub mod fits;
pub mod gps;
pub mod healpix;
pub mod ligolw;
mod numeric;
pub mod psd;
pub mod simulate;
pub mod skymap;
pub mod waveform;
pub mod work;

/// A file of the shared test data, or `None` after saying that the test is skipped.
#[cfg(test)]
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn shared_bytes(path: &str) -> Option<Vec<u8>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let root = std::env::var_os("GWASP_SHARED_DATA").unwrap_or_else(|| beside.into());
    let file = std::path::Path::new(&root).join(path);
    let bytes = std::fs::read(&file).ok();
    if bytes.is_none() {
        eprintln!("skipped: {} is not there", file.display());
    }
    bytes
}

/// As [`shared_bytes`], for text.
#[cfg(test)]
fn shared_text(path: &str) -> Option<String> {
    shared_bytes(path).and_then(|bytes| String::from_utf8(bytes).ok())
}
