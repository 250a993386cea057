//! What a plugin declares about itself: the JSON that its `describe` answers.
//!
//! Options arrive as pairs of strings, so that a new option is never a new boundary. An option
//! that this host does not know is an error that names it: an author who asks for an order must
//! not run without one.

use std::collections::BTreeSet;
use std::time::Duration;

use gwasp_formats::Role;
use gwasp_formats::notice_type::NoticeType;
use serde::Deserialize;

use crate::packet::{Key, Packet};

/// Most handlers, tasks and schedules of a plugin.
const MAX_ENTRIES: usize = 1_000;
/// Most queues that they name; each has threads of its own.
const MAX_QUEUES: usize = 16;
/// Longest name of an entry or a queue, in bytes.
const MAX_NAME: usize = 200;

/// Newest format of a manifest that this host reads.
const FORMAT: u32 = 1;

/// Queue of a handler that names none.
const DEFAULT_QUEUE: &str = "general";

/// What a plugin declares.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Version of the SDK that it was built with.
    pub sdk: String,
    /// Its handlers, tasks and schedules, by name.
    pub entries: Vec<Entry>,
}

/// One handler, task or schedule.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Name inside the plugin.
    pub name: String,
    /// What makes it run.
    pub kind: EntryKind,
    /// How its tasks are tried.
    pub options: TaskOptions,
    /// Which packets it takes.
    pub roles: Roles,
    /// Tasks of one key take turns.
    pub order_by: Option<OrderBy>,
}

/// What makes an entry run.
#[derive(Clone, Debug)]
pub enum EntryKind {
    /// Packets with one of these keys.
    Handler(Keys),
    /// A call by name.
    Task,
    /// The time.
    Periodic(Schedule),
}

/// The keys of a handler.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// GCN notice types.
    pub notices: Vec<NoticeType>,
    /// Nodes or topics, exact or with a trailing `*`.
    pub nodes: Vec<String>,
}

/// When a periodic entry runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Five fields of cron, in UTC.
    Cron(String),
    /// A distance between two runs.
    Every(Duration),
}

/// How the tasks of an entry are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskOptions {
    /// Queue that they wait in.
    pub queue: String,
    /// Attempts after the first.
    pub retries: u32,
    /// Delay before the second attempt, doubled each time.
    pub backoff: Duration,
    /// Longest delay.
    pub max_backoff: Duration,
    /// Time in a slot, per leg.
    pub timeout: Duration,
    /// Wall time from accept to the last attempt.
    pub deadline: Option<Duration>,
    /// 0 is served first, 9 last.
    pub priority: u8,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self {
            queue: DEFAULT_QUEUE.to_owned(),
            retries: 3,
            backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(600),
            timeout: Duration::from_secs(10),
            deadline: None,
            priority: 5,
        }
    }
}

/// Which roles a handler takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    standard: bool,
    test: bool,
    old: bool,
}

impl Default for Roles {
    /// Observations, predictions and utility packets.
    fn default() -> Self {
        Self {
            standard: true,
            test: false,
            old: false,
        }
    }
}

impl Roles {
    /// Whether a handler that declared this takes `packet`.
    ///
    /// A key that is a test by its own name takes tests by being named. An old test is for who
    /// takes both.
    pub fn accept(&self, packet: &Packet) -> bool {
        self.accept_at_any_age(packet) && (self.old || !packet.is_old())
    }

    /// Whether it would take `packet` if that were not old.
    pub(super) fn accept_at_any_age(&self, packet: &Packet) -> bool {
        match packet.role {
            Role::Test => self.test || is_test_key(&packet.key),
            Role::Observation | Role::Prediction | Role::Utility => {
                self.standard || (self.old && packet.is_old())
            }
        }
    }

    fn read(option: &str, roles: &str) -> Result<Self, String> {
        let mut read = Self {
            standard: option == "accept",
            test: false,
            old: false,
        };
        for role in roles.split(',').map(str::trim) {
            match role {
                "test" => read.test = true,
                "old" => read.old = true,
                "observation" | "prediction" | "utility" => read.standard = true,
                _ => {
                    return Err(format!(
                        "`{option}({role})` is no role; there are test and old"
                    ));
                }
            }
        }
        Ok(read)
    }
}

