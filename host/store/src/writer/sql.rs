//! The writer's statements, prepared once.

use rusqlite::{Connection, Statement};

macro_rules! statements {
    ($($name:ident: $text:expr;)*) => {
        /// The writer's statements.
        #[derive(Debug)]
        pub(super) struct Sql<'c> {
            $(pub(super) $name: Statement<'c>,)*
        }

        impl<'c> Sql<'c> {
            pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
                Ok(Self { $($name: connection.prepare($text)?,)* })
            }
        }
    };
}

statements! {
    begin: "BEGIN IMMEDIATE";
    commit: "COMMIT";
    set_meta: "UPDATE meta SET value = ?2 WHERE name = ?1";
    make_account: "INSERT INTO accounts(source, day) VALUES(?1, ?2) ON CONFLICT DO NOTHING";
    find_account: "SELECT id FROM accounts WHERE source = ?1 AND day = ?2";
    count: "INSERT INTO counts(account, name, n) VALUES(?1, ?2, ?3)
        ON CONFLICT(account, name) DO UPDATE SET n = n + excluded.n";
    note_source: "INSERT INTO sources(source, listening, last_packet) VALUES(?1, 1, ?2)
        ON CONFLICT(source) DO UPDATE SET
            listening = 1, last_packet = coalesce(excluded.last_packet, last_packet)";
    end_source: "UPDATE sources SET listening = 0 WHERE source = ?1";

    find_identity: "SELECT seq, key, digest, payload IS NOT NULL OR segment IS NOT NULL
        FROM packets WHERE identity = ?1 ORDER BY seq";
    find_other_bytes: "SELECT EXISTS(
        SELECT 1 FROM packets WHERE id = ?1 AND identity <> ?2 AND digest <> ?3)";
    insert_packet: "INSERT INTO packets(seq, account, source, key, id, identity, digest, role,
            received, sent, content_type, headers, flags, unmatched, same_as, segment, offset,
            length, seal, payload)
        VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
            ?19, ?20)";
    repeat: "INSERT INTO repeats(packet, account, n) VALUES(?1, ?2, 1)
        ON CONFLICT(packet, account) DO UPDATE SET n = n + 1";
    insert_refusal: "INSERT INTO refusals(account, received, reason, length, payload)
        VALUES(?1, ?2, ?3, ?4, ?5)";
    insert_unconfirmed: "INSERT INTO unconfirmed(account, at, n) VALUES(?1, ?2, ?3)";
    packet_account: "SELECT account FROM packets WHERE seq = ?1";

    make_handler: "INSERT INTO handlers(plugin, handler, queue, retries, backoff_ms,
            max_backoff_ms, timeout_ms, seal)
        VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    find_handler: "SELECT row FROM handlers WHERE plugin = ?1 AND handler = ?2 AND queue = ?3
        AND retries = ?4 AND backoff_ms = ?5 AND max_backoff_ms = ?6 AND timeout_ms = ?7";
    insert_task: "INSERT INTO tasks(seq, id, state, handler, origin, account, packet, parent,
            root, priority, order_key, made, deadline, seal, due, attempts, cpu, journal,
            journal_bytes, moving_seal)
        VALUES(?1, ?2, 0, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 0, 0, 0, 0, ?15)
        ON CONFLICT(id) DO NOTHING";
    insert_args: "INSERT INTO args(task, bytes, seal) VALUES(?1, ?2, ?3)";
    update_task: "UPDATE tasks SET state = ?2, due = ?3, attempts = ?4, started = ?5, ended = ?6,
            cpu = ?7, version = ?8, journal = ?9, journal_bytes = ?10, moving_seal = ?11
        WHERE seq = ?1";
    insert_result: "INSERT OR REPLACE INTO results(task, bytes, seal) VALUES(?1, ?2, ?3)";
    insert_failure: "INSERT OR REPLACE INTO failures(task, attempt, at, kind, message, detail)
        VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
    note_keep: "INSERT OR REPLACE INTO keeps(task, entries) VALUES(?1, ?2)";
    take_keep: "DELETE FROM keeps WHERE task = ?1 RETURNING entries";
    note_wait: "INSERT OR REPLACE INTO waits(caller, called) VALUES(?1, ?2)";
    end_wait: "DELETE FROM waits WHERE called = ?1 RETURNING caller";
    end_waits: "DELETE FROM waits WHERE caller = ?1 RETURNING called";
    has_waits: "SELECT EXISTS(SELECT 1 FROM waits WHERE caller = ?1)";
    find_state: "SELECT seq, state FROM tasks WHERE id = ?1";
    find_id: "SELECT id FROM tasks WHERE seq = ?1";
    find_moving: "SELECT state, due, attempts, started, ended, cpu, version, journal,
            journal_bytes, moving_seal FROM tasks WHERE seq = ?1";
    insert_journal: "INSERT OR REPLACE INTO journal(task, seq, bytes, seal)
        VALUES(?1, ?2, ?3, ?4)";
    measure_journal: "SELECT count(*), coalesce(sum(length(bytes)), 0) FROM journal
        WHERE task = ?1";
    forget_failures: "DELETE FROM failures WHERE task = ?1";
    keep_failures: "INSERT INTO past_failures(task, attempt, at, kind, message, detail)
        SELECT task, attempt, at, kind, message, detail FROM failures
        WHERE task = ?1 AND attempt >= ?2 ORDER BY attempt";
    cut_past_failures: "DELETE FROM past_failures WHERE task = ?1 AND row <= (
        SELECT row FROM past_failures WHERE task = ?1 ORDER BY row DESC LIMIT 1 OFFSET ?2)";
    note_decision: "INSERT INTO decisions(task, at, what, who) VALUES(?1, ?2, ?3, ?4)";
    cut_decisions: "DELETE FROM decisions WHERE task = ?1 AND row <= (
        SELECT row FROM decisions WHERE task = ?1 ORDER BY row DESC LIMIT 1 OFFSET ?2)";
    note_shadow: "INSERT OR IGNORE INTO shadows(task) VALUES(?1)";
    forget_shadow: "DELETE FROM shadows WHERE task = ?1";
    cut_journal: "DELETE FROM journal WHERE task = ?1 AND seq >= ?2";

    get_kv: "SELECT version, value FROM kv WHERE plugin = ?1 AND key = ?2";
    set_kv: "INSERT INTO kv(plugin, key, version, value, seal) VALUES(?1, ?2, ?3, ?4, ?5)
        ON CONFLICT(plugin, key) DO UPDATE SET
            version = excluded.version, value = excluded.value, seal = excluded.seal";
    delete_kv: "DELETE FROM kv WHERE plugin = ?1 AND key = ?2";
    find_claim: "SELECT task FROM claims WHERE plugin = ?1 AND name = ?2";
    set_claim: "INSERT OR REPLACE INTO claims(plugin, name, task, made) VALUES(?1, ?2, ?3, ?4)";
    set_route: "INSERT OR REPLACE INTO routes(plugin, generation, digest, manifest, seal)
        VALUES(?1, ?2, ?3, ?4, ?5)";
    delete_route: "DELETE FROM routes WHERE plugin = ?1";
    note_version: "INSERT INTO versions(plugin, digest, since) VALUES(?1, ?2, ?3)
        ON CONFLICT(plugin, digest) DO UPDATE SET since = max(since, excluded.since)";
    mark_plugin: "INSERT OR REPLACE INTO plugins(plugin, disabled, passed_over)
        VALUES(?1, ?2, ?3)";
    forget_plugin: "DELETE FROM plugins WHERE plugin = ?1";

    set_pause: "INSERT OR REPLACE INTO pauses(kind, name, handler, since, until, who, seal)
        VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    end_pause: "DELETE FROM pauses WHERE kind = ?1 AND name = ?2 AND handler = ?3";
    note_revocation: "INSERT OR REPLACE INTO revocations(task, kind, message) VALUES(?1, ?2, ?3)";
    forget_revocation: "DELETE FROM revocations WHERE task = ?1";
    find_failure: "SELECT kind, message, detail FROM failures WHERE task = ?1 AND attempt = ?2";
    count_dispatch: "INSERT INTO dispatches(packet, last) VALUES(?1, 1)
        ON CONFLICT(packet) DO UPDATE SET last = last + 1 RETURNING last";
    note_asked: "INSERT OR IGNORE INTO asked(task) VALUES(?1)";
    find_tick: "SELECT through, seal FROM ticks WHERE schedule = ?1";
    set_tick: "INSERT OR REPLACE INTO ticks(schedule, through, seal) VALUES(?1, ?2, ?3)";
    forget_pauses: "DELETE FROM pauses WHERE until <= ?1";

    note_mention: "INSERT INTO mentions(task, digest) VALUES(?1, ?2) ON CONFLICT DO NOTHING";
    mention_blob: "UPDATE blobs SET mentioned = max(mentioned, ?2) WHERE digest = ?1";
    insert_blob: "INSERT INTO blobs(digest, mentioned, segment, offset, length, bytes)
        VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
    insert_events: "INSERT INTO events(first, last, at, bytes, seal)
        VALUES(?1, ?2, ?3, ?4, ?5)";
    cut_events: "DELETE FROM events WHERE last < ?1
        AND first IN (SELECT first FROM events ORDER BY first LIMIT ?2)";
    oldest_event: "SELECT coalesce(min(first), 1) FROM events";
    name_segment: "INSERT INTO segments(number, end, last) VALUES(?1, ?2, ?3)
        ON CONFLICT(number) DO UPDATE SET end = excluded.end, last = excluded.last";
}
