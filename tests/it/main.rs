//! GWASP end to end: the real binary, real files, real sockets, and other people's programs at
//! the other end of them. `cargo xtask test` builds what they need and says where it is.

#[cfg(test)]
mod backtest;
#[cfg(test)]
mod beat;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod control;
#[cfg(test)]
mod copies;
#[cfg(test)]
mod dev;
#[cfg(test)]
mod effects;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod first_slice;
#[cfg(test)]
mod guest_build;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod localize;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod service;
#[cfg(test)]
mod skymap;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod vtp_peers;
