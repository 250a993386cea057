//! Codes of what can go wrong, each with a page: what happened, what to do, an example.
//!
//! `gwasp explain CODE` shows a page. A code keeps its meaning for ever: people search for it.
//! Which error has which code is decided in `complaint`; of a task's failure, which is kept as
//! words, it is decided here.

use std::fmt;

use serde::{Serialize, Serializer};

/// A code, such as `E0101`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(&'static str);

/// An error that has a code; `complaint` says which.
pub(crate) trait Coded {
    /// Its code.
    fn code(&self) -> Code;
}

impl Code {
    /// The code.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// The code that a person wrote: `E0101`, `e0101`, `0101` or `101`.
    pub fn find(text: &str) -> Option<Self> {
        let digits = text.trim().trim_start_matches(['e', 'E']);
        let wanted = format!("E{digits:0>4}");
        let mut codes = PAGES.iter().map(|(code, _)| *code);
        codes.find(|code| code.0 == wanted)
    }

    /// Its page, in Markdown.
    pub fn page(self) -> &'static str {
        let page = PAGES.iter().find(|(code, _)| *code == self);
        page.map_or("", |(_, page)| *page)
    }

    /// What is wrong, in a few words.
    pub fn title(self) -> &'static str {
        let heading = self.page().lines().next().unwrap_or_default();
        heading.split_once(": ").map_or("", |(_, title)| title)
    }

    /// All codes.
    pub fn all() -> impl Iterator<Item = Self> {
        PAGES.iter().map(|(code, _)| *code)
    }

    /// The code of a task's failure, by the kind and the message that are kept of it.
    pub fn of_failure(kind: &str, message: &str) -> Option<Self> {
        // What the host told the handler, which passed it on.
        if message.contains(ALLOW_IT) {
            return Some(if message.contains(NO_SERVICE) {
                code::SERVICE
            } else {
                code::GRANT
            });
        }
        Some(match kind {
            "error" => code::RUN_ERROR,
            "parse" => code::RUN_PARSE,
            "permanent" => code::RUN_PERMANENT,
            "in-doubt" => code::RUN_IN_DOUBT,
            "trap" if message.contains(STACK) => code::RUN_STACK,
            "trap" => code::RUN_TRAP,
            "timeout" => code::RUN_TIMEOUT,
            "limit" if message.contains(MEMORY) => code::RUN_MEMORY,
            "limit" => code::RUN_LIMIT,
            "journal" => code::RUN_JOURNAL,
            "unsettled" => code::RUN_UNSETTLED,
            "host" => code::RUN_HOST,
            "version" => code::RUN_VERSION,
            "expired" => code::RUN_EXPIRED,
            _ => return None,
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

/// In what a plugin is told that lacks a grant.
pub(crate) const ALLOW_IT: &str = "to allow it, have in the configuration:";
/// In what a plugin is told whose request belongs to no service.
pub(crate) const NO_SERVICE: &str = "no service covers";
/// In how wasmtime names a stack overflow.
const STACK: &str = "call stack exhausted";
/// In what a handler is told that has no memory left.
pub(crate) const MEMORY: &str = "bytes of memory; its queue gives";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        /// The codes by name.
        pub mod code {
            use super::Code;
            $($(#[$doc])* pub const $name: Code = Code($code);)*
        }

        /// Codes and pages, in the order of their numbers.
        const PAGES: &[(Code, &str)] = &[
            $((code::$name, include_str!(concat!("explain/", $code, ".md"))),)*
        ];
    };
}

codes! {
    /// The configuration has a mistake.
    CONFIG = "E0101";
    /// The configuration names something that it does not have.
    CONFIG_NAME = "E0102";
    /// A file of the configuration cannot be read.
    CONFIG_FILE = "E0103";
    /// A handler names a queue that is not configured.
    QUEUE = "E0104";
    /// A secret cannot be used.
    SECRET = "E0105";
    /// Certificates cannot be used.
    CERTIFICATES = "E0106";
    /// A queue that is in use would go.
    QUEUE_IN_USE = "E0107";
    /// A plugin's file has a name that cannot be one.
    PLUGIN_NAME = "E0201";
    /// A file is no plugin.
    PLUGIN_FILE = "E0202";
    /// A plugin takes too much to compile.
    PLUGIN_COMPILE_LIMIT = "E0203";
    /// A plugin cannot be compiled.
    PLUGIN_COMPILE = "E0204";
    /// The compiler or its cache does not work.
    COMPILER = "E0205";
    /// A plugin is not made for this host.
    PLUGIN_MISFIT = "E0206";
    /// A plugin does not describe itself.
    PLUGIN_DESCRIBE = "E0207";
    /// What a plugin says of itself is refused.
    PLUGIN_MANIFEST = "E0208";
    /// A plugin was built for another version of the host.
    PLUGIN_VERSION = "E0209";
    /// The plugin directory cannot be read.
    PLUGIN_DIRECTORY = "E0210";
    /// Others can write where only the host's people should.
    PLUGIN_PERMISSIONS = "E0211";
    /// What the store knows of a plugin cannot be read.
    ROUTES = "E0212";
    /// WebAssembly or a thread cannot have what it needs.
    MACHINE = "E0213";
    /// A plugin, or a version of one, is not there.
    PLUGIN_UNKNOWN = "E0214";
    /// A handler returned an error.
    RUN_ERROR = "E0301";
    /// A payload could not be parsed.
    RUN_PARSE = "E0302";
    /// A handler failed for good.
    RUN_PERMANENT = "E0303";
    /// Nobody knows whether an effect was done.
    RUN_IN_DOUBT = "E0304";
    /// A handler panicked.
    RUN_TRAP = "E0305";
    /// A handler took too long.
    RUN_TIMEOUT = "E0306";
    /// A handler asked for more than it may.
    RUN_LIMIT = "E0307";
    /// A handler needs more memory than its queue gives.
    RUN_MEMORY = "E0308";
    /// A handler's calls are nested too deeply.
    RUN_STACK = "E0309";
    /// A run differs from its journal.
    RUN_JOURNAL = "E0310";
    /// An effect could not be settled yet.
    RUN_UNSETTLED = "E0311";
    /// The host could not run a handler.
    RUN_HOST = "E0312";
    /// The version that a run began on is gone.
    RUN_VERSION = "E0313";
    /// A task's deadline passed.
    RUN_EXPIRED = "E0314";
    /// A broker's name has no address.
    PEER_NAME = "E0401";
    /// A broker, or a service, does not take connections.
    PEER_CONNECT = "E0402";
    /// There is no TLS with a broker.
    PEER_TLS = "E0403";
    /// What answers does not speak the protocol.
    PEER_SILENT = "E0404";
    /// A file is no notice that can be sent.
    NOTICE_FILE = "E0405";
    /// The store is in use.
    STORE_IN_USE = "E0501";
    /// A newer gwasp wrote the store.
    STORE_NEWER = "E0502";
    /// A directory is no store.
    STORE_FOREIGN = "E0503";
    /// What is kept is damaged.
    STORE_DAMAGED = "E0504";
    /// The disk failed under the store.
    DISK = "E0505";
    /// The disk of the store is full.
    DISK_FULL = "E0506";
    /// The store cannot be read or written.
    STORE_ACCESS = "E0507";
    /// The store gave no answer just now.
    STORE_BUSY = "E0508";
    /// Somebody else has the task, or the routes changed.
    STORE_LEASE = "E0509";
    /// Something is larger than the store takes.
    STORE_LIMIT = "E0510";
    /// A payload is not kept any more.
    STORE_DROPPED = "E0511";
    /// An older gwasp wrote the store.
    STORE_OLDER = "E0512";
    /// A copy of a store was not made, or not brought back.
    COPY = "E0513";
    /// A query has no answer.
    SQL = "E0514";
    /// A packet was not dispatched again.
    REDISPATCH = "E0515";
    /// A plugin asks for what it has no grant for.
    GRANT = "E0601";
    /// No service covers a URL.
    SERVICE = "E0602";
    /// A request was not made, or had no complete answer.
    REQUEST = "E0603";
    /// Something is not there.
    UNKNOWN = "E0701";
    /// The beginning of an id fits several.
    AMBIGUOUS = "E0702";
    /// There is no store.
    NO_STORE = "E0703";
    /// A task cannot be resumed like this.
    RESUME = "E0704";
    /// There is no such code.
    NO_PAGE = "E0705";
    /// No host runs on the store.
    NO_HOST = "E0706";
    /// The host did not do what it was asked.
    REFUSED = "E0707";
    /// The host does not answer.
    HOST_SILENT = "E0708";
    /// The host cannot be controlled.
    CONTROL_SOCKET = "E0709";
    /// A request to the control socket cannot be read.
    CONTROL_REQUEST = "E0710";
    /// A plugin could not be built.
    BUILD = "E0801";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_says_what_happened_and_what_to_do_and_gives_an_example() {
        for (code, page) in PAGES {
            assert!(page.starts_with(&format!("# {code}: ")), "{code}");
            let sections: Vec<&str> = page
                .lines()
                .filter(|line| line.starts_with("## "))
                .collect();
            let expected = ["## What happened", "## What to do", "## Example"];
            assert_eq!(sections, expected, "{code}");
            for part in page.split("\n## ").skip(1) {
                let (_, text) = part.split_once('\n').unwrap();
                assert!(!text.trim().is_empty(), "{code}: {part}");
            }
            for line in page.lines() {
                assert!(line.chars().count() <= 88, "{code}: {line}");
            }
        }
    }

    #[test]
    fn codes_are_in_order_and_each_file_is_one_of_them() {
        let codes: Vec<&str> = Code::all().map(Code::as_str).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/explain");
        let files = std::fs::read_dir(folder).unwrap();
        let mut files: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let named: Vec<String> = codes.iter().map(|code| format!("{code}.md")).collect();
        assert_eq!(files, named);
    }

    #[test]
    fn a_code_is_found_as_people_write_it() {
        for text in ["E0101", "e0101", "101", " 0101 "] {
            assert_eq!(Code::find(text), Some(code::CONFIG), "{text}");
        }
        for text in ["", "E", "E9999", "config"] {
            assert_eq!(Code::find(text), None, "{text}");
        }
    }
}
