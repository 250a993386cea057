//! What people ask for, done between two looks at the directory.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::{info, warn};

use super::super::load::{Aim, Source};
use super::super::view::{self, PluginState, PluginView, RefusedView};
use super::super::{Answer, Fate, PluginsError, Reloaded, Reply, Wish};
use super::{Asked, Follower, reloaded};
use crate::broker::{PluginRecord, RouteChange, read};
use crate::packet::{Digest, from_unix_nanos};
use crate::plugins::Change;
use crate::text::nearest;

impl Follower {
    /// Does what a person asks for, or begins it.
    pub(super) async fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Look(reply) => match self.seen(true).await {
                Ok(changes) => self.reload(changes, reply).await,
                Err(error) => answer(reply, Err(error.into())),
            },
            Wish::List(reply) => answer(reply, self.list().await),
            Wish::Disable(plugin, reply) => {
                let disabled = self.disable(&plugin).await;
                let done = disabled.map(|fate| vec![reloaded(plugin, fate)]);
                self.publish().await;
                answer(reply, done);
            }
            Wish::Enable(plugin, reply) => {
                let begun = self.enable(&plugin).await;
                self.answer_after(begun, plugin, reply);
            }
            Wish::RollBack(plugin, to, reply) => {
                let begun = self.roll_back(&plugin, to).await;
                self.answer_after(begun, plugin, reply);
            }
        }
    }

    async fn reload(&mut self, changes: Vec<Change>, reply: Reply<Vec<Reloaded>>) {
        let mut done = Vec::new();
        for change in changes {
            if let Some(at_once) = self.change(change, true).await {
                self.tell(&at_once);
                done.push(at_once);
            }
        }
        self.look_again_at_misfits().await;
        // What is refused already is no change, and is no success either.
        for (plugin, file) in &self.refused {
            let is_told = done.iter().any(|one| one.plugin == *plugin);
            if !is_told && !self.loading.contains_key(plugin) {
                let reason = file.reason.clone();
                done.push(reloaded(plugin.clone(), Fate::Refused { reason }));
            }
        }
        let asked = Asked {
            waits_for: self.loading.keys().cloned().collect(),
            reloaded: done,
            reply,
        };
        self.answer_when_done(asked, None);
    }

    /// Begins to load what was refused after it had told what it is: what it lacked, a queue say,
    /// may be there now.
    async fn look_again_at_misfits(&mut self) {
        let is_misfit = |plugin: &String| {
            let refused = self.refused.get(plugin);
            refused.is_some_and(|file| file.manifest.is_some())
                && !self.loading.contains_key(plugin)
        };
        let misfits: Vec<String> = self
            .refused
            .keys()
            .filter(|&one| is_misfit(one))
            .cloned()
            .collect();
        for plugin in misfits {
            let path = self.directory.join(format!("{plugin}.wasm"));
            let file = Source::File(path);
            if let Err(error) = self.begin(&plugin, file, Aim::Newest, true).await {
                self.failed(&plugin, &error);
            }
        }
    }

    fn answer_after(&mut self, begun: Answer<()>, plugin: String, reply: Reply<Vec<Reloaded>>) {
        match begun {
            Ok(()) => self.asked.push(Asked {
                waits_for: BTreeSet::from([plugin]),
                reloaded: Vec::new(),
                reply,
            }),
            Err(error) => answer(reply, Err(error)),
        }
    }

    async fn disable(&mut self, plugin: &str) -> Answer<Fate> {
        self.known(plugin)?;
        if self.disabled.contains(plugin) {
            return Ok(Fate::Disabled);
        }
        // On disk first: where that fails all goes on as it was.
        self.parts.change(plugin, RouteChange::Disable).await?;
        self.give_up(plugin);
        self.tell(&reloaded(plugin.to_owned(), Fate::Disabled));
        self.parts.registry.remove(plugin);
        self.refused.remove(plugin);
        self.names.insert(plugin.to_owned());
        self.disabled.insert(plugin.to_owned());
        warn!(target: "gwasp::host", plugin, "plugin disabled by a person: no packet makes a task for it, and tasks that are open wait");
        Ok(Fate::Disabled)
    }

    async fn enable(&mut self, plugin: &str) -> Answer<()> {
        self.known(plugin)?;
        if self.disabled.contains(plugin) {
            self.parts.change(plugin, RouteChange::Enable).await?;
            self.disabled.remove(plugin);
            info!(target: "gwasp::host", plugin, "plugin enabled by a person");
            self.publish().await;
        }
        let path = self.directory.join(format!("{plugin}.wasm"));
        let file = Source::File(path);
        Ok(self.begin(plugin, file, Aim::Newest, true).await?)
    }

    async fn roll_back(&mut self, plugin: &str, to: Option<Digest>) -> Answer<()> {
        self.known(plugin)?;
        let record = self.record(plugin).await?;
        let Some(current) = record.current else {
            return Err(PluginsError::NoRoutes(plugin.to_owned()));
        };
        let kept = || record.versions.iter().filter(|version| version.is_kept);
        let to = match to {
            Some(version) => kept()
                .map(|kept| Digest::from_bytes(kept.digest))
                .find(|kept| *kept == version)
                .ok_or_else(|| PluginsError::NotKept {
                    plugin: plugin.to_owned(),
                    version,
                })?,
            None => kept()
                .skip_while(|version| version.digest != current)
                .find(|version| version.digest != current)
                .map(|version| Digest::from_bytes(version.digest))
                .ok_or_else(|| PluginsError::NoFormer(plugin.to_owned()))?,
        };
        let of_directory = Digest::from_bytes(record.passed_over.unwrap_or(current));
        let aim = if to == of_directory {
            Aim::Newest
        } else {
            Aim::RollBack {
                instead_of: of_directory,
            }
        };
        Ok(self.begin(plugin, Source::Kept(to), aim, true).await?)
    }

    fn known(&self, plugin: &str) -> Answer<()> {
        let known = || self.names.iter().chain(self.refused.keys());
        if known().any(|known| known == plugin) {
            return Ok(());
        }
        Err(PluginsError::Unknown {
            plugin: plugin.to_owned(),
            nearest: nearest(plugin, known().map(String::as_str)),
        })
    }

    async fn list(&self) -> Answer<Vec<PluginView>> {
        let known = read(&self.parts.broker, |broker| {
            Ok((broker.plugins()?, broker.tasks_by_version()?))
        });
        let (mut records, tasks) = known.await?;
        let runs = self.parts.registry.runs();
        for plugin in self.refused.keys() {
            if !records.iter().any(|record| record.plugin == *plugin) {
                records.push(PluginRecord {
                    plugin: plugin.clone(),
                    ..PluginRecord::default()
                });
            }
        }
        records.sort_by(|a, b| a.plugin.cmp(&b.plugin));
        let rights = Arc::clone(&self.parts.rights.borrow());
        let views = records.iter().map(|record| PluginView {
            plugin: record.plugin.clone(),
            state: self.state(record),
            is_shadow: rights.is_shadow(&record.plugin),
            disabled: record.disabled.map(from_unix_nanos),
            current: record.current.map(Digest::from_bytes),
            passed_over: record.passed_over.map(Digest::from_bytes),
            refused: self.refused.get(&record.plugin).map(|file| RefusedView {
                version: file.version,
                reason: file.reason.clone(),
            }),
            is_loading: self.loading.contains_key(&record.plugin),
            open: view::unpinned(record, &tasks),
            versions: view::versions(record, &tasks, &runs),
        });
        // A plugin of long ago has left only the names of its handlers.
        let is_forgotten = |view: &PluginView| {
            view.state == PluginState::Gone && view.open == 0 && view.versions.is_empty()
        };
        Ok(views.filter(|view| !is_forgotten(view)).collect())
    }

    fn state(&self, record: &PluginRecord) -> PluginState {
        if record.disabled.is_some() {
            PluginState::Disabled
        } else if self.parts.registry.get(&record.plugin).is_some() {
            PluginState::Active
        } else if record.current.is_some() || self.refused.contains_key(&record.plugin) {
            PluginState::NotLoaded
        } else {
            PluginState::Gone
        }
    }
}

fn answer<T>(reply: Reply<T>, answer: Answer<T>) {
    // Who asked may be gone.
    drop(reply.send(answer));
}
