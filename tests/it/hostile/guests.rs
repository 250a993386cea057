//! Guests that no compiler of Rust makes, from `tests/guests/wat`.

use std::fmt::Write as _;

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::harness::root;

/// The notice type that the guests here ask for.
pub(super) const NOTICE: u16 = 60_200;

/// A manifest with one handler.
pub(super) fn manifest() -> String {
    format!(
        "{{\"format\":1,\"sdk\":\"0.1.0\",\"entries\":[{{\"name\":\"run\",\"kind\":\"handler\",\
         \"keys\":[{{\"notice\":{NOTICE}}}],\"options\":[[\"retries\",\"0\"]]}}]}}"
    )
}

/// The text of `NAME.wat`.
pub(super) fn text(name: &str) -> String {
    let path = root().join(format!("tests/guests/wat/{name}.wat"));
    std::fs::read_to_string(path).unwrap()
}

/// The core module of `NAME.wat` for the host's world, as cargo would leave it.
pub(super) fn module(name: &str) -> Vec<u8> {
    describing(name, &manifest())
}

/// The same with another manifest.
pub(super) fn describing(name: &str, manifest: &str) -> Vec<u8> {
    let mut data = format!(
        "(data (i32.const 0) \"\\00\\00\\01\\00{}\")",
        bytes_of(manifest.len())
    );
    data.push_str("(data (i32.const 0x10000) \"");
    for byte in manifest.bytes() {
        write!(data, "\\{byte:02x}").unwrap();
    }
    data.push_str("\")");
    let text = text(name).replace(";; MANIFEST", &data);
    in_world(&text, &wit())
}

/// A core module with a world attached, as wit-bindgen does.
pub(super) fn in_world(text: &str, wit: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = Resolve::default();
    let package = resolve.push_str("gwasp.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}

/// The definition of the boundary.
pub(super) fn wit() -> String {
    std::fs::read_to_string(root().join("guest-sdk/wit/dev/gwasp.wit")).unwrap()
}

fn bytes_of(len: usize) -> String {
    let len = u32::try_from(len).unwrap();
    len.to_le_bytes()
        .iter()
        .fold(String::new(), |text, byte| text + &format!("\\{byte:02x}"))
}

/// A small file that takes a compiler gigabytes: thousands of variables, and as many places
/// where the control flow joins, each of which may have to merge all of them.
pub(super) fn compile_bomb() -> Vec<u8> {
    const SIZE: usize = 3_000;
    let mut text = text("honest");
    text.truncate(text.find(";; MANIFEST").unwrap());
    text.push_str("(func (export \"bomb\") (param i32) (result i64) ");
    text.push_str(&"(local i64)".repeat(SIZE));
    for join in 1..=SIZE {
        let other = (join * 7) % SIZE + 1;
        write!(
            text,
            "(if (local.get 0) (then \
             (local.set {join} (i64.add (local.get {join}) (local.get {other})))))"
        )
        .unwrap();
    }
    text.push_str("i64.const 0 ");
    for variable in 1..=SIZE {
        write!(text, "local.get {variable} i64.xor ").unwrap();
    }
    text.push_str("))");
    in_world(&text, &wit())
}
