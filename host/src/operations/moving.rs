//! Tasks that go on with another version of their plugin.
//!
//! **Invariant:** a task is moved only where the version asks for what the journal holds that
//! the task goes on with, up to its end. Who decides, and about which journal, is written with it.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Resumed;
use crate::broker::{
    Acted, BrokerError, Input, JournalEntry, Looked, Operations, PluginRecord, State, TaskDetail,
    TaskId, TaskSelection, read,
};
use crate::dryrun::DryPlugin;
use crate::effects::{BlobSource, Decision, Resumption};
use crate::packet::Digest;
use crate::plugins::{Loader, PluginFile, Ticker};
use crate::rerun::{Difference, Kept, tried};
use crate::text::chain;

/// What loads versions that journals are tried against.
#[derive(Clone, Debug)]
pub struct Versions {
    /// Compiles what is not in the cache any more.
    loader: Arc<Loader>,
    /// What bounds the time of a trial.
    ticker: Ticker,
}

/// Which version is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    plugin: Option<String>,
    /// Beginning of the digest; the version that new tasks are for where it is left out.
    beginning: Option<String>,
}

impl std::str::FromStr for Wanted {
    type Err = String;

    /// Reads `DIGEST`, `PLUGIN@DIGEST` or `PLUGIN@current`; a digest may be its beginning.
    fn from_str(text: &str) -> Result<Self, String> {
        let (plugin, version) = match text.split_once('@') {
            Some((plugin, version)) => (Some(plugin), version),
            None => (None, text),
        };
        let is_current = version == "current" && plugin.is_some();
        let is_digest = (1..=64).contains(&version.len())
            && version.bytes().all(|byte| byte.is_ascii_hexdigit());
        if plugin.is_some_and(str::is_empty) || !(is_current || is_digest) {
            return Err(format!(
                "`{text}` names no version; write the beginning of a digest, as `gwasp plugin \
                 show PLUGIN` lists them, or `PLUGIN@current`"
            ));
        }
        Ok(Self {
            plugin: plugin.map(str::to_owned),
            beginning: (!is_current).then(|| version.to_ascii_lowercase()),
        })
    }
}

impl Wanted {
    /// The version of `plugin` that is meant, or why there is none.
    fn of(&self, plugin: &str, records: &[PluginRecord]) -> Result<Digest, String> {
        if let Some(wanted) = self.plugin.as_deref().filter(|wanted| *wanted != plugin) {
            return Err(format!(
                "it is a task of plugin `{plugin}`, not of `{wanted}`"
            ));
        }
        let record = records.iter().find(|record| record.plugin == plugin);
        let current = record.and_then(|record| record.current);
        let Some(beginning) = &self.beginning else {
            return current.map(Digest::from_bytes).ok_or_else(|| {
                format!("plugin `{plugin}` has no current version: it is disabled, or gone")
            });
        };
        let known = record.into_iter().flat_map(|record| &record.versions);
        let kept = known.filter(|version| version.is_kept || Some(version.digest) == current);
        let found: Vec<Digest> = kept
            .map(|version| Digest::from_bytes(version.digest))
            .filter(|version| version.to_string().starts_with(beginning.as_str()))
            .collect();
        match *found {
            [version] => Ok(version),
            [] => Err(format!(
                "no version {beginning} of plugin `{plugin}` is kept; `gwasp plugin show \
                 {plugin}` lists those that are"
            )),
            _ => Err(format!(
                "{beginning} is the beginning of several versions of plugin `{plugin}`"
            )),
        }
    }
}

