//! Any bytes as a coinc file: read, taken as a candidate and conditioned, or refused.
//!
//! `cargo +nightly fuzz run ligolw corpus/ligolw` in `host/kernels`. Documents of
//! `cargo run --example simulate` are a good corpus to begin with. One document stands for both
//! files: candidate and spectra.
#![no_main]

use gwasp_kernels::bayestar::{Candidate, Options, condition};
use gwasp_kernels::ligolw::{Document, Limits};
use gwasp_kernels::work::Work;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // `-rss_limit_mb` finds a document that takes more than it may.
    let limits = Limits::within(8 << 20);
    let Ok(document) = Document::parse(bytes, &limits) else {
        return;
    };
    let _ids = Candidate::ids(&document);
    let _named = Candidate::reference_psd(&document);
    if let Ok(candidate) = Candidate::from_documents(&document, &document) {
        let options = Options {
            f_low: 100.0,
            ..Options::default()
        };
        let work = Work {
            max_bytes: 64 << 20,
            ..Work::default()
        };
        let _network = condition(&candidate, &options, &work);
    }
});
