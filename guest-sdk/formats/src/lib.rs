//! Alert formats for host and guest, as plain data with parsers.
//!
//! Nothing here reads a clock, a file or a socket, and nothing panics on what it is given: every
//! parser takes bytes from strangers.

mod lvalert;
mod nearest;
pub mod notice_type;
mod oddity;
mod role;
pub mod scan;
mod summary;
pub mod time;
pub mod voevent;
mod xml;

pub use lvalert::{LvAlert, LvAlertError};
pub use notice_type::{NoticeType, UnknownNoticeType, notices};
pub use oddity::Oddity;
pub use role::Role;
pub use scan::{Scan, TransportHead, TransportRole, VoEventHead, scan};
pub use summary::NoticeSummary;
pub use time::{GpsTime, NoticeTime, TimeError, TimeScale};
pub use voevent::{FieldError, Position, PositionError, VoEvent, VoEventError};
pub use xml::{XmlError, XmlFault};
