//! Alert formats for host and guest, as plain data with parsers.
//!
//! Nothing here reads a clock, a file or a socket, and nothing panics on what it is given: every
//! parser takes bytes from strangers.

pub mod notice_type;

pub use notice_type::{NoticeType, UnknownNoticeType, notices};
