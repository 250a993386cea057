//! From a file's bytes to a component.
//!
//! `cargo build` for `wasm32-unknown-unknown` makes a core module that carries its world in a
//! custom section; it is encoded here, so that authors need no tool beside cargo.

use wasmparser::{Encoding, Parser, Payload};

/// Largest file that is looked at; a component of Python has about 20 MiB.
const MAX_FILE: usize = 64 << 20;

/// Why bytes are no plugin.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The file is larger than any plugin.
    #[error("the file has {len} bytes; the limit is {MAX_FILE}")]
    TooLarge {
        /// Its length.
        len: usize,
    },
    /// It is something else, or cut short.
    #[error("the file is no complete WebAssembly (cut short by a slow copy?)")]
    NotWasm(#[source] wasmparser::BinaryReaderError),
    /// A module without a world.
    #[error(
        "the module cannot be made a component; does its crate use gwasp-sdk and crate-type cdylib?"
    )]
    Encode(#[source] anyhow::Error),
}

/// The component in `file`: as it is, or encoded from a core module.
///
/// # Errors
/// [`ComponentError`].
pub fn encode(file: &[u8]) -> Result<Vec<u8>, ComponentError> {
    if file.len() > MAX_FILE {
        return Err(ComponentError::TooLarge { len: file.len() });
    }
    match encoding(file).map_err(ComponentError::NotWasm)? {
        Encoding::Component => Ok(file.to_vec()),
        Encoding::Module => wit_component::ComponentEncoder::default()
            .module(file)
            .and_then(|encoder| encoder.validate(true).encode())
            .map_err(ComponentError::Encode),
    }
}

/// Walks all sections, so that a truncated file is found here.
fn encoding(file: &[u8]) -> Result<Encoding, wasmparser::BinaryReaderError> {
    let mut found = Encoding::Module;
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(file) {
        match payload? {
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
