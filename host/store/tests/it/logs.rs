//! What a stranger's words look like in the log.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::common::{Rig, offer};

/// Keeps the fields of each event, as a formatter is given them.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn an_id_from_outside_makes_no_line_of_its_own() {
    let log = Log::default();
    // The writer is a thread of its own; no other test looks at the log.
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let rig = Rig::new();
    for name in ["1", "2"] {
        let mut offer = offer(name, &[]);
        offer.packet.id = "ivo://x/y#1\n2026-01-02 ERROR store is lost\u{1b}[31m".to_owned();
        rig.keep(offer);
    }
    let lines = log.0.lock().unwrap().clone();
    let line = lines.iter().find(|line| line.contains("with other bytes"));
    let line = line.unwrap();
    assert!(line.contains("ivo://x/y#1"), "{line}");
    assert!(!line.contains(['\n', '\u{1b}']), "{line}");
}