/// Has tasks that are set aside, or wait and stay on a version, go on with version `wanted` of
/// their plugin, each where that asks for what the task's journal holds. `decision` is about the
/// effect of each that is in doubt, `who` stands in what the tasks say of it later.
///
/// # Errors
/// When the broker does not answer. Tasks before that one are moved.
pub async fn resume_on(
    broker: &Arc<dyn Operations>,
    versions: &Versions,
    wanted: &Wanted,
    (tasks, decision): (TaskSelection, Option<&Decision>),
    who: &str,
) -> Result<Vec<(TaskId, Resumed)>, BrokerError> {
    let mut moving = Moving {
        broker: Arc::clone(broker),
        versions: versions.clone(),
        records: read(broker, |broker| broker.plugins()).await?,
        who: who.to_owned(),
        loaded: HashMap::new(),
    };
    let mut resumed = Vec::new();
    for task in read(broker, |broker| broker.selected(tasks)).await? {
        resumed.push((task, moving.resume(task, wanted, decision).await?));
    }
    Ok(resumed)
}

/// One call of a person, which may be about many tasks of few versions.
struct Moving {
    broker: Arc<dyn Operations>,
    versions: Versions,
    records: Vec<PluginRecord>,
    who: String,
    loaded: HashMap<(String, Digest), Result<Arc<DryPlugin>, String>>,
}

impl Moving {
    async fn resume(
        &mut self,
        task: TaskId,
        wanted: &Wanted,
        decision: Option<&Decision>,
    ) -> Result<Resumed, BrokerError> {
        let Some(detail) = read(&self.broker, move |broker| broker.task(task)).await? else {
            return Ok(Resumed::Unknown);
        };
        let version = match wanted.of(&detail.task.plugin, &self.records) {
            Ok(version) => version,
            Err(reason) => return Ok(Resumed::Refused(reason)),
        };
        match detail.task.state {
            State::Failure | State::Delivered => self.take_up(detail, version, decision).await,
            State::Pending | State::Retry | State::Parked if decision.is_some() => {
                Ok(Resumed::Refused(
                    "it goes on by itself, and settles what is in doubt; move it without \
                     `--done` and `--not-done`"
                        .to_owned(),
                ))
            }
            State::Pending | State::Retry | State::Parked => self.move_on(detail, version).await,
            state @ (State::Success | State::Revoked) => Ok(Resumed::Not(state)),
        }
    }

    /// Has a task that is set aside go on with `version`.
    async fn take_up(
        &mut self,
        detail: TaskDetail,
        version: Digest,
        decision: Option<&Decision>,
    ) -> Result<Resumed, BrokerError> {
        let task = detail.task.id;
        let mut journal = self.journal(task).await?;
        let plan = match super::plan(&detail.task, &journal, decision) {
            Ok(plan) => plan,
            Err(error) => return Ok(Resumed::Refused(error.to_string())),
        };
        let Resumption { keep, replace } = plan;
        if keep == 0 {
            return self.begin_anew(detail, version).await;
        }
        if let Some(entry) = &replace
            && let Some(place) = journal.iter_mut().find(|one| one.seq == entry.seq)
        {
            *place = entry.clone();
        }
        let seen = (task, detail.task.ended);
        let how = super::resumed(&detail.task, decision);
        let and = if decision.is_some() { "; " } else { " " };
        let what = format!("{how}{and}{}", onto(&detail, version));
        if let Err(reason) = self.try_on(detail, journal, keep, version).await? {
            return Ok(Resumed::Refused(reason));
        }
        let (goes, by) = ((keep, replace), (what.as_str(), self.who.as_str()));
        let resuming = self
            .broker
            .resume(seen, goes, Some(*version.as_bytes()), by);
        let is_resumed = resuming.await?;
        Ok(if is_resumed {
            Resumed::Moved {
                replayed: keep,
                version,
            }
        } else {
            Resumed::Refused(super::CHANGED.to_owned())
        })
    }

    /// Nothing of the journal is kept: the task runs on whatever version is current then.
    async fn begin_anew(
        &self,
        detail: TaskDetail,
        version: Digest,
    ) -> Result<Resumed, BrokerError> {
        let task = detail.task;
        let record = self.records.iter().find(|one| one.plugin == task.plugin);
        if record.and_then(|record| record.current) != Some(*version.as_bytes()) {
            return Ok(Resumed::Refused(format!(
                "it did nothing yet that must not be done again, so it begins anew on the \
                 version of plugin `{0}` that is current then; `gwasp plugin rollback {0} --to \
                 {1}` makes another one that",
                task.plugin,
                version.short()
            )));
        }
        let seen = (task.id, task.ended);
        let by = ("resumed", self.who.as_str());
        let is_resumed = self.broker.resume(seen, (0, None), None, by).await?;
        Ok(if is_resumed {
            Resumed::Waits {
                replayed: 0,
                stays: None,
            }
        } else {
            Resumed::Refused(super::CHANGED.to_owned())
        })
    }

