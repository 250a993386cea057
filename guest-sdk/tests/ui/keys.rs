use gwasp_sdk::prelude::*;

#[handler(FERMI_GBM_GND_PSO, fermi_gbm_gnd_pos, GND_POS, ZWICKY)]
fn misspelt(_: VoEvent) {}

#[handler(KILL_SOCKET, 3, 70000, -1)]
fn no_handler_gets_these(_: VoEvent) {}

#[handler("FERMI_GBM_GND_POS", "cbc_*_mdc", "cbc gstlal", "")]
fn no_nodes(_: Packet) {}

#[handler("FERMI_GBM_*")]
fn no_pattern_of_types(_: Packet) {}

#[handler(FERMI_GBM_GND_POS SWIFT_BAT_GRB_POS_ACK, notices::IPN_POS)]
fn punctuation(_: VoEvent) {}

#[handler]
fn nothing(_: VoEvent) {}

#[handler()]
fn nothing_in_parentheses(_: VoEvent) {}

fn main() {}
