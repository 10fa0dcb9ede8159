//! An S3 server in this process: real HTTP on the loopback interface, over TLS where a test wants it,
//! objects in memory, and faults at the calls that a test names.
//!
//! s3s brings HTTP routes, signatures and XML; what an object store does with them is here, as
//! strict as Amazon S3 is: conditions, checksums, parts, pages.
//!
//! Where it differs from Amazon S3: no versions, no policies, one region; completing an upload a
//! second time is `NoSuchUpload` at once (Amazon answers as it did the first time, for a while).

mod assembly;
mod backend;
mod checksum;
mod config;
mod connection;
mod copy;
mod faults;
mod gate;
mod lines;
mod list;
mod listener;
mod loans;
mod multipart;
mod objects;
mod receive;
mod server;
mod tls;
mod uploads;
mod view;
mod wire;

#[cfg(test)]
mod tests;

pub use checksum::{Algorithm, Checksum, Extent};
pub use config::S3Config;
pub use faults::{Fault, FaultRule};
pub use gate::Call;
pub use loans::Lender;
pub use objects::{Attributes, Object};
pub use server::S3Server;