fn is_test_key(key: &Key) -> bool {
    match key {
        Key::Notice(notice_type) => notice_type.is_test_by_name(),
        Key::Node(node) => node.starts_with("mdc_") || node.starts_with("test_"),
        Key::None => false,
    }
}

/// What the tasks of a handler are ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderBy {
    /// A JSON pointer (RFC 6901) into the payload.
    Pointer(String),
    /// The value of a VOEvent parameter.
    Param(String),
    /// The packet's id.
    Id,
}

impl OrderBy {
    /// What `packet` is ordered by; none where it has no such part, or one that is no text,
    /// number or truth value.
    pub fn value(&self, packet: &Packet) -> Option<String> {
        match self {
            Self::Id => Some(packet.id.clone()),
            Self::Param(name) => match gwasp_formats::scan(&packet.payload, &[name]) {
                Ok(gwasp_formats::Scan::VoEvent(mut head)) => head.params.pop().flatten(),
                _ => None,
            },
            Self::Pointer(pointer) => {
                let json: serde_json::Value = serde_json::from_slice(&packet.payload).ok()?;
                match json.pointer(pointer)? {
                    serde_json::Value::String(text) => Some(text.clone()),
                    value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => {
                        Some(value.to_string())
                    }
                    _ => None,
                }
            }
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return Ok(Self::Pointer(text.to_owned()));
        }
        if let Some(name) = text.strip_prefix("param:") {
            return Ok(Self::Param(name.to_owned()));
        }
        match text {
            "ivorn" | "id" => Ok(Self::Id),
            _ => Err(format!(
                "`order_by = \"{text}\"` is none of `/json/pointer`, `param:NAME`, `ivorn`, `id`"
            )),
        }
    }
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not the JSON that a manifest is.
    #[error("the plugin's manifest cannot be read; was it built with an SDK of another age?")]
    Json(#[from] serde_json::Error),
    /// A newer SDK wrote it.
    #[error(
        "it was made by a newer gwasp-sdk ({}): its manifest has format {format}, and this host \
         reads up to {FORMAT}; run a newer gwasp, or build it with an older gwasp-sdk",
        .sdk.escape_debug()
    )]
    Newer {
        /// Format of the manifest.
        format: u32,
        /// Version of the SDK.
        sdk: String,
    },
    /// There are more entries than a plugin may have.
    #[error("it has {0} handlers; the limit is {MAX_ENTRIES}: one handler may name many keys")]
    Entries(usize),
    /// They name more queues than a plugin may.
    #[error("its handlers name {0} queues; the limit is {MAX_QUEUES}")]
    Queues(usize),
    /// An entry or a queue has a name that would not fit into a line.
    #[error(
        "a handler or queue cannot be named {0:?}; a name has 1 to {MAX_NAME} bytes and no spaces"
    )]
    Name(String),
    /// Two entries share a name.
    #[error("two handlers are named `{0}`; give one of them `name = \"…\"`")]
    DuplicateName(String),
    /// An entry's options make no sense.
    #[error("handler `{entry}`: {reason}")]
    Option {
        /// The entry.
        entry: String,
        /// What is wrong with which option.
        reason: String,
    },
}

