//! A server of a few files over HTTP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::candidate;
use crate::gwasp::ANY_PORT;

/// How long a client may take with its request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest request.
const MAX_REQUEST: u64 = 64 << 10;

/// Serves files until the process ends.
#[derive(Clone, Debug)]
pub struct FileServer {
    /// Where.
    pub address: SocketAddr,
}

impl FileServer {
    /// Serves the files of the made-up candidate, at `/coinc.xml` and `/psd.xml`.
    ///
    /// # Errors
    /// When there is no port.
    pub fn with_candidate() -> Result<Self> {
        Self::start(vec![
            ("/coinc.xml", candidate::coinc().into_bytes()),
            ("/psd.xml", candidate::psd().into_bytes()),
        ])
    }

    /// Serves `files`, by path; everything else is not there.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(files: Vec<(&'static str, Vec<u8>)>) -> Result<Self> {
        let listener = TcpListener::bind(ANY_PORT).context("no port for a file server")?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes is its own affair.
                drop(answer(&stream, &files));
            }
        });
        Ok(Self { address })
    }
}

fn answer(mut stream: &TcpStream, files: &[(&str, Vec<u8>)]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream.take(MAX_REQUEST)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let path = request.split(' ').nth(1).unwrap_or_default();
    let found = files.iter().find(|(of, _)| *of == path);
    let (status, body) = found.map_or(("404 Not Found", &[][..]), |(_, body)| ("200 OK", body));
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}
