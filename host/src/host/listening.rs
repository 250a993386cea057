//! The listeners that run: each has a stop of its own, so that a reload changes one and leaves
//! the others connected.
//!
//! One that goes ends like all do at the end: what it read is kept and acknowledged first. Then
//! its stream is noted as one that nobody listens to: a crash leaves no gap in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::HostError;
use crate::broker::Broker;
use crate::config::{Config, ListenerConfig};
use crate::explain::Coded as _;
use crate::intake::Intake;
use crate::listeners::state::ListenerState;
use crate::listeners::vtp::VtpListener;
use crate::stop::StopSignal;
use crate::text::chain;

/// The states of all connections.
pub(super) type States = Vec<Arc<ListenerState>>;

/// Listeners that are made and do not run, by name.
pub(super) type Made = BTreeMap<String, (ListenerConfig, VtpListener)>;

/// The listeners that run.
#[derive(Debug)]
pub(super) struct Listening {
    intake: Intake,
    stop: StopSignal,
    running: BTreeMap<String, Running>,
    states: watch::Sender<States>,
}

#[derive(Debug)]
struct Running {
    config: ListenerConfig,
    states: States,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Makes the listeners of a configuration whose tables differ from those of `running`.
///
/// # Errors
/// [`HostError::Listener`].
pub(super) fn make(
    config: &Config,
    is_as_before: impl Fn(&str, &ListenerConfig) -> bool,
) -> Result<Made, HostError> {
    let mut made = Made::new();
    for (name, listener) in &config.listeners {
        if is_as_before(name, listener) {
            continue;
        }
        let ListenerConfig::Vtp(vtp) = listener;
        let new = VtpListener::new(vtp.clone()).map_err(|source| HostError::Listener {
            name: name.clone(),
            source,
        })?;
        made.insert(name.clone(), (listener.clone(), new));
    }
    Ok(made)
}

impl Listening {
    /// Nothing listens yet.
    pub(super) fn new(intake: Intake, stop: StopSignal, states: watch::Sender<States>) -> Self {
        Self {
            intake,
            stop,
            running: BTreeMap::new(),
            states,
        }
    }

    /// Whether a listener runs by this table already.
    pub(super) fn runs(&self, name: &str, config: &ListenerConfig) -> bool {
        let running = self.running.get(name);
        running.is_some_and(|running| is_same(&running.config, config))
    }

    /// Starts what was made, in the place of those of the same names.
    pub(super) async fn start(&mut self, made: Made, broker: &dyn Broker) {
        for (name, (config, listener)) in made {
            self.end(&name, broker).await;
            debug!(target: "gwasp::host", listener = %name, "listening");
            let states = listener.states().cloned().collect();
            let stop = self.stop.drain.child_token();
            let task = tokio::spawn(listener.run(self.intake.clone(), stop.clone()));
            let running = Running {
                config,
                states,
                stop,
                task,
            };
            self.running.insert(name, running);
        }
        self.tell();
    }

    /// Ends those that a configuration does not have.
    pub(super) async fn keep(&mut self, config: &Config, broker: &dyn Broker) {
        let is_gone = |name: &&String| !config.listeners.contains_key(*name);
        let gone: Vec<String> = self.running.keys().filter(is_gone).cloned().collect();
        for name in gone {
            self.end(&name, broker).await;
        }
        self.tell();
    }

    /// Waits for all to end, which they do when the host drains.
    pub(super) async fn ended(self) {
        for running in self.running.into_values() {
            wait(running.task).await;
        }
    }

    async fn end(&mut self, name: &str, broker: &dyn Broker) {
        let Some(running) = self.running.remove(name) else {
            return;
        };
        running.stop.cancel();
        wait(running.task).await;
        let ListenerConfig::Vtp(vtp) = &running.config;
        let has_source = |other: &Running| {
            let ListenerConfig::Vtp(other) = &other.config;
            other.source == vtp.source
        };
        if self.stop.drain.is_cancelled() || self.running.values().any(has_source) {
            return;
        }
        if let Err(error) = broker.note_listening(&vtp.source, false).await {
            self.stop.heed(&error);
            error!(target: "gwasp::host", listener = %name, code = error.code().as_str(), error = %chain(&error), "not noted that nobody listens to its stream: a crash may mark a gap in it");
        }
    }

    fn tell(&self) {
        let states = self.running.values().flat_map(|running| &running.states);
        self.states.send_replace(states.cloned().collect());
    }
}

async fn wait(task: JoinHandle<()>) {
    if let Err(error) = task.await {
        error!(target: "gwasp::host", %error, "a listener failed");
    }
}

/// Whether two tables say the same.
fn is_same(one: &ListenerConfig, other: &ListenerConfig) -> bool {
    // A table has nothing in it that JSON has not.
    let json = |config| serde_json::to_value(config).ok();
    json(one) == json(other)
}
