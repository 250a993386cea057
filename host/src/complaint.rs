//! Which code each error has, and how an error is told to a person.
//!
//! Each `match` is complete: a new variant does not compile before it has a code. An error that
//! says only where another one came from has that one's code.

use std::error::Error;
use std::fmt;

use gwasp_store::{BackupError, OpenError, SqlError, StoreError};

use crate::config::{ConfigError, QueueError};
use crate::control::{ClientError, SocketError};
use crate::dryrun::DryRunError;
use crate::effects::ResumeError;
use crate::explain::{Code, Coded, code};
use crate::guest_build::BuildError;
use crate::guest_build::packages::PackagesError;
use crate::host::{HostError, ReloadError};
use crate::listeners::vtp::author::SubmitError;
use crate::listeners::vtp::{DialError, ProbeError, TlsSetupError, replay};
use crate::operations::RedispatchError;
use crate::plugins::{
    CompileError, ComponentError, DescribeError, DirectoryError, EngineError, LoadError,
    MisfitError, PermissionError,
};
use crate::rollout::{PluginsError, StartError};
use crate::routes::ManifestError;
use crate::services::{HttpError, SecretError};
use crate::workers::PoolError;

/// An error of the command line, which has no type of its own.
#[derive(Debug)]
pub(crate) struct Said {
    code: Code,
    text: String,
}

impl Said {
    /// An error with these words.
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { code, text }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Said {}

impl Coded for Said {
    fn code(&self) -> Code {
        self.code
    }
}

/// The code of an error, or of the first of its causes that has one.
pub(crate) fn code_of(error: &(dyn Error + 'static)) -> Option<Code> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(code) = own_code(error) {
            return Some(code);
        }
        next = error.source();
    }
    None
}

macro_rules! first_of {
    ($error:ident, $($kind:ty),* $(,)?) => {
        $(if let Some(error) = $error.downcast_ref::<$kind>() {
            return Some(error.code());
        })*
    };
}

