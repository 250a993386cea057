//! From a plugin's file to a component.
//!
//! `cargo build` for `wasm32-unknown-unknown` makes a core module that carries its world in a
//! custom section; it is encoded here, so that authors need no tool beside cargo.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use wasmparser::{Encoding, Parser, Payload};

/// Largest file that is looked at; a component of Python has about 20 MiB.
const MAX_FILE: u64 = 64 << 20;

/// Why a file is no plugin.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// There is no such file.
    #[error("there is no such file; `gwasp build` puts plugins into ./plugins")]
    Missing,
    /// It cannot be read.
    #[error("the file cannot be read; may the user who runs gwasp read it?")]
    Read(#[source] std::io::Error),
    /// It is a directory, a device or a pipe.
    #[error("it is no regular file; take it out of the plugin directory")]
    NotFile,
    /// It is larger than any plugin.
    #[error(
        "the file has {len} bytes; the limit is {MAX_FILE}: build it with `gwasp build`, which \
         leaves debug information out"
    )]
    TooLarge {
        /// Its length.
        len: u64,
    },
    /// It is something else, or cut short. What the parser says of the bytes helps nobody.
    #[error(
        "the file is no complete WebAssembly (wrong at byte {at} of {len}; cut short by a slow \
         copy?); `gwasp build` makes one and puts it into its place at once"
    )]
    NotWasm {
        /// Where the parser gave up.
        at: usize,
        /// Length of the file.
        len: usize,
    },
    /// A module without a world.
    #[error(
        "the module cannot be made a component; does its crate use gwasp-sdk and crate-type cdylib?"
    )]
    Encode(#[source] anyhow::Error),
}

/// Reads a plugin's file, which may be anything and may grow while it is read.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ComponentError> {
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => ComponentError::Missing,
        _ => ComponentError::Read(error),
    })?;
    if !metadata.is_file() {
        return Err(ComponentError::NotFile);
    }
    if metadata.len() > MAX_FILE {
        return Err(ComponentError::TooLarge {
            len: metadata.len(),
        });
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes))
        .map_err(ComponentError::Read)?;
    Ok(bytes)
}

/// Finds a file that is no WebAssembly, or was cut short.
pub(super) fn check_complete(bytes: &[u8]) -> Result<(), ComponentError> {
    encoding(bytes).map(drop)
}

/// The component in `file`: as it is, or encoded from a core module.
///
/// # Errors
/// [`ComponentError`].
pub fn encode(file: &[u8]) -> Result<Vec<u8>, ComponentError> {
    match encoding(file)? {
        Encoding::Component => Ok(file.to_vec()),
        Encoding::Module => wit_component::ComponentEncoder::default()
            .module(file)
            .and_then(|encoder| encoder.validate(true).encode())
            .map_err(ComponentError::Encode),
    }
}

/// Walks all sections, so that a truncated file is found here.
fn encoding(file: &[u8]) -> Result<Encoding, ComponentError> {
    let not_wasm = |error: wasmparser::BinaryReaderError| ComponentError::NotWasm {
        at: error.offset(),
        len: file.len(),
    };
    let mut found = Encoding::Module;
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(file) {
        match payload.map_err(not_wasm)? {
            Payload::Version { encoding, .. } => {
                if depth == 0 {
                    found = encoding;
                }
                depth += 1;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[track_caller]
    fn check_unread(bytes: &[u8], says: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.wasm");
        std::fs::write(&path, bytes).unwrap();
        let error = read(&path)
            .and_then(|bytes| check_complete(&bytes))
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn what_is_no_webassembly_is_told_so() {
        check_unread(b"", "no complete WebAssembly");
        check_unread(b"\0asm", "no complete WebAssembly");
        check_unread(b"<html>404</html>", "no complete WebAssembly");
        check_unread(&[0xff; 4096], "no complete WebAssembly");
    }

    #[test]
    fn every_cut_of_a_file_is_told_from_the_whole() {
        let text = "(module (func (export \"f\") (result i32) i32.const 7) (memory 1) \
                    (data (i32.const 0) \"abc\"))";
        let whole = wat::parse_str(text).unwrap();
        check_complete(&whole).unwrap();
        // Between two sections a module may end; then what is missing is an export.
        let within_sections =
            (0..whole.len()).filter(|len| check_complete(&whole[..*len]).is_err());
        assert!(within_sections.count() > whole.len() / 2);
    }

    #[test]
    fn a_file_larger_than_memory_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse.wasm");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, ComponentError::TooLarge { len } if len == 1 << 40));
    }

    #[test]
    fn a_device_or_directory_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zero.wasm");
        symlink("/dev/zero", &path).unwrap();
        assert!(matches!(read(&path), Err(ComponentError::NotFile)));
        assert!(matches!(read(dir.path()), Err(ComponentError::NotFile)));
    }
}
