//! The socket's place: `control.sock` in the store's directory, for its owner alone.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

const NAME: &str = "control.sock";
const OWNER_ONLY: u32 = 0o600;
/// Longest path of a socket: `sun_path` of unix(7) with its end.
const MAX_PATH: usize = 107;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[error("the control socket {} cannot be made", path.display())]
pub struct SocketError {
    /// Where it should be.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// A socket that listens; nobody answers yet.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    place: Place,
}

/// The socket's file, which goes with the host.
#[derive(Debug)]
pub(super) struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        // One that is left does no harm: the next host takes its place.
        drop(std::fs::remove_file(&self.0));
    }
}

impl Socket {
    /// Makes the socket of the store in `directory`, which the caller has locked: one that lies
    /// there is of a host that is gone.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn bind(directory: &Path) -> Result<Self, SocketError> {
        let path = directory.join(NAME);
        match bind(directory, &path) {
            Ok(listener) => Ok(Self {
                listener,
                place: Place(path),
            }),
            Err(source) => Err(SocketError { path, source }),
        }
    }

    pub(super) fn into_parts(self) -> (UnixListener, Place) {
        (self.listener, self.place)
    }
}

fn bind(directory: &Path, path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let short = Short::of(directory)?;
    let listener = UnixListener::bind(short.path())?;
    std::fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))?;
    Ok(listener)
}

/// The socket's path, however deep its directory: a long one is reached through the open
/// directory.
#[derive(Debug)]
pub(super) struct Short {
    path: PathBuf,
    _directory: Option<File>,
}

impl Short {
    pub(super) fn of(directory: &Path) -> io::Result<Self> {
        let path = directory.join(NAME);
        if path.as_os_str().len() <= MAX_PATH {
            return Ok(Self {
                path,
                _directory: None,
            });
        }
        let directory = File::open(directory)?;
        let path = format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd());
        Ok(Self {
            path: path.into(),
            _directory: Some(directory),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{NAME, Short, Socket};

    #[tokio::test]
    async fn a_socket_is_its_owners_and_takes_the_place_of_one_that_is_left() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::net::UnixListener::bind(dir.path().join(NAME)).unwrap();
        let socket = Socket::bind(dir.path()).unwrap();
        let mode = std::fs::metadata(dir.path().join(NAME))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        tokio::net::UnixStream::connect(dir.path().join(NAME))
            .await
            .unwrap();
        drop(socket);
        assert!(!dir.path().join(NAME).exists());
    }

    #[tokio::test]
    async fn a_path_may_be_longer_than_a_socket_address() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a".repeat(100)).join("b".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let _socket = Socket::bind(&deep).unwrap();
        let short = Short::of(&deep).unwrap();
        tokio::net::UnixStream::connect(short.path()).await.unwrap();
    }
}
