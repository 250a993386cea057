//! Guests that no compiler of Rust makes, from `tests/guests/wat`.

use std::fmt::Write as _;

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::harness::root;

/// The notice type that the guests here ask for.
pub(crate) const NOTICE: u16 = 60_200;

/// A manifest with one handler.
pub(crate) fn manifest() -> String {
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
pub(crate) fn describing(name: &str, manifest: &str) -> Vec<u8> {
    in_world(&described(&text(name), manifest), &wit())
}

/// The text of a module with a manifest in its place.
fn described(text: &str, manifest: &str) -> String {
    let mut data = format!(
        "(data (i32.const 0) \"\\00\\00\\01\\00{}\")",
        bytes_of(manifest.len())
    );
    data.push_str("(data (i32.const 0x10000) \"");
    for byte in manifest.bytes() {
        write!(data, "\\{byte:02x}").unwrap();
    }
    data.push_str("\")");
    text.replace(";; MANIFEST", &data)
}

/// A version of a plugin: its handler counts for a while, and then returns `"vNUMBER"`. It waits
/// in `queue`. Compiling it costs something like the square of `dearness`.
pub(crate) fn version(number: u32, queue: &str, dearness: usize) -> Vec<u8> {
    let result = result_of(number);
    let data = format!(
        "(data (i32.const 32) \"{}\")(data (i32.const 0x8000) \"{}\")",
        bytes_of(result.len()),
        result.replace('"', "\\22")
    );
    let manifest = manifest().replace(
        "[[\"retries\",\"0\"]]",
        &format!("[[\"queue\",\"{queue}\"]]"),
    );
    let text = text("version").replace(";; RESULT", &data);
    let mut text = described(&text, &manifest);
    if dearness > 0 {
        text.truncate(text.rfind(')').unwrap());
        text.push_str(&dear_function(dearness));
        text.push(')');
    }
    in_world(&text, &wit())
}

/// A plugin whose handler waits in `queue`, and runs until it is ended.
pub(crate) fn endless(queue: &str) -> Vec<u8> {
    let manifest = manifest().replace(
        "[[\"retries\",\"0\"]]",
        &format!("[[\"queue\",\"{queue}\"],[\"timeout\",\"10m\"]]"),
    );
    let text = text("version").replace("(br_if $again", "(br_if $again (i32.const 1) (drop");
    let text = text.replace("(i32.const 1)))))", "(i32.const 1))))))");
    in_world(&described(&text, &manifest), &wit())
}

/// What a run on [`version`] returns: JSON.
pub(crate) fn result_of(number: u32) -> String {
    format!("\"v{number}\"")
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
pub(crate) fn compile_bomb() -> Vec<u8> {
    let mut text = text("honest");
    text.truncate(text.find(";; MANIFEST").unwrap());
    text.push_str(&dear_function(3_000));
    text.push(')');
    in_world(&text, &wit())
}

fn dear_function(size: usize) -> String {
    let mut text = "(func (export \"dear\") (param i32) (result i64) ".to_owned();
    text.push_str(&"(local i64)".repeat(size));
    for join in 1..=size {
        let other = (join * 7) % size + 1;
        write!(
            text,
            "(if (local.get 0) (then \
             (local.set {join} (i64.add (local.get {join}) (local.get {other})))))"
        )
        .unwrap();
    }
    text.push_str("i64.const 0 ");
    for variable in 1..=size {
        write!(text, "local.get {variable} i64.xor ").unwrap();
    }
    text.push(')');
    text
}