/// What every format begins with.
#[derive(Deserialize)]
struct RawHead {
    format: u32,
    sdk: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    #[serde(rename = "format")]
    _format: u32,
    sdk: String,
    entries: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    name: String,
    kind: RawKind,
    #[serde(default)]
    keys: Vec<RawKey>,
    #[serde(default)]
    options: Vec<(String, String)>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    Handler,
    Task,
    Periodic,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKey {
    Notice(u16),
    Node(String),
}

impl Manifest {
    /// Reads what `describe` answered.
    ///
    /// # Errors
    /// [`ManifestError`], which names the entry and the option.
    pub fn read(json: &str) -> Result<Self, ManifestError> {
        let RawHead { format, mut sdk } = serde_json::from_str(json)?;
        if format > FORMAT {
            sdk.truncate(sdk.floor_char_boundary(MAX_NAME));
            return Err(ManifestError::Newer { format, sdk });
        }
        let raw: RawManifest = serde_json::from_str(json)?;
        if raw.entries.len() > MAX_ENTRIES {
            return Err(ManifestError::Entries(raw.entries.len()));
        }
        let mut entries = Vec::with_capacity(raw.entries.len());
        for raw_entry in raw.entries {
            let name = checked_name(&raw_entry.name)?.to_owned();
            let entry = Entry::read(raw_entry).map_err(|reason| ManifestError::Option {
                entry: name,
                reason,
            })?;
            checked_name(&entry.options.queue)?;
            entries.push(entry);
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(ManifestError::DuplicateName(pair[0].name.clone()));
        }
        let manifest = Self {
            sdk: raw.sdk,
            entries,
        };
        let queues = manifest.queues().collect::<BTreeSet<_>>().len();
        if queues > MAX_QUEUES {
            return Err(ManifestError::Queues(queues));
        }
        Ok(manifest)
    }

    /// The queues that its entries name.
    pub fn queues(&self) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .map(|entry| entry.options.queue.as_str())
    }
}

/// Names stand in logs, tables and command lines.
fn checked_name(name: &str) -> Result<&str, ManifestError> {
    let is_odd = |c: char| c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > MAX_NAME || name.contains(is_odd) {
        let start = name.char_indices().take_while(|(at, _)| *at < MAX_NAME);
        return Err(ManifestError::Name(start.map(|(_, c)| c).collect()));
    }
    Ok(name)
}

impl Entry {
    fn read(raw: RawEntry) -> Result<Self, String> {
        let mut entry = Self {
            name: raw.name,
            kind: EntryKind::Task,
            options: TaskOptions::default(),
            roles: Roles::default(),
            order_by: None,
        };
        let mut schedule = None;
        for (option, value) in &raw.options {
            match option.as_str() {
                "cron" => schedule = Some(Schedule::Cron(value.clone())),
                "every" => schedule = Some(Schedule::Every(duration(option, value)?)),
                "accept" | "only" => entry.roles = Roles::read(option, value)?,
                "order_by" => entry.order_by = Some(OrderBy::read(value)?),
                _ => entry.options.set(option, value)?,
            }
        }
        entry.kind = match raw.kind {
            RawKind::Handler => EntryKind::Handler(keys(raw.keys)),
            RawKind::Task => EntryKind::Task,
            RawKind::Periodic => EntryKind::Periodic(
                schedule.ok_or("it is periodic and has neither `cron` nor `every`")?,
            ),
        };
        Ok(entry)
    }
}

impl TaskOptions {
    fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        match option {
            "queue" => value.clone_into(&mut self.queue),
            "retries" => self.retries = number(option, value)?,
            "backoff" => self.backoff = duration(option, value)?,
            "max_backoff" => self.max_backoff = duration(option, value)?,
            "timeout" => self.timeout = duration(option, value)?,
            "deadline" => self.deadline = Some(duration(option, value)?),
            "priority" => self.priority = number(option, value)?,
            _ => {
                return Err(format!(
                    "this host does not know the option `{option}`; a newer host may"
                ));
            }
        }
        if self.priority > 9 {
            return Err(format!("`priority = {value}` is not in 0..=9"));
        }
        Ok(())
    }
}

fn keys(raw: Vec<RawKey>) -> Keys {
    let mut keys = Keys::default();
    for key in raw {
        match key {
            RawKey::Notice(number) => keys.notices.push(NoticeType(number)),
            RawKey::Node(node) => keys.nodes.push(node),
        }
    }
    keys
}

fn duration(option: &str, value: &str) -> Result<Duration, String> {
    humantime::parse_duration(value)
        .map_err(|error| format!("`{option} = \"{value}\"` is no duration: {error}"))
}

fn number<T>(option: &str, value: &str) -> Result<T, String>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    value
        .parse()
        .map_err(|error| format!("`{option} = {value}` is no number in range: {error}"))
}
