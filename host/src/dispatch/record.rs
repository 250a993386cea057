//! What a broker keeps of a packet, of its tasks, and of bytes that are no packet.
//!
//! **Invariant:** the same packet under the same routing table makes the same record: ids of
//! tasks follow from the packet's identity and the handler's name.

use std::sync::Arc;

use gwasp_formats::Role;

use crate::broker::{NewPacket, NewRefusal, NewTask, Offer, Origin};
use crate::packet::{Digest, Flag, Key, Packet, Refusal, from_unix_nanos, unix_nanos};
use crate::routes::{Route, Routes};
use crate::task::{packet_task_id, policy_of};

/// Content type of a VOEvent; its keys are notice types.
const VOEVENT: &str = "application/xml";
const OTHER: &str = "application/octet-stream";

/// Makes the record of `packet` and its tasks, by `routes`.
pub fn offer(packet: &Packet, routes: &Routes) -> Offer {
    let mut record = new_packet(packet);
    let (tasks, unmatched) = match routes.matching(packet) {
        Ok(routes) => (new_tasks(packet, &routes, &mut record), None),
        Err(reason) => (Vec::new(), Some(reason.as_str().to_owned())),
    };
    Offer {
        packet: record,
        tasks,
        unmatched,
    }
}

/// A task per route; `record` is flagged where the packet lacks what a handler orders by.
fn new_tasks(packet: &Packet, routes: &[Arc<Route>], record: &mut NewPacket) -> Vec<NewTask> {
    let tasks = tasks_of(packet, routes, unix_nanos(packet.received));
    let mut both = tasks.iter().zip(routes);
    let lacks =
        both.any(|(task, route)| route.entry.order_by.is_some() && task.order_key.is_none());
    let flag = Flag::NoOrderingKey.as_str();
    if lacks && !record.flags.iter().any(|known| known == flag) {
        record.flags.push(flag.to_owned());
    }
    tasks
}

/// Makes a task per route, whose time begins at `from` (nanoseconds since the Unix epoch).
pub fn tasks_of(packet: &Packet, routes: &[Arc<Route>], from: i64) -> Vec<NewTask> {
    let task = |route: &Arc<Route>| {
        let mut task = new_task(packet, route, from);
        if let Some(order_by) = &route.entry.order_by {
            // Values belong to a plugin, and so do the keys that guard them.
            task.order_key = order_by
                .value(packet)
                .map(|value| format!("{}:{value}", route.plugin));
        }
        task
    };
    routes.iter().map(task).collect()
}

/// Reads the record of a packet back, as it was when it came, for matching: what only a listener
/// needs is left out.
pub fn archived(record: &NewPacket) -> Packet {
    let is_document = record.content_type == VOEVENT;
    let key = match record.key.parse() {
        _ if record.key.is_empty() => Key::None,
        Ok(notice_type) if is_document => Key::Notice(notice_type),
        _ => Key::Node(record.key.clone()),
    };
    Packet {
        source: record.source.clone(),
        key,
        id: record.id.clone(),
        identity: Digest::from_bytes(record.identity),
        role: Role::from_word(&record.role).unwrap_or_default(),
        received: from_unix_nanos(record.received),
        sent: record.sent.map(from_unix_nanos),
        content_type: if is_document { VOEVENT } else { OTHER },
        headers: record.headers.clone(),
        flags: Vec::new(),
        payload: record.payload.clone(),
    }
}

/// Makes the record of `packet` that a broker keeps.
pub fn new_packet(packet: &Packet) -> NewPacket {
    NewPacket {
        source: packet.source.clone(),
        key: packet.key.to_string(),
        id: packet.id.clone(),
        identity: *packet.identity.as_bytes(),
        digest: *Digest::of(&packet.payload).as_bytes(),
        role: packet.role.as_str().to_owned(),
        received: unix_nanos(packet.received),
        sent: packet.sent.map(unix_nanos),
        content_type: packet.content_type.to_owned(),
        headers: packet.headers.clone(),
        flags: packet
            .flags
            .iter()
            .map(|flag| flag.as_str().to_owned())
            .collect(),
        payload: packet.payload.clone(),
    }
}

fn new_task(packet: &Packet, route: &Route, from: i64) -> NewTask {
    let options = &route.entry.options;
    NewTask {
        id: packet_task_id(&packet.identity, &route.name(), 0),
        plugin: route.plugin.clone(),
        handler: route.entry.name.clone(),
        queue: options.queue.clone(),
        origin: Origin::Packet,
        parent: None,
        priority: options.priority,
        due: from,
        order_key: None,
        policy: policy_of(options, from),
        args: None,
    }
}

/// Makes the record of bytes that are no packet.
pub(super) fn new_refusal(refusal: Refusal) -> NewRefusal {
    NewRefusal {
        source: refusal.source,
        received: unix_nanos(refusal.received),
        reason: refusal.reason,
        payload: refusal.payload,
    }
}
