//! Alert formats for host and guest, as plain data with parsers.
//!
//! Nothing here reads a clock, a file or a socket, and nothing panics on what it is given: every
//! parser takes bytes from strangers.

pub mod notice_type;
mod oddity;
mod role;
pub mod scan;
mod xml;

pub use notice_type::{NoticeType, UnknownNoticeType, notices};
pub use oddity::Oddity;
pub use role::Role;
pub use scan::{Scan, TransportHead, TransportRole, VoEventHead, scan};
pub use xml::{XmlError, XmlFault};
