//! `gwasp:plugin/clock`.

use super::Run;
use super::bindings::gwasp::plugin::clock::{Datetime, Host};
use super::function::CLOCK_NOW;
use super::noted::Moment;

impl Host for Run {
    async fn now(&mut self) -> wasmtime::Result<Datetime> {
        let driver = self.seam.driver();
        let Moment {
            seconds,
            nanoseconds,
        } = self
            .seam
            .answered(&CLOCK_NOW, &(), async move { Ok(driver.now()) })
            .await?;
        Ok(Datetime {
            seconds,
            nanoseconds,
        })
    }
}
