//! Who asks.

use std::fmt;

use tokio::net::UnixStream;

/// The process at the other end of a connection, as the kernel tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// User; none where the kernel does not tell.
    pub(super) uid: Option<u32>,
    /// Process, for the log.
    pub(super) pid: Option<i32>,
}

impl Caller {
    /// Who is at the other end of a connection.
    pub(super) fn of(stream: &UnixStream) -> Self {
        let peer = stream.peer_cred().ok();
        Self {
            uid: peer.map(|peer| peer.uid()),
            pid: peer.and_then(|peer| peer.pid()),
        }
    }

    /// Whether it may ask: the user of this process, or root. The socket's mode says the same;
    /// this holds also where somebody changed the mode.
    pub(super) fn may_ask(self) -> bool {
        let own = rustix::process::geteuid().as_raw();
        self.uid.is_some_and(|uid| uid == own || uid == 0)
    }
}

/// Names this process as one that asks, where no host is there to be asked.
pub fn own_name() -> String {
    let caller = Caller {
        uid: Some(rustix::process::geteuid().as_raw()),
        pid: i32::try_from(std::process::id()).ok(),
    };
    caller.to_string()
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.uid, self.pid) {
            (Some(uid), Some(pid)) => write!(f, "user {uid}, process {pid}"),
            (Some(uid), None) => write!(f, "user {uid}"),
            _ => f.write_str("somebody"),
        }
    }
}
