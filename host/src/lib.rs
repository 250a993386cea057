//! The GWASP host: it listens to streams of astronomical alerts, writes every packet down
//! before it acknowledges it, and runs sandboxed handlers on it.
//!
//! The way of a packet, and which module may know which, are told in `ARCHITECTURE.md`.

pub(crate) mod backtest;
pub mod bench;
pub mod broker;
pub mod cli;
pub(crate) mod complaint;
pub mod config;
pub mod control;
pub mod dispatch;
pub(crate) mod dryrun;
pub mod effects;
pub mod explain;
pub(crate) mod guest_build;
pub mod host;
pub mod intake;
pub mod listeners;
pub mod operations;
pub mod packet;
pub mod plugins;
pub mod rollout;
pub mod routes;
pub mod services;
pub mod settings;
pub mod stop;
pub mod task;
pub(crate) mod text;
pub mod workers;
