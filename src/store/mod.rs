//! Layer 4: what is remembered between requests. Bounded, and shared by all threads of a process; some of it by
//! many nodes.

mod commits;
pub mod ended_file;
pub mod ended_journal;
pub mod examination;
pub mod first_pages;
pub mod live_keys;
pub mod mints;
pub mod outbox;
pub mod rate_limit;
pub mod recent_set;
pub mod record_keeper;
pub mod record_writer;
pub mod records;
mod redis_link;
pub mod redis_replay;
pub mod refusal_file;
pub mod replay;
pub mod retention;
pub mod revoked_ids;
pub mod siblings_file;
pub mod visitors;