    /// Has a task that waits, and stays on another version, go on with `version`.
    async fn move_on(
        &mut self,
        detail: TaskDetail,
        version: Digest,
    ) -> Result<Resumed, BrokerError> {
        let task = &detail.task;
        let id = task.id;
        let looked = Looked {
            version: task.version,
            journal: task.journal,
            started: task.started,
        };
        if task.journal == 0 {
            return Ok(Resumed::Refused(
                "it stays on no version: it runs on the one that is current then".to_owned(),
            ));
        }
        if looked.version == Some(*version.as_bytes()) {
            return Ok(Resumed::Refused("it is on this version already".to_owned()));
        }
        let what = format!("moved {}", onto(&detail, version));
        let journal = self.journal(id).await?;
        let keep = u32::try_from(journal.len()).unwrap_or(u32::MAX);
        if let Err(reason) = self.try_on(detail, journal, keep, version).await? {
            return Ok(Resumed::Refused(reason));
        }
        let by = (what.as_str(), self.who.as_str());
        let moving = self
            .broker
            .move_waiting(id, looked, *version.as_bytes(), by);
        Ok(match moving.await? {
            Some(Acted::Done(_)) => Resumed::Moved {
                replayed: keep,
                version,
            },
            Some(Acted::Not(state)) => Resumed::Not(state),
            Some(Acted::Unknown) => Resumed::Unknown,
            Some(Acted::Runs | Acted::Asked) => Resumed::Refused(
                "it runs just now; wait until it waits again or has ended".to_owned(),
            ),
            Some(Acted::Damaged) => {
                Resumed::Refused("its row is damaged: see `gwasp store check`".to_owned())
            }
            None => Resumed::Refused(super::CHANGED.to_owned()),
        })
    }

    async fn journal(&self, task: TaskId) -> Result<Vec<JournalEntry>, BrokerError> {
        read(&self.broker, move |broker| broker.journal(task)).await
    }

    /// Tries a journal against a version; the reason where the task stays as it is.
    async fn try_on(
        &mut self,
        detail: TaskDetail,
        journal: Vec<JournalEntry>,
        keep: u32,
        version: Digest,
    ) -> Result<Result<(), String>, BrokerError> {
        let plugin = match self.load(&detail.task.plugin, version).await? {
            Ok(plugin) => plugin,
            Err(reason) => return Ok(Err(reason)),
        };
        let Some(input) = self.input(&detail).await? else {
            return Ok(Err("what it was run on is not kept any more".to_owned()));
        };
        let broker = Arc::clone(&self.broker);
        let blobs: BlobSource = Arc::new(move |digest: &Digest| {
            // One that cannot be read is as good as gone.
            broker.blob(digest.as_bytes()).ok().flatten()
        });
        let kept = Kept {
            detail,
            journal,
            input,
            blobs,
        };
        // Guest code runs on the thread that waits for it.
        let trial = tokio::task::spawn_blocking(move || try_alone(&plugin, &kept, keep));
        let tried = trial.await.unwrap_or_else(|_panic| {
            Err("trying it ended in a panic: this is a defect of the host".to_owned())
        });
        Ok(match tried {
            Ok(None) => Ok(()),
            Ok(Some(difference)) => Err(format!(
                "stays as it was: with version {} {difference}",
                version.short()
            )),
            Err(reason) => Err(format!("stays as it was: {reason}")),
        })
    }