fn own_code(error: &(dyn Error + 'static)) -> Option<Code> {
    first_of!(
        error,
        Said,
        ConfigError,
        QueueError,
        SecretError,
        TlsSetupError,
        HostError,
        ReloadError,
        PluginsError,
        StartError,
        LoadError,
        ComponentError,
        CompileError,
        MisfitError,
        DescribeError,
        ManifestError,
        DirectoryError,
        PermissionError,
        EngineError,
        PoolError,
        DialError,
        SubmitError,
        replay::LoadError,
        ProbeError,
        HttpError,
        OpenError,
        StoreError,
        BackupError,
        SqlError,
        RedispatchError,
        ResumeError,
        DryRunError,
        BuildError,
        PackagesError,
        SocketError,
        ClientError,
    );
    None
}

impl Coded for ConfigError {
    fn code(&self) -> Code {
        match self {
            Self::Toml(_) => code::CONFIG,
            Self::Unknown(_) => code::CONFIG_NAME,
        }
    }
}

impl Coded for QueueError {
    fn code(&self) -> Code {
        code::QUEUE
    }
}

impl Coded for SecretError {
    fn code(&self) -> Code {
        match self {
            Self::Read { .. }
            | Self::Exposed { .. }
            | Self::NoVariable(_)
            | Self::NoCredentials(_)
            | Self::Form { .. } => code::SECRET,
        }
    }
}

impl Coded for TlsSetupError {
    fn code(&self) -> Code {
        match self {
            Self::CaFile { .. }
            | Self::Certificate { .. }
            | Self::NoCertificates { .. }
            | Self::Provider(_) => code::CERTIFICATES,
        }
    }
}

impl Coded for HostError {
    fn code(&self) -> Code {
        match self {
            Self::Store { source, .. } => source.code(),
            Self::Broker(error) => error.code(),
            Self::Engine(error) => error.code(),
            Self::Rollout(error) => error.code(),
            Self::Compiler(error) => error.code(),
            Self::Thread(_) => code::MACHINE,
            Self::Pool(error) => error.code(),
            Self::Http(error) => error.code(),
            Self::Control(error) => error.code(),
            Self::Listener { source, .. } => source.code(),
        }
    }
}

impl Coded for ReloadError {
    fn code(&self) -> Code {
        match self {
            Self::QueueHasTasks { .. } | Self::QueueIsNamed { .. } => code::QUEUE_IN_USE,
            Self::Part(error) => error.code(),
        }
    }
}

impl Coded for StartError {
    fn code(&self) -> Code {
        match self {
            Self::Broker(error) => error.code(),
            Self::Permission(error) => error.code(),
            Self::Pool(error) => error.code(),
            Self::Routes { .. } => code::ROUTES,
        }
    }
}

impl Coded for SocketError {
    fn code(&self) -> Code {
        code::CONTROL_SOCKET
    }
}

impl Coded for ClientError {
    fn code(&self) -> Code {
        match self {
            Self::NoHost { .. } => code::NO_HOST,
            Self::Refused(problem) => problem.code().unwrap_or(code::REFUSED),
            Self::Late(_) | Self::Failed(_) => code::HOST_SILENT,
        }
    }
}

impl Coded for PluginsError {
    fn code(&self) -> Code {
        match self {
            Self::Stopping => code::STORE_BUSY,
            Self::Directory(error) => error.code(),
            Self::Unknown { .. } | Self::NoRoutes(_) | Self::NoFormer(_) | Self::NotKept { .. } => {
                code::PLUGIN_UNKNOWN
            }
            Self::Broker(error) => error.code(),
        }
    }
}

impl Coded for LoadError {
    fn code(&self) -> Code {
        match self {
            Self::Permission(error) => error.code(),
            Self::Name(_) => code::PLUGIN_NAME,
            Self::Component(error) => error.code(),
            Self::Compile(error) => error.code(),
            Self::Misfit(error) => error.code(),
            Self::Describe(error) => error.code(),
            Self::Manifest(error) => error.code(),
        }
    }
}

impl Coded for ComponentError {
    fn code(&self) -> Code {
        match self {
            Self::Missing
            | Self::Read(_)
            | Self::NotFile
            | Self::TooLarge { .. }
            | Self::NotWasm { .. }
            | Self::Encode(_) => code::PLUGIN_FILE,
        }
    }
}

impl Coded for CompileError {
    fn code(&self) -> Code {
        match self {
            Self::Permission(error) => error.code(),
            Self::Refused(_) => code::PLUGIN_COMPILE,
            Self::Limit { .. } => code::PLUGIN_COMPILE_LIMIT,
            Self::Cache { .. }
            | Self::Start { .. }
            | Self::Failed { .. }
            | Self::Damaged { .. }
            | Self::GivenUp
            | Self::Load(_) => code::COMPILER,
        }
    }
}

impl Coded for MisfitError {
    fn code(&self) -> Code {
        match self {
            Self::Version { .. } => code::PLUGIN_VERSION,
            Self::Imports { .. } | Self::Types(_) => code::PLUGIN_MISFIT,
        }
    }
}

impl Coded for DescribeError {
    fn code(&self) -> Code {
        match self {
            Self::Export(_) | Self::Run(_) | Self::TooLong { .. } => code::PLUGIN_DESCRIBE,
        }
    }
}

impl Coded for ManifestError {
    fn code(&self) -> Code {
        match self {
            Self::Newer { .. } => code::PLUGIN_VERSION,
            Self::Json(_)
            | Self::Entries(_)
            | Self::Queues(_)
            | Self::Name(_)
            | Self::DuplicateName(_)
            | Self::Option { .. } => code::PLUGIN_MANIFEST,
        }
    }
}

impl Coded for DirectoryError {
    fn code(&self) -> Code {
        match self {
            Self::Read { .. } => code::PLUGIN_DIRECTORY,
            Self::Permission(error) => error.code(),
        }
    }
}

impl Coded for PermissionError {
    fn code(&self) -> Code {
        match self {
            Self::Plugins { .. } | Self::Cache { .. } => code::PLUGIN_PERMISSIONS,
            Self::Io { .. } => code::PLUGIN_DIRECTORY,
        }
    }
}

impl Coded for EngineError {
    fn code(&self) -> Code {
        code::MACHINE
    }
}

impl Coded for PoolError {
    fn code(&self) -> Code {
        match self {
            Self::Queue(error) => error.code(),
            Self::Engine { .. } | Self::Thread { .. } => code::MACHINE,
            Self::Load { source, .. } => source.code(),
            Self::Bytes { source, .. } => source.code(),
            Self::Gone { .. } => code::RUN_VERSION,
            Self::Link { .. } => code::PLUGIN_MISFIT,
        }
    }
}

impl Coded for DialError {
    fn code(&self) -> Code {
        match self {
            Self::Lookup { .. } | Self::LookupTimeout { .. } => code::PEER_NAME,
            Self::Connect { .. } | Self::ConnectTimeout { .. } => code::PEER_CONNECT,
            Self::Tls { .. } | Self::ServerName { .. } => code::PEER_TLS,
        }
    }
}

impl Coded for ProbeError {
    fn code(&self) -> Code {
        match self {
            Self::Tls(error) => error.code(),
            Self::Dial(error) => error.code(),
            Self::Closed | Self::Foreign => code::PEER_SILENT,
        }
    }
}

impl Coded for SubmitError {
    fn code(&self) -> Code {
        match self {
            Self::Dial(error) => error.code(),
            Self::Unframeable(_) => code::NOTICE_FILE,
        }
    }
}

impl Coded for replay::LoadError {
    fn code(&self) -> Code {
        match self {
            Self::Read { .. } | Self::NoNotice { .. } => code::NOTICE_FILE,
        }
    }
}

impl Coded for HttpError {
    fn code(&self) -> Code {
        match self {
            Self::Denied(_) => code::GRANT,
            Self::Secret { source, .. } => source.code(),
            Self::Unreachable { .. } => code::PEER_CONNECT,
            Self::Invalid(_) | Self::NoAnswer { .. } | Self::TooLarge { .. } => code::REQUEST,
        }
    }
}

impl Coded for OpenError {
    fn code(&self) -> Code {
        match self {
            Self::Locked { .. } => code::STORE_IN_USE,
            Self::NewerFormat { .. } => code::STORE_NEWER,
            Self::OlderFormat { .. } => code::STORE_OLDER,
            Self::NotAStore { .. } => code::STORE_FOREIGN,
            Self::Damaged { .. } => code::STORE_DAMAGED,
            Self::Database { .. } | Self::Io { .. } if self.is_of_disk() => code::DISK,
            Self::Database { .. } | Self::Io { .. } => code::STORE_ACCESS,
        }
    }
}

impl Coded for BackupError {
    fn code(&self) -> Code {
        match self {
            Self::Open(error) => error.code(),
            Self::InUse { .. } => code::STORE_IN_USE,
            Self::Exists(_)
            | Self::Unfinished(_)
            | Self::Io { .. }
            | Self::Database { .. }
            | Self::Missing(_)
            | Self::Unsound(_) => code::COPY,
        }
    }
}

impl Coded for SqlError {
    fn code(&self) -> Code {
        match self {
            Self::Open(error) => error.code(),
            Self::NoQuery | Self::TooLong(_) | Self::Database(_) => code::SQL,
        }
    }
}

impl Coded for RedispatchError {
    fn code(&self) -> Code {
        match self {
            Self::Broker(error) => error.code(),
            Self::Unknown(_) | Self::Handler(_) | Self::Unmatched(_) => code::REDISPATCH,
        }
    }
}

impl Coded for StoreError {
    fn code(&self) -> Code {
        match self {
            Self::Unavailable { .. } | Self::Closed => code::STORE_BUSY,
            Self::Fenced { .. } | Self::Conflict { .. } => code::STORE_LEASE,
            Self::Full { .. } => code::DISK_FULL,
            Self::TooLarge { .. } => code::STORE_LIMIT,
            Self::Dropped { .. } => code::STORE_DROPPED,
            Self::Corrupt { .. } => code::STORE_DAMAGED,
            Self::Unknown { .. } => code::UNKNOWN,
            Self::Failed { .. } => code::DISK,
        }
    }
}

impl Coded for ResumeError {
    fn code(&self) -> Code {
        match self {
            Self::Journal(_) => code::RUN_JOURNAL,
            Self::NothingInDoubt
            | Self::Undecided { .. }
            | Self::DoneAfter { .. }
            | Self::NoAnswer(_) => code::RESUME,
        }
    }
}

impl Coded for DryRunError {
    fn code(&self) -> Code {
        match self {
            Self::Engine(error) => error.code(),
            Self::Load(error) => error.code(),
            Self::Link(_) => code::PLUGIN_MISFIT,
        }
    }
}

impl Coded for BuildError {
    fn code(&self) -> Code {
        match self {
            Self::Cargo { .. }
            | Self::Failed { .. }
            | Self::NoArtifact { .. }
            | Self::Read { .. }
            | Self::Encode { .. } => code::BUILD,
        }
    }
}

impl Coded for PackagesError {
    fn code(&self) -> Code {
        match self {
            Self::Path { .. } | Self::Metadata { .. } | Self::NoGuest { .. } => code::BUILD,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::config::Config;

    #[track_caller]
    fn check(error: impl Into<anyhow::Error>, expected: Option<Code>) {
        let error = error.into().context("what was under way");
        assert_eq!(code_of(error.as_ref()), expected, "{error:#}");
    }

    #[test]
    fn an_error_has_the_code_of_what_lies_under_it() {
        let locked = OpenError::Locked {
            dir: "state".into(),
            pid: 1,
            started: 0,
        };
        let store = HostError::Store {
            directory: "state".into(),
            source: Box::new(locked),
        };
        check(store, Some(code::STORE_IN_USE));
        let missing = LoadError::Component(ComponentError::Missing);
        check(missing, Some(code::PLUGIN_FILE));
        check(
            Config::parse("[drain", "x").unwrap_err(),
            Some(code::CONFIG),
        );
        check(Said::new(code::UNKNOWN, "none"), Some(code::UNKNOWN));
        check(io::Error::other("x"), None);
    }

    #[test]
    fn a_full_disk_is_told_from_a_file_of_somebody_else() {
        let open = |kind| OpenError::Io {
            operation: "open",
            path: "store.db".into(),
            source: io::Error::from(kind),
        };
        check(open(io::ErrorKind::StorageFull), Some(code::DISK));
        check(
            open(io::ErrorKind::PermissionDenied),
            Some(code::STORE_ACCESS),
        );
    }

    #[test]
    fn a_queue_in_the_place_of_another_error_keeps_its_code() {
        let config = Config::parse("[queues.a]", "x").unwrap();
        let error = config.queues.get("b").unwrap_err();
        check(PoolError::from(error), Some(code::QUEUE));
    }
}
