//! A plugin whose every run leaves something that can be counted, while its host is killed.
//!
//! A packet of type 60301 meets three handlers: one changes something at a service that honours
//! keys, one at a service that can be asked, and one makes a task. Each adds one to a value of
//! its own for that packet, so that a commit that is lost or comes twice shows. Bodies hold the
//! time and a random id: a run that was not taken up but begun anew sends another body.
//!
//! The other handlers are for a mix of real notices.

use gwasp_sdk::http::Response;
use gwasp_sdk::prelude::*;
use gwasp_sdk::random;

/// What the handlers need of a notice.
#[derive(Debug)]
struct Subject {
    /// The packet's number: what stands behind `#` in its IVORN.
    number: String,
    /// The origin of the services.
    services: String,
}

impl Subject {
    fn of(notice: &VoEvent) -> Result<Self> {
        let ivorn = notice.ivorn.as_deref().unwrap_or_default();
        let Some((_, number)) = ivorn.rsplit_once('#') else {
            bail!("{ivorn} has no number");
        };
        Ok(Self {
            number: number.to_owned(),
            services: notice.param("Service")?.as_str()?.to_owned(),
        })
    }

    fn upload(&self, service: &str) -> Result<Response> {
        let body = format!("{} {} {}", self.number, clock::now(), random::uuid());
        let url = format!("{}/{service}/upload", self.services);
        Ok(http::post(url).bytes(body).send()?)
    }
}

/// Says to the service that a run has begun.
fn begin(services: &str, handler: &str, number: &str) -> Result<()> {
    http::get(format!("{services}/asked/began/{handler}/{number}")).send()?;
    Ok(())
}

/// Uploads to the service that honours keys.
#[handler(60301, backoff = "50ms")]
fn keyed(notice: &VoEvent) -> Result<()> {
    let subject = Subject::of(notice)?;
    kv::add(&format!("keyed/{}", subject.number), 1)?;
    subject.upload("keyed")?;
    Ok(())
}

/// Uploads to the service that can be asked.
#[handler(60301, backoff = "50ms")]
fn asked(notice: &VoEvent) -> Result<()> {
    let subject = Subject::of(notice)?;
    subject.upload("asked")?;
    kv::add(&format!("asked/{}", subject.number), 1)?;
    Ok(())
}

/// Makes a task.
#[handler(60301, backoff = "50ms")]
fn parent(notice: &VoEvent) -> Result<()> {
    let subject = Subject::of(notice)?;
    begin(&subject.services, "parent", &subject.number)?;
    kv::add(&format!("parent/{}", subject.number), 1)?;
    tasks::spawn("child", &(subject.number, subject.services))?;
    Ok(())
}

/// The task that was made.
#[task(backoff = "50ms")]
fn child((number, services): (String, String)) -> Result<()> {
    begin(&services, "child", &number)?;
    kv::add(&format!("child/{number}"), 1)?;
    kv::add("children", 1)?;
    Ok(())
}

/// Reads a position.
#[handler(
    FERMI_GBM_FLT_POS,
    FERMI_GBM_GND_POS,
    FERMI_GBM_FIN_POS,
    SWIFT_BAT_GRB_POS_ACK,
    SWIFT_XRT_POSITION,
    ICECUBE_ASTROTRACK_GOLD
)]
fn position(notice: &VoEvent) -> Result<f64> {
    Ok(notice.position()?.ra)
}

/// Counts notices.
#[handler(
    FERMI_GBM_ALERT,
    FERMI_GBM_FLT_POS,
    FERMI_GBM_GND_POS,
    FERMI_GBM_FIN_POS,
    SWIFT_BAT_GRB_POS_ACK,
    SWIFT_XRT_POSITION,
    INTEGRAL_WAKEUP,
    INTEGRAL_REFINED,
    ICECUBE_ASTROTRACK_GOLD,
    SVOM_GRM_TRIGGER
)]
fn tally(_packet: &Packet) -> Result<()> {
    kv::add("tally", 1)?;
    Ok(())
}