    async fn input(&self, detail: &TaskDetail) -> Result<Option<Input>, BrokerError> {
        if let Some(args) = &detail.args {
            return Ok(Some(Input::Args(args.clone())));
        }
        let Some(packet) = detail.task.packet else {
            return Ok(None);
        };
        match read(&self.broker, move |broker| broker.packet(packet)).await {
            Ok(record) => Ok(record.map(|record| Input::Packet(Arc::new(record)))),
            Err(BrokerError::Dropped { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn load(
        &mut self,
        plugin: &str,
        version: Digest,
    ) -> Result<Result<Arc<DryPlugin>, String>, BrokerError> {
        let key = (plugin.to_owned(), version);
        if let Some(loaded) = self.loaded.get(&key) {
            return Ok(loaded.clone());
        }
        let bytes = read(&self.broker, move |broker| broker.blob(version.as_bytes())).await?;
        let loaded = match bytes {
            Some(bytes) => {
                let file = PluginFile::of_bytes(plugin, bytes);
                let versions = self.versions.clone();
                let loading = tokio::task::spawn_blocking(move || versions.load(&file));
                loading.await.unwrap_or_else(|_panic| {
                    Err("loading it ended in a panic: this is a defect of the host".to_owned())
                })
            }
            None => Err("its bytes are not kept any more".to_owned()),
        };
        let loaded = loaded
            .map(Arc::new)
            .map_err(|reason| format!("version {} cannot be tried: {reason}", version.short()));
        self.loaded.insert(key, loaded.clone());
        Ok(loaded)
    }
}

impl Versions {
    /// Loads with this loader.
    pub fn new(loader: Arc<Loader>, ticker: &Ticker) -> Self {
        Self {
            loader,
            ticker: ticker.clone(),
        }
    }

    fn load(&self, file: &PluginFile) -> Result<DryPlugin, String> {
        let never = CancellationToken::new();
        let plugin = self.loader.prepare(file, &never);
        let plugin = plugin.map_err(|error| chain(&error))?;
        DryPlugin::new(&plugin, &self.ticker).map_err(|error| chain(&error))
    }
}

/// From which version to which, in words.
fn onto(detail: &TaskDetail, version: Digest) -> String {
    let former = detail.task.version.map(Digest::from_bytes);
    match former {
        Some(former) => format!("from version {} to {}", former.short(), version.short()),
        None => format!("to version {}", version.short()),
    }
}

/// Tries a journal on this thread.
fn try_alone(plugin: &DryPlugin, kept: &Kept, keep: u32) -> Result<Option<Difference>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| format!("there is no thread for it: {error}"))?;
    let never = CancellationToken::new();
    let tried = runtime.block_on(tried(plugin, kept, keep, &never));
    tried.map_err(|error| chain(&error))
}

#[cfg(test)]
mod tests {
    use super::Wanted;
    use crate::broker::{PluginRecord, VersionRecord};
    use crate::packet::Digest;

    fn records() -> Vec<PluginRecord> {
        let version = |first: u8, is_kept| VersionRecord {
            digest: [first; 32],
            since: 0,
            is_kept,
        };
        vec![PluginRecord {
            plugin: "p".to_owned(),
            current: Some([0xab; 32]),
            versions: vec![
                version(0xab, true),
                version(0xac, true),
                version(0xcd, false),
            ],
            ..PluginRecord::default()
        }]
    }

    #[track_caller]
    fn check(text: &str, expected: Result<u8, &str>) {
        let wanted: Wanted = text.parse().unwrap();
        match (wanted.of("p", &records()), expected) {
            (Ok(found), Ok(first)) => assert_eq!(found, Digest::from_bytes([first; 32])),
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
            (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn a_version_is_named_by_the_beginning_of_its_digest_or_as_the_current_one() {
        check("p@current", Ok(0xab));
        check("abab", Ok(0xab));
        check("AC", Ok(0xac));
        check("p@ac", Ok(0xac));
        check("a", Err("several"));
        check("ef", Err("gwasp plugin show p"));
        check("cd", Err("is kept"));
        check("q@current", Err("not of `q`"));
        for text in ["", "current", "@ab", "p@", "p@latest", "xyz"] {
            assert!(text.parse::<Wanted>().is_err(), "{text}");
        }
    }
}
