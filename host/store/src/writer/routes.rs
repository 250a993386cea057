//! The routing table, and the versions of plugins.

use super::{Group, Writer, Written};
use crate::record::{Nanos, RouteChange};
use crate::schema::{column, route_seal};

impl Writer<'_> {
    /// Writes a change of a plugin's place in the routing table; returns the table's generation,
    /// which is a new one.
    pub(super) fn apply_route(
        &mut self,
        group: &Group,
        plugin: &str,
        change: &RouteChange,
    ) -> Written<u64> {
        let generation = self.known.generation + 1;
        match change {
            RouteChange::Put { digest, manifest } => {
                self.set_route(plugin, generation, digest, manifest)?;
                self.sql.note_version.execute((plugin, digest, group.now))?;
                self.mention(digest, group.now)?;
                self.sql.forget_plugin.execute([plugin])?;
            }
            RouteChange::RollBack {
                digest,
                manifest,
                instead_of,
            } => {
                self.set_route(plugin, generation, digest, manifest)?;
                self.mention(digest, group.now)?;
                self.mark_plugin(plugin, None, Some(instead_of))?;
            }
            RouteChange::Remove => {
                self.sql.delete_route.execute([plugin])?;
                self.sql.forget_plugin.execute([plugin])?;
            }
            RouteChange::Disable => {
                self.sql.delete_route.execute([plugin])?;
                self.mark_plugin(plugin, Some(group.now), None)?;
            }
            RouteChange::Enable => {
                self.sql.forget_plugin.execute([plugin])?;
            }
        }
        self.sql
            .set_meta
            .execute(("routes_generation", column(generation)))?;
        self.known.generation = generation;
        Ok(Ok(generation))
    }

    fn set_route(
        &mut self,
        plugin: &str,
        generation: u64,
        digest: &[u8; 32],
        manifest: &str,
    ) -> rusqlite::Result<()> {
        let generation = column(generation);
        let seal = route_seal(plugin, generation, digest, manifest);
        self.sql
            .set_route
            .execute((plugin, generation, digest, manifest, seal))?;
        Ok(())
    }

    fn mark_plugin(
        &mut self,
        plugin: &str,
        disabled: Option<Nanos>,
        passed_over: Option<&[u8; 32]>,
    ) -> rusqlite::Result<()> {
        self.sql
            .mark_plugin
            .execute((plugin, disabled, passed_over))?;
        Ok(())
    }
}
