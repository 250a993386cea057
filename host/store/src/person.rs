//! What a person asks of a store that is open.

use crate::action::{Acted, Looked, TaskAction};
use crate::disk::{self, Disk};
use crate::error::{Cause, StoreError};
use crate::limits;
use crate::options::{MAX_ACTED, MAX_KEY};
use crate::pause::{Pause, Scope};
use crate::reader::Reader;
use crate::record::{Nanos, PacketSeq, TaskId};
use crate::writer::PersonOp;
use crate::{OpenError, Store};

impl Store {
    /// Leases nothing of `scope` from now on, until the moment `until` where there is one.
    /// Durable before it answers; takes the place of an earlier pause of the same scope.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for too many pauses, or words that are too long;
    /// [`StoreError::Full`], [`StoreError::Failed`] or [`StoreError::Closed`].
    pub async fn pause(
        &self,
        scope: Scope,
        until: Option<Nanos>,
        who: &str,
    ) -> Result<Pause, StoreError> {
        let (_, name, handler) = scope.columns();
        let words = name.len() + handler.len() + who.len();
        limits::check_length("a pause", words, MAX_KEY)?;
        let pause = Pause {
            scope,
            since: 0,
            until,
            who: who.to_owned(),
        };
        self.ask(None, |reply| PersonOp::Pause { pause, reply })
            .await
    }

    /// Ends a pause of exactly this scope; answers false where there is none. Other pauses go
    /// on.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Failed`] or [`StoreError::Closed`].
    pub async fn unpause(&self, scope: Scope) -> Result<bool, StoreError> {
        self.ask(None, |reply| PersonOp::Unpause { scope, reply })
            .await
    }

    /// Lists what is paused now.
    ///
    /// # Errors
    /// As [`Reader::pauses`].
    pub fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        let now = self.inner.options.clock.now();
        self.inner.pool.with(|reader| reader.pauses(now))
    }

    /// Does something to tasks, and answers for each in order. The tasks of one call change in
    /// one transaction. `who` is for a person who looks at them later.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for too many tasks or too long a name; [`StoreError::Full`],
    /// [`StoreError::Failed`] or [`StoreError::Closed`].
    pub async fn act(
        &self,
        tasks: Vec<TaskId>,
        action: TaskAction,
        who: &str,
    ) -> Result<Vec<Acted>, StoreError> {
        limits::check_length("a number of tasks", tasks.len(), MAX_ACTED)?;
        limits::check_length("a name", who.len(), MAX_KEY)?;
        let who = who.to_owned();
        self.ask(None, |reply| PersonOp::Act {
            tasks,
            action,
            who,
            reply,
        })
        .await
    }

    /// Has a task that waits, and stays on the version that wrote its journal, go on with
    /// another. Answers nothing where its journal is not as it was looked at. Somebody has tried
    /// the journal against that version; `what` that person did, and `who`, is kept with it.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for too long a name; [`StoreError::Full`],
    /// [`StoreError::Failed`] or [`StoreError::Closed`].
    pub async fn move_waiting(
        &self,
        task: TaskId,
        looked: Looked,
        onto: [u8; 32],
        (what, who): (&str, &str),
    ) -> Result<Option<Acted>, StoreError> {
        limits::check_length("a name", what.len() + who.len(), MAX_KEY)?;
        self.ask(None, |reply| PersonOp::Move {
            task,
            looked,
            onto,
            what: what.to_owned(),
            who: who.to_owned(),
            reply,
        })
        .await
    }

    /// Counts a dispatch of a packet by a person, and returns its number, from 1.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] where there is no such packet; [`StoreError::Full`],
    /// [`StoreError::Failed`] or [`StoreError::Closed`].
    pub async fn next_dispatch(&self, packet: PacketSeq) -> Result<u32, StoreError> {
        let PacketSeq(packet) = packet;
        self.ask(None, |reply| PersonOp::Dispatch { packet, reply })
            .await
    }

    /// Returns what is left of the disk.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the system does not say.
    pub fn disk(&self) -> Result<Disk, StoreError> {
        let dir = self.inner.pool.dir();
        disk::look(dir, self.inner.options.disk).map_err(|source| StoreError::Unavailable {
            cause: Cause::file("reading the free space", source),
        })
    }

    /// Reads by one of the store's own readers: for what takes no long time.
    ///
    /// # Errors
    /// Those of `read`, and [`StoreError::Unavailable`] where there is no reader.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.inner.pool.with(read)
    }

    /// Opens a reader of its own connection: for listings, which may take long.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn reader(&self) -> Result<Reader, OpenError> {
        Reader::open(self.inner.pool.dir())
    }
}
