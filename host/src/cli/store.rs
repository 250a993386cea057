//! Options of the commands that look into a store.

use std::path::PathBuf;

use anyhow::Context as _;
use gwasp_store::Reader;

use super::places;

/// Which store to look into.
#[derive(Debug, clap::Args)]
pub(super) struct StoreArgs {
    /// Configuration (TOML) that names the store.
    #[arg(long, short, value_name = "FILE", env = "GWASP_CONFIG")]
    config: Option<PathBuf>,
    /// Directory of the store [default: ./gwasp-state].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl StoreArgs {
    /// The directory of the store.
    pub(super) fn directory(&self) -> anyhow::Result<PathBuf> {
        let config = places::config(self.config.as_deref())?;
        places::store(self.state.as_deref(), &config)
    }

    /// Opens the store for reading; a host may be running on it.
    pub(super) fn open(&self) -> anyhow::Result<Reader> {
        let directory = self.directory()?;
        Reader::open(&directory).with_context(|| {
            format!(
                "no store can be read in {}; `--state DIR` names another",
                directory.display()
            )
        })
    }
}
