use gwasp_sdk::prelude::*;

#[handler("cbc_gstlal")]
fn localize(alert: &LvAlert) -> Result<()> {
    let coinc = gracedb::download(alert, "coinc.xml")?;
    let map = bayestar::localize(&coinc)?;
    gracedb::upload(alert, "bayestar.multiorder.fits", &map, "sky map")?;
    sleep(Duration::from_secs(270))?;
    gcn::send(gracedb::download(alert, "preliminary.xml")?.bytes()?)?;
    Ok(())
}
