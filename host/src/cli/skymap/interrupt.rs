//! Ctrl-C, for commands that compute.

use anyhow::Context as _;
use gwasp_kernels::work::CancelToken;
use tokio::signal::unix::{SignalKind, signal};

/// Has SIGINT and SIGTERM cancel `token` instead of ending the process.
///
/// Whoever computes looks at the token every few milliseconds, takes away what it wrote, and
/// ends in order.
pub(super) fn cancels(token: &CancelToken) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("signals cannot be heard")?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        let hear = |kind| signal(kind).context("signals cannot be heard");
        (
            hear(SignalKind::interrupt())?,
            hear(SignalKind::terminate())?,
        )
    };
    let token = token.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            token.cancel();
        })
        .context("no thread for signals")?;
    Ok(())
}
