//! `gwasp:plugin/progress`.

use super::Run;
use super::bindings::gwasp::plugin::progress::Host;
use super::function::PROGRESS_REPORT;
use super::log::MAX_LINE;
use crate::text::one_line;

impl Host for Run {
    async fn report(&mut self, fraction: f64, message: String) -> wasmtime::Result<()> {
        self.seam.local(&PROGRESS_REPORT)?;
        let percent = (fraction.clamp(0.0, 1.0) * 100.0).round();
        tracing::debug!(target: "gwasp::plugin", percent, message = %one_line(&message, MAX_LINE), "progress");
        Ok(())
    }
}
