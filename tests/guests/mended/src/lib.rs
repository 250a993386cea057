//! The effects probe as its author changed it: handlers with the names that it has, for tasks
//! that go on with another version.

use gwasp_sdk::prelude::*;
use gwasp_sdk::random;

fn url(notice: &VoEvent, path: &str) -> Result<String> {
    Ok(format!("{}{path}", notice.param("Service")?.as_str()?))
}

fn post(notice: &VoEvent) -> Result<()> {
    let body = format!("{} {}", clock::now(), random::uuid());
    http::post(url(notice, "/upload")?).bytes(body).send()?;
    Ok(())
}

/// Mended: it does not look at the gate any more, at which the former version failed.
#[handler(250, retries = 0)]
fn upload_without_values(notice: &VoEvent) -> Result<bool> {
    let is_refused = kv::get("last").is_err();
    post(notice)?;
    info!("mended");
    Ok(is_refused)
}

/// Asks for a value first, which the former version did not.
#[handler(FERMI_GBM_GND_POS, backoff = "50ms")]
fn upload_twice(notice: &VoEvent) -> Result<()> {
    let _last = kv::get("last")?;
    post(notice)?;
    post(notice)
}
