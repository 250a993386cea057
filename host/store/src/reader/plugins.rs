//! Plugins, their versions, and what is on each.

use std::collections::BTreeMap;

use super::Reader;
use crate::error::StoreError;
use crate::record::{PluginRecord, VersionRecord, VersionTasks};
use crate::schema::{LIVING, OPEN, unsigned};

impl Reader {
    /// Lists the plugins that have a place in the routing table, or ever had a task, by name, with
    /// those of their versions whose bytes are kept, or were until lately.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where they cannot be read.
    pub fn plugins(&self) -> Result<Vec<PluginRecord>, StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let mut plugins: BTreeMap<String, PluginRecord> = BTreeMap::new();
        let mut statement = snapshot.prepare_cached("SELECT DISTINCT plugin FROM handlers")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            entry(&mut plugins, row.get(0)?);
        }
        let mut statement = snapshot.prepare_cached("SELECT plugin, digest FROM routes")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            entry(&mut plugins, row.get(0)?).current = Some(row.get(1)?);
        }
        let mut statement =
            snapshot.prepare_cached("SELECT plugin, disabled, passed_over FROM plugins")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let plugin = entry(&mut plugins, row.get(0)?);
            (plugin.disabled, plugin.passed_over) = (row.get(1)?, row.get(2)?);
        }
        let mut statement = snapshot.prepare_cached(
            "SELECT plugin, digest, since,
                 EXISTS(SELECT 1 FROM blobs b WHERE b.digest = v.digest)
             FROM versions v ORDER BY since DESC, row DESC",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            entry(&mut plugins, row.get(0)?)
                .versions
                .push(VersionRecord {
                    digest: row.get(1)?,
                    since: row.get(2)?,
                    is_kept: row.get(3)?,
                });
        }
        Ok(plugins.into_values().collect())
    }

    /// Counts the tasks that have not ended, by plugin and by the version that they stay on.
    /// Looks at each of them.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where they cannot be read.
    pub fn tasks_by_version(&self) -> Result<Vec<VersionTasks>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT h.plugin, iif(t.journal > 0, t.version, NULL) AS pinned,
                 sum({OPEN}), sum(NOT ({OPEN}))
             FROM tasks t JOIN handlers h ON h.row = t.handler
             WHERE {LIVING} GROUP BY h.plugin, pinned ORDER BY h.plugin, pinned"
        ))?;
        let rows = statement.query_map([], |row| {
            Ok(VersionTasks {
                plugin: row.get(0)?,
                pinned: row.get(1)?,
                open: unsigned(row.get(2)?),
                set_aside: unsigned(row.get(3)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn entry(plugins: &mut BTreeMap<String, PluginRecord>, plugin: String) -> &mut PluginRecord {
    plugins
        .entry(plugin.clone())
        .or_insert_with(|| PluginRecord {
            plugin,
            ..PluginRecord::default()
        })
}
